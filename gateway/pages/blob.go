package pages

import (
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"walrus/shards"
)

// maxPreview bounds the images that a page loads by itself, in bytes.
const maxPreview = 32 << 20

// maxFiles bounds the files of a quilt on one page. A quilt has up to 666 with 1000 shards.
const maxFiles = 100

type blobView struct {
	*Blob
	Counts  []count
	Signers table
	Shards  table
	Pinning table
	Files   filesView // of a quilt
	Past    pastView
	Preview string // image, video, audio, text, or empty
	Source  string // URL of the content; empty if this gateway does not serve it
}

// count is a number of slivers in one state.
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
			p.Advice = "Its storage may have ended, its owner may have deleted it, or it was never stored on this network. " +
				"Nobody was found who pins it."
		}
		s.refuse(w, r, p, id.String())
		return
	}
	v := blobView{Blob: b, Counts: countStates(b.Shards), Signers: signersTable(b.Certificate),
		Shards: shardsTable(b.Shards), Pinning: pinnersTable(b.Pinners)}
	if v.Files, err = s.files(b, r.URL.Query().Get("page")); err != nil {
		s.fail(w, r, err)
		return
	}
	v.Past = s.past(r, id)
	if s.cfg.Aggregator && b.Status != StatusInvalid {
		v.Source = source(b)
		v.Preview = preview(b)
	}
	s.show(w, r, http.StatusOK, "blob", view{Title: "Blob " + id.String(), Data: v})
}

// source returns the URL of the content. It goes through a record of ours that names a type, if there is one, so that
// the answer has that type.
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

// preview chooses the element that shows a blob. Content goes only into elements that run no code, whatever its type.
func preview(b *Blob) string {
	kind, _, _ := strings.Cut(strings.ToLower(b.ContentType), "/")
	switch {
	case len(b.Quilt) > 0: // its files are listed instead
		return ""
	case b.Status == StatusRegistered || b.Status == StatusInvalid || !b.SizeKnown || b.Size == 0:
		return ""
	case kind == "image" && b.Size <= maxPreview, kind == "video", kind == "audio":
		return kind
	case b.Head != "":
		return "text"
	}
	return ""
}

func signersTable(c *Certificate) table {
	t := table{Name: "Nodes that signed", Cols: cols("Node", "Shards#", "Peer")}
	if c == nil {
		return t
	}
	for _, s := range c.Signers {
		t.Rows = append(t.Rows, []cell{link(s.Name, "/explorer/nodes/"+s.Peer), number(s.Shards), {Text: s.Peer, Code: true}})
	}
	return t
}

func shardsTable(list []Shard) table {
	t := table{Name: "Shards and the state of their slivers, as a table",
		Cols: cols("Shard#", "Pair#", "Node", "Primary", "Secondary")}
	for _, s := range list {
		t.Rows = append(t.Rows, []cell{number(s.Index), number(s.Pair), link(s.Name, "/explorer/nodes/"+s.Peer),
			text(string(s.Primary)), text(string(s.Secondary))})
	}
	return t
}

// filesView is one page of a quilt's files.
type filesView struct {
	Table          table
	First, Last    int    // counted from 1
	Earlier, Later string // URLs of the pages before and behind; empty for none
}

// files returns a page of the files of a quilt. The first is 1, or empty.
func (s *site) files(b *Blob, page string) (v filesView, err error) {
	n, all := uint64(1), len(b.Quilt)
	if page != "" {
		if n, err = strconv.ParseUint(page, 10, 16); err != nil || n == 0 {
			return v, malformed{fmt.Errorf("page=%.40q: must be a number from 1", page)}
		}
	}
	first := (int(n) - 1) * maxFiles
	if first > 0 && first >= all {
		return v, malformed{fmt.Errorf("page=%d: there are only %s", n, plural(max(1, (all+maxFiles-1)/maxFiles), "page"))}
	}
	last := min(first+maxFiles, all)
	v = filesView{Table: s.filesTable(b.Quilt[first:last]), First: first + 1, Last: last}
	at := func(n uint64) string { return fmt.Sprintf("/explorer/blobs/%s?page=%d#files", b.ID, n) }
	if n > 1 {
		v.Earlier = at(n - 1)
	}
	if last < all {
		v.Later = at(n + 1)
	}
	return v, nil
}

// filesTable lists files of a quilt, each with a link if this gateway serves content.
func (s *site) filesTable(files []QuiltFile) table {
	t := table{Name: "Files of the quilt", ID: "quilt-table", Cols: cols("File", "Columns#", "Tags", "Patch ID", "")}
	for _, f := range files {
		row := []cell{{Text: f.Identifier, Wide: true}, number(f.Columns), {Text: tagsText(f.Tags), Wide: true},
			{Text: f.PatchID, Code: true}, text("")}
		if s.cfg.Aggregator {
			row[0].Link = "/v1/blobs/by-quilt-patch-id/" + f.PatchID
			row[4] = cell{Text: "Download", Link: row[0].Link, Save: path.Base(f.Identifier)}
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func tagsText(tags map[string]string) string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, k+": "+tags[k])
	}
	return strings.Join(list, ", ")
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
