package pages

import (
	"net/http"
	"strings"

	"walrus/shards"
)

// maxPreview bounds the images that a page loads by itself, in bytes.
const maxPreview = 32 << 20

// blobView is the page of a blob.
type blobView struct {
	*Blob
	Counts  []count
	Preview string // image, video, audio, text, or nothing
	Source  string // where the content is; empty if this gateway does not serve it
}

// count says how many slivers are in a state.
type count struct {
	State              State
	Primary, Secondary int
}

func (s *site) blob(w http.ResponseWriter, r *http.Request) {
	id, err := shards.ParseBlobID(r.PathValue("id"))
	if err != nil {
		s.fail(w, r, malformed{err})
		return
	}
	b, err := s.data.Blob(r.Context(), id)
	if err != nil {
		p := problemOf(err)
		if p.Status == http.StatusNotFound {
			p.Heading = "No such blob"
			p.Advice = "Its storage may have ended, its owner may have deleted it, or it was never stored on this network."
		}
		s.refuse(w, r, p, id.String())
		return
	}
	v := blobView{Blob: b, Counts: countStates(b.Shards)}
	if s.cfg.Aggregator {
		v.Source = source(b)
		v.Preview = preview(b)
	}
	s.show(w, r, http.StatusOK, "blob", view{Title: "Blob " + id.String(), Data: v})
}

// source is the address of the content: by a record of ours that names a type, for then it comes with that type.
func source(b *Blob) string {
	for _, r := range b.Ledger.Records {
		for _, a := range r.Attributes {
			if strings.EqualFold(a.Key, "content-type") {
				return "/v1/blobs/by-object-id/" + r.Object
			}
		}
	}
	return "/v1/blobs/" + b.ID.String()
}

// preview is what a page may show of a blob. What a type promises is only ever given to elements that run nothing.
func preview(b *Blob) string {
	kind, _, _ := strings.Cut(strings.ToLower(b.ContentType), "/")
	switch {
	case b.Status == StatusRegistered || !b.SizeKnown || b.Size == 0:
		return ""
	case kind == "image" && b.Size <= maxPreview, kind == "video", kind == "audio":
		return kind
	case b.Head != "":
		return "text"
	}
	return ""
}

func countStates(list []Shard) []count {
	counts := []count{{State: SliverStored}, {State: Repairing}, {State: Missing}, {State: Corrupt}, {State: Unreachable}}
	for _, s := range list {
		for i := range counts {
			if s.Primary == counts[i].State {
				counts[i].Primary++
			}
			if s.Secondary == counts[i].State {
				counts[i].Secondary++
			}
		}
	}
	return counts
}
