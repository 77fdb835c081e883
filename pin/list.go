package pin

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"walrus/shards"
)

// countMost: behind a full page, so many requests are looked at to count those that the filter selects, too.
const countMost = 10_000

// List returns the newest requests that f selects, newest first, and how many it selects in all. The number is exact
// up to 10,000 requests behind the page, and without a bound if f selects all, or all of the pinned ones. Otherwise it
// may be lower, but tells that there are more than the page. A page costs as much as the requests between its first and
// its last one; those of a blob, or of blobs that are not pinned yet, are found without looking at others.
func (k *Keeper) List(f Filter) (page []Request, total int, err error) {
	limit := f.Limit
	if limit == 0 {
		limit = 10
	}
	if limit < 0 || limit > MaxPage {
		return nil, 0, fmt.Errorf("%w: a page of %d: 1 to %d", ErrInvalid, limit, MaxPage)
	}
	l := &listing{f: f, limit: limit, exact: -1}
	for _, c := range f.CIDs {
		if id, err := ParseCID(c); err == nil {
			l.blobs = append(l.blobs, id)
		}
	}
	k.mu.Lock()
	c := k.counts
	k.mu.Unlock()
	switch only := f; {
	case f.selectsAll():
		l.exact = c.Requests
	case slices.Equal(f.Statuses, []Status{Pinned}):
		if only.Statuses = nil; only.selectsAll() {
			l.exact = c.Kept
		}
	}
	err = k.db.view(func(t *tx) error {
		switch named := len(f.CIDs) + len(f.Blobs); {
		case named > 0 && len(l.blobs)+len(f.Blobs) == named: // all of them are blobs
			return l.ofBlobs(k.records, t)
		case len(f.Statuses) > 0 && !slices.Contains(f.Statuses, Pinned):
			return l.walk(k.records, t, keyOpen)
		}
		return l.walk(k.records, t, keyRequest)
	})
	return l.page, max(l.total, l.exact), err
}

// selectsAll reports whether a filter selects every request.
func (f *Filter) selectsAll() bool {
	return len(f.CIDs)+len(f.Blobs)+len(f.Statuses)+len(f.Meta) == 0 && f.Name == "" && f.Before.IsZero() && f.After.IsZero()
}

// listing gathers a page.
type listing struct {
	f      Filter
	blobs  []shards.BlobID // those that f.CIDs name
	limit  int
	exact  int // the total, if it is known; else −1
	page   []Request
	total  int
	behind int // requests looked at since the page is full
}

// walk looks at the requests of an index by request ID, the newest first.
func (l *listing) walk(rs *records, t *tx, index byte) error {
	var start []byte
	if !l.f.Before.IsZero() {
		start = append([]byte{index}, newID(l.f.Before.Add(time.Microsecond))...)
	}
	return t.keys([]byte{index}, start, true, func(key []byte) (bool, error) {
		return l.look(rs, t, string(key[1:]))
	})
}

// ofBlobs looks at the requests of the blobs that the filter names, the newest first.
func (l *listing) ofBlobs(rs *records, t *tx) error {
	var ids [][]byte
	seen := map[shards.BlobID]bool{}
	for _, id := range slices.Concat(l.blobs, l.f.Blobs) {
		if seen[id] {
			continue
		}
		seen[id] = true
		prefix := blobKey(keyRef, id)
		if err := t.keys(prefix, nil, false, func(key []byte) (bool, error) {
			ids = append(ids, key[len(prefix):])
			return true, nil
		}); err != nil {
			return err
		}
	}
	slices.SortFunc(ids, func(a, b []byte) int { return bytes.Compare(b, a) })
	for _, id := range ids {
		if more, err := l.look(rs, t, string(id)); err != nil || !more {
			return err
		}
	}
	return nil
}

// look looks at one request. It reports whether others are worth looking at.
func (l *listing) look(rs *records, t *tx, id string) (more bool, err error) {
	full := len(l.page) == l.limit
	if full && l.exact >= 0 {
		return false, nil
	}
	var r Request
	if known, err := t.get(requestKey(id), &r); err != nil || !known {
		return err == nil, err
	}
	if !l.f.After.IsZero() && !r.Created.After(l.f.After) {
		return false, nil // all others are older
	}
	if err := rs.complete(t, &r); err != nil {
		return false, err
	}
	if l.f.match(&r, l.blobs) {
		if l.total++; !full {
			l.page = append(l.page, r)
		}
	}
	if full {
		l.behind++
	}
	return l.behind < countMost || l.total == l.limit, nil
}
