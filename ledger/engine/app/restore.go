package app

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"walrus/ledger/engine/badgerdb"
	"walrus/ledger/merkle"
)

// Trusted describes a state by the values from a verified header.
type Trusted struct {
	Height uint64      // of the state
	Time   int64       // of the block at Height, Unix nanoseconds
	Root   merkle.Hash // the app hash of the header at Height+1
}

// Restore replaces the genesis state with a snapshot, fetching its parts one after the other. It works only before the
// first block. If it fails, it returns to the genesis state. The error wraps ErrSnapshot if the snapshot is not of the
// trusted state, or fetch's error.
func (a *App) Restore(ctx context.Context, t Trusted, header []byte,
	fetch func(ctx context.Context, part uint32) ([]byte, error)) error {
	a.step.Lock()
	defer a.step.Unlock()
	r, err := a.newRestoration(t, header)
	if err != nil {
		return fmt.Errorf("restore the ledger at height %d: %w", t.Height, err)
	}
	for i := range r.header.parts {
		part, err := fetch(ctx, uint32(i))
		if err == nil {
			err = r.add(part)
		}
		if err != nil {
			return fmt.Errorf("restore the ledger at height %d: part %d: %w", t.Height, i, errors.Join(err, r.abandon()))
		}
	}
	if err := r.finish(); err != nil {
		return fmt.Errorf("restore the ledger at height %d: %w", t.Height, errors.Join(err, r.abandon()))
	}
	return nil
}

// restoration is a snapshot being restored. Until it ends, the app's answers are meaningless.
type restoration struct {
	app    *App
	header *header
	next   int    // the next part
	last   []byte // the last pair's key in the database
}

// newRestoration marks the database as incomplete and empties it. The caller holds step.
func (a *App) newRestoration(t Trusted, raw []byte) (*restoration, error) {
	h, err := unmarshalHeader(raw)
	if err != nil {
		return nil, err
	}
	if h.height != t.Height || h.root != t.Root || h.time != t.Time {
		return nil, fmt.Errorf("%w: it has height %d, root %s and time %d, want height %d, root %s and time %d", ErrSnapshot,
			h.height, h.root, h.time, t.Height, t.Root, t.Time)
	}
	if at := a.View().Height; at != 0 || a.fault != nil || h.height == 0 {
		return nil, fmt.Errorf("the ledger is at height %d: only one without blocks can be replaced", at)
	}
	if err := a.clear(); err != nil {
		return nil, errors.Join(err, a.restart())
	}
	return &restoration{app: a, header: h}, nil
}

// add takes the next part.
func (r *restoration) add(part []byte) error {
	switch {
	case r.next == len(r.header.parts):
		return fmt.Errorf("%w: it has only %d parts", ErrSnapshot, r.next)
	case len(part) > MaxSnapshotPart || sha256.Sum256(part) != r.header.parts[r.next]:
		return fmt.Errorf("%w: part %d does not match the hash in its header", ErrSnapshot, r.next)
	}
	pairs, err := parsePart(part)
	if err != nil {
		return err
	}
	space := r.app.space
	var b badgerdb.Batch
	for _, p := range pairs {
		at := stateKey(p.Key)
		if bytes.Compare(at, r.last) <= 0 {
			return fmt.Errorf("%w: key %x in part %d is out of order", ErrSnapshot, p.Key, r.next)
		}
		r.last = at
		b.Set(space, at, record(p.Key, p.Value))
		list, err := listed(p.Key, p.Value)
		if err != nil {
			return fmt.Errorf("%w: key %x: %v", ErrSnapshot, p.Key, err)
		}
		if list != nil {
			b.Set(space, list, p.Key[:1])
		}
	}
	r.next++
	return r.app.db.Write(&b)
}

// finish checks the whole state and makes it the view.
func (r *restoration) finish() error {
	a, h := r.app, r.header
	root, keys, err := a.disk.index()
	if err != nil {
		return err
	}
	if r.next != len(h.parts) || keys != h.keys || root != h.root {
		return fmt.Errorf("%w: %d parts with %d keys make root %s, want %d, %d and %s", ErrSnapshot,
			r.next, keys, root, len(h.parts), h.keys, h.root)
	}
	head := head{height: h.height, time: h.time, root: h.root, kept: h.height + 1, keys: keys}
	var b badgerdb.Batch
	b.Set(a.space, keyHead, head.marshal())
	b.Set(a.space, keyNetwork, a.network[:])
	b.Delete(a.space, keyRestoring)
	if err := errors.Join(a.db.Sync(), a.db.Write(&b), a.db.Sync()); err != nil {
		return err
	}
	v, err := a.disk.viewOf(head)
	if err != nil {
		return err
	}
	a.kept.Store(head.kept)
	return a.show(v, nil)
}

// abandon restores the genesis.
func (r *restoration) abandon() error { return r.app.restart() }

func (a *App) restart() error {
	if err := errors.Join(a.begin(), a.load()); err != nil {
		a.fault = fmt.Errorf("return to the genesis: %w", err)
		return a.fault
	}
	return nil
}
