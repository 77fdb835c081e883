package pin

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"walrus/shards"
)

// Status of a request. The words are those of the IPFS Pinning Service API.
type Status string

// The states of a request.
const (
	Queued  Status = "queued"  // waits for its turn
	Pinning Status = "pinning" // rows are being fetched
	Pinned  Status = "pinned"  // whole, encoded again, equal to its ID, and synced
	Failed  Status = "failed"  // the last attempt failed; Reason and NextTry say more
)

// Request asks to keep one blob. Several requests may name the same blob; it is kept until the last one is removed.
type Request struct {
	// ID is unique and sorts by time. Add sets it.
	ID string
	// CID as it was given: a CID, or a blob ID in base64url.
	CID string
	// Blob that CID names. Zero for a foreign CID, which is Failed for ever.
	Blob shards.BlobID
	Name string // at most 255 characters
	Meta map[string]string
	// Origins are multiaddrs, with a peer ID, of peers that may have the blob; at most 20.
	Origins []string
	// Until is the epoch at whose start the request ends by itself; 0: never.
	Until   uint32
	Created time.Time

	// The rest says how the blob of the request fares. Add and Replace ignore it.
	Status Status
	// Reason says why the last attempt failed.
	Reason string
	// Have counts the data rows that are here, of Rows in all; 0 of 0 before the metadata is known.
	Have, Rows int
	Size       uint64 // bytes of the blob
	// NextTry, LastVerified and Announced are zero while there is none.
	NextTry, LastVerified, Announced time.Time
	// Served counts the bytes of the blob sent to others.
	Served uint64
}

// Limits of a request, as the IPFS Pinning Service API has them; those of Meta are ours.
const (
	MaxName      = 255
	MaxOrigins   = 20
	MaxMeta      = 64
	MaxMetaBytes = 16 << 10
	maxCID       = 512
	maxOrigin    = 512
)

// Errors that callers branch on.
var (
	// ErrNotFound: there is no such request, or the blob is not pinned here.
	ErrNotFound = errors.New("no such pin")
	// ErrInvalid: the request itself is wrong.
	ErrInvalid = errors.New("invalid request")
	// ErrNoEpoch: the request has an end, and the current epoch is not known yet.
	ErrNoEpoch = errors.New("the current epoch is not known yet")
	// ErrFull: the blob does not fit below the limit of disk space.
	ErrFull = errors.New("the limit of disk space for pins is reached")
	// ErrDamaged: the bytes on disk are not those of the blob.
	ErrDamaged = errors.New("pinned data is damaged")
)

// validate reports the first thing that is wrong with a request.
func (r *Request) validate() error {
	meta := 0
	for k, v := range r.Meta {
		meta += len(k) + len(v)
	}
	switch {
	case r.CID == "" && r.Blob == shards.BlobID{}:
		return fmt.Errorf("%w: it names no CID", ErrInvalid)
	case len(r.CID) > maxCID:
		return fmt.Errorf("%w: a CID of %d bytes: at most %d", ErrInvalid, len(r.CID), maxCID)
	case utf8.RuneCountInString(r.Name) > MaxName:
		return fmt.Errorf("%w: a name of %d characters: at most %d", ErrInvalid, utf8.RuneCountInString(r.Name), MaxName)
	case len(r.Origins) > MaxOrigins:
		return fmt.Errorf("%w: %d origins: at most %d", ErrInvalid, len(r.Origins), MaxOrigins)
	case slices.ContainsFunc(r.Origins, func(o string) bool { return len(o) > maxOrigin }):
		return fmt.Errorf("%w: an origin of more than %d bytes", ErrInvalid, maxOrigin)
	case len(r.Meta) > MaxMeta:
		return fmt.Errorf("%w: %d meta entries: at most %d", ErrInvalid, len(r.Meta), MaxMeta)
	case meta > MaxMetaBytes:
		return fmt.Errorf("%w: meta of %d bytes: at most %d", ErrInvalid, meta, MaxMetaBytes)
	}
	return nil
}

// Match says how a filter compares names, as in the IPFS Pinning Service API.
type Match string

// The ways to compare names.
const (
	Exact    Match = "exact"
	IExact   Match = "iexact" // ignores case
	Partial  Match = "partial"
	IPartial Match = "ipartial" // ignores case
)

// Filter selects requests. The zero Filter selects all.
type Filter struct {
	CIDs     []string        // any of them, as given or as another form of the same blob ID
	Blobs    []shards.BlobID // any of them
	Name     string          // empty: any
	Match    Match           // default Exact
	Statuses []Status        // any of them; empty: all
	// Before and After bound Created; zero: no bound.
	Before, After time.Time
	Meta          map[string]string // all of these entries
	// Limit bounds the page, not the total. Default 10, at most MaxPage.
	Limit int
}

// MaxPage bounds a page of List.
const MaxPage = 1000

// match reports whether a request, its state included, is selected. blobs are the blobs that f.CIDs name.
func (f *Filter) match(r *Request, blobs []shards.BlobID) bool {
	if len(f.CIDs) > 0 || len(f.Blobs) > 0 {
		known := r.Blob != shards.BlobID{}
		named := slices.Contains(f.CIDs, r.CID) || known && (slices.Contains(blobs, r.Blob) || slices.Contains(f.Blobs, r.Blob))
		if !named {
			return false
		}
	}
	if len(f.Statuses) > 0 && !slices.Contains(f.Statuses, r.Status) {
		return false
	}
	if !f.Before.IsZero() && !r.Created.Before(f.Before) || !f.After.IsZero() && !r.Created.After(f.After) {
		return false
	}
	for k, v := range f.Meta {
		if got, ok := r.Meta[k]; !ok || got != v {
			return false
		}
	}
	return f.Name == "" || f.matchName(r.Name)
}

func (f *Filter) matchName(name string) bool {
	switch f.Match {
	case IExact:
		return strings.EqualFold(name, f.Name)
	case Partial:
		return strings.Contains(name, f.Name)
	case IPartial:
		return strings.Contains(strings.ToLower(name), strings.ToLower(f.Name))
	}
	return name == f.Name
}

// idText writes request IDs: in its alphabet the order of texts is the order of bytes.
var idText = base32.HexEncoding.WithPadding(base32.NoPadding)

// newID returns the ID of a request made at t: the time in microseconds, then 72 random bits.
func newID(t time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(t.UnixMicro())<<8)
	_, _ = rand.Read(b[7:]) // never fails
	return strings.ToLower(idText.EncodeToString(b[:]))
}
