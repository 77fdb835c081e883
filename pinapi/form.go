package pinapi

import (
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multiaddr"

	"walrus/pin"
	"walrus/shards"
)

// Limits of the specification.
const (
	maxName      = 255 // characters
	maxOrigins   = 20
	maxDelegates = 20
	maxCIDs      = 10 // of a filter
	maxPage      = 1000
	defaultPage  = 10
)

// maxCIDText bounds the text of a CID before it is decoded, in bytes. Ours have 62; the longest hash in use has 512
// bits, which is 115 characters in base32.
const maxCIDText = 256

// pinForm is the specification's Pin.
type pinForm struct {
	CID     string            `json:"cid"`
	Name    string            `json:"name,omitempty"`
	Origins []string          `json:"origins,omitempty"`
	Meta    map[string]string `json:"meta,omitempty"`
}

// statusForm is the specification's PinStatus.
type statusForm struct {
	ID        string            `json:"requestid"`
	Status    pin.Status        `json:"status"`
	Created   time.Time         `json:"created"`
	Pin       pinForm           `json:"pin"`
	Delegates []string          `json:"delegates"`
	Info      map[string]string `json:"info,omitempty"`
}

// resultsForm is the specification's PinResults.
type resultsForm struct {
	Count   int          `json:"count"`
	Results []statusForm `json:"results"`
}

// request checks a pin and makes a request of it. The CID of something else than a blob passes: the request for it is
// accepted and then fails, as clients expect.
func (p *pinForm) request() (pin.Request, error) {
	r := pin.Request{CID: p.CID, Name: p.Name, Meta: p.Meta, Origins: p.Origins}
	if n := utf8.RuneCountInString(p.Name); n > maxName {
		return r, badRequest("a name of %d characters: at most %d", n, maxName)
	}
	if len(p.Origins) > maxOrigins {
		return r, badRequest("%d origins: at most %d", len(p.Origins), maxOrigins)
	}
	for i, o := range p.Origins {
		if _, err := multiaddr.NewMultiaddr(o); err != nil {
			return r, badRequest("origin %.100q is no multiaddr: %v", o, err)
		}
		if slices.Contains(p.Origins[:i], o) {
			return r, badRequest("origin %.100q is given twice", o)
		}
	}
	blob, err := parseCID(p.CID)
	r.Blob = blob
	return r, err
}

// parseCID reads a CID, or a blob ID in base64url. The result is zero for the CID of something else than a blob.
func parseCID(text string) (shards.BlobID, error) {
	if text == "" {
		return shards.BlobID{}, badRequest("the cid is missing")
	}
	if len(text) > maxCIDText {
		return shards.BlobID{}, badRequest("a cid of %d bytes: at most %d", len(text), maxCIDText)
	}
	if id, err := pin.ParseCID(text); err == nil {
		return id, nil
	}
	if _, err := cid.Decode(text); err != nil {
		return shards.BlobID{}, badRequest("%.100q is neither a CID nor a blob ID, which has 43 characters", text)
	}
	return shards.BlobID{}, nil
}

// form describes a request. A request for a blob ID is listed under the CID of the blob, because clients parse it.
func (a *API) form(r *pin.Request) statusForm {
	s := statusForm{
		ID: r.ID, Status: r.Status, Created: r.Created.UTC(), Info: info(r),
		Pin: pinForm{CID: r.CID, Name: r.Name, Origins: r.Origins, Meta: r.Meta},
	}
	if _, err := shards.ParseBlobID(r.CID); err == nil || r.CID == "" {
		s.Pin.CID = pin.CID(r.Blob)
	}
	s.Delegates = a.cfg.Delegates()
	s.Delegates = s.Delegates[:min(len(s.Delegates), maxDelegates)]
	return s
}

// info tells what the specification has no field for. Its names status_details, raw_size and pinned_until do.
func info(r *pin.Request) map[string]string {
	m := map[string]string{}
	if r.Blob != (shards.BlobID{}) {
		m["blob_id"] = r.Blob.String()
	}
	if r.Reason != "" {
		m["reason"], m["status_details"] = r.Reason, r.Reason
	}
	if r.Rows > 0 {
		m["percent"] = strconv.Itoa(Percent(r))
		if r.Status == pin.Pinning {
			m["status_details"] = fmt.Sprintf("%d of %d rows are here", r.Have, r.Rows)
		}
		m["raw_size"] = strconv.FormatUint(r.Size, 10)
	}
	if r.Until > 0 {
		m["pinned_until"] = fmt.Sprintf("the start of epoch %d", r.Until)
	}
	for name, t := range map[string]time.Time{"next_try": r.NextTry, "last_verified": r.LastVerified, "announced": r.Announced} {
		if !t.IsZero() {
			m[name] = t.UTC().Format(time.RFC3339)
		}
	}
	if r.Served > 0 {
		m["served_bytes"] = strconv.FormatUint(r.Served, 10)
	}
	return m
}

// Percent returns how much of a blob is here, rounded down: 100 only if all of it is.
func Percent(r *pin.Request) int {
	if r.Rows <= 0 {
		return 0
	}
	return 100 * min(max(r.Have, 0), r.Rows) / r.Rows
}
