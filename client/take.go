package client

import (
	"errors"
	"fmt"
	"time"

	"walrus/gather"
)

// take handles the end of a fetch.
func (r *reader) take(f *fetch) error {
	r.flying--
	if local := (*localError)(nil); errors.As(f.err, &local) {
		return fmt.Errorf("read %s: %w", r.id, local)
	}
	if r.fetches[f.index] != f { // decoded meanwhile
		f.leave()
		if f.err != nil {
			r.holders.Fail(time.Now(), r.owners[f.index], f.err)
		}
		return nil
	}
	if f.err == nil {
		return r.hold(f)
	}
	r.miss(f)
	return nil
}

// hold takes the row of a fetch into the row store.
func (r *reader) hold(f *fetch) error {
	fl := f.call.val
	r.state[f.index], r.rows.rows[f.index] = rowHave, held{fl.row, f.call}
	if fl.cached {
		r.res.Cached += r.layout.Size()
	} else {
		r.holders.Deliver(r.owners[f.index])
		if f.ours {
			r.took = append(r.took, time.Since(f.start))
			r.res.Fetched += r.layout.Size()
		} else {
			r.res.Cached += r.layout.Size()
		}
	}
	if r.rows.spill && !f.ours { // others may hold it in memory, where this read has no room
		return r.own(f.index)
	}
	return nil
}

// own replaces a row that is shared or in the cache by a copy that only this read uses, as decoding requires.
func (r *reader) own(i int) error {
	h := r.rows.rows[i]
	if _, there := h.row.(*fileRow); there || h.call == nil {
		return nil
	}
	row, err := r.rows.place.copy(h.row, r.rows.spill)
	switch {
	case errors.Is(err, errRotten):
		r.discard(i, err)
	case err != nil:
		return fmt.Errorf("read %s: %w", r.id, &localError{err})
	default:
		r.rows.drop(i)
		r.rows.rows[i] = held{row: row}
	}
	return nil
}

// miss handles a fetch that brought no row.
func (r *reader) miss(f *fetch) {
	r.state[f.index] = rowFailed
	if r.holders.Fail(time.Now(), r.owners[f.index], f.err) == gather.Busy {
		r.state[f.index] = rowBusy
	}
}
