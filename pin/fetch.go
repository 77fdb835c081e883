package pin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"walrus/shards"
)

// fetchAll fetches what is due, oldest first, perQueue blobs of each queue at a time.
func (k *Keeper) fetchAll(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	room := [2]chan struct{}{make(chan struct{}, perQueue), make(chan struct{}, perQueue)}
	for {
		next := time.Now().Add(look)
		for queue, slots := range room {
			ids, later, err := k.due([]byte{keyQueue, byte(queue)}, cap(slots)-len(slots))
			if err != nil {
				return err
			}
			if !later.IsZero() && later.Before(next) {
				next = later
			}
			for _, id := range ids {
				work, release, ok := k.claim(ctx, id, true)
				if !ok {
					continue
				}
				slots <- struct{}{}
				all.Go(func() {
					defer func() { <-slots; release() }()
					if err := k.fetchOne(work, id); err != nil {
						cancel(err)
					}
				})
			}
		}
		if !await(ctx, next, k.schedules[bellFetch]) {
			return context.Cause(ctx)
		}
	}
}

// fetchOne makes one attempt to pin a blob and records how it went. It returns only failures of our own database.
func (k *Keeper) fetchOne(ctx context.Context, id shards.BlobID) error {
	err := k.find(ctx, id)
	var local *databaseError
	switch {
	case err == nil, ctx.Err() != nil: // what was fetched is kept
		return nil
	case errors.As(err, &local):
		return local.err
	}
	failed, now := err, time.Now()
	k.log.Debug("pin failed", "blob", id.String(), "err", failed)
	if errors.Is(failed, ErrRefused) {
		err = k.giveUp(id, failed)
	} else {
		err = k.alterBlob(id, func(r *record) error {
			r.Tries++
			r.Reason, r.NextTry, r.Queue = failed.Error(), k.plan.retry(now, r.Tries), r.queue(now)
			return nil
		})
	}
	if errors.Is(err, ErrNotFound) { // removed meanwhile
		return nil
	}
	return err
}

// find finds a blob in the network and pins it.
func (k *Keeper) find(ctx context.Context, id shards.BlobID) error {
	if err := k.cfg.blocked(id); err != nil {
		return err
	}
	if r, err := k.record(id); err == nil && r.Known && r.Have == k.cfg.Params.Rows() { // all is here, but not verified
		if c, err := k.openCopy(id); err == nil {
			err = errors.Join(k.pinFrom(ctx, id, imported{c.meta, c.blob()}), c.Close())
			if !errors.Is(err, ErrDamaged) {
				return err
			}
		}
	}
	origins, err := k.origins(id)
	if err != nil {
		return &databaseError{err}
	}
	remote, err := k.cfg.Source.Open(ctx, id, origins)
	if err != nil {
		return err
	}
	return k.pinFrom(ctx, id, remote)
}

// databaseError marks a failure of our own database.
type databaseError struct{ err error }

func (e *databaseError) Error() string { return e.err.Error() }

// pinFrom fetches what is missing of a blob, reads all of it again, and compares it with its ID. When it returns nil
// the blob is pinned, durably.
func (k *Keeper) pinFrom(ctx context.Context, id shards.BlobID, remote Remote) error {
	meta := remote.Metadata()
	if meta.Params() != k.cfg.Params || meta.ID() != id {
		return errors.New("the source gave the metadata of another blob")
	}
	rows, err := k.reserve(id, meta)
	if err != nil {
		return err
	}
	if err := k.room(missing(k.cfg.Params, rows, meta.Length)); err != nil {
		return err
	}
	c, err := k.createCopy(id, meta)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // it is synced before it counts
	f := &fetch{k: k, id: id, file: c, rows: rows, row: rowSize(k.cfg.Params, meta.Length), live: liveRows(k.cfg.Params, meta.Length)}
	if err := f.all(ctx, remote); err != nil {
		return err
	}
	if err := k.syncCopy(c); err != nil {
		return err
	}
	bad, err := k.verify(ctx, c)
	if len(bad) > 0 {
		if err := k.forgetRows(id, bad); err != nil {
			return &databaseError{err}
		}
	}
	if err != nil {
		return err
	}
	now := time.Now()
	if err := k.alterBlob(id, func(r *record) error {
		r.State, r.Tries, r.Reason, r.NextTry = pinned, 0, "", time.Time{}
		r.Have, r.Verified, r.Check, r.Again = k.cfg.Params.Rows(), now, spread(now, k.plan.Check), now
		return nil
	}); err != nil {
		if errors.Is(err, ErrNotFound) {
			return err
		}
		return &databaseError{err}
	}
	if err := k.db.sync(); err != nil {
		return &databaseError{err}
	}
	k.log.Debug("pinned", "blob", id.String(), "bytes", meta.Length)
	return nil
}

// fetch writes the missing rows of one blob as they come in, in order.
type fetch struct {
	k    *Keeper // constant, as the next five
	id   shards.BlobID
	file *copyFile
	row  int64 // bytes of a row
	live int   // rows with bytes of the blob

	rows bitmap
	at   int64 // in the blob: where the next bytes go
}

// all fetches run after run of missing rows.
func (f *fetch) all(ctx context.Context, from Remote) error {
	if err := f.zeros(); err != nil {
		return err
	}
	size := int64(f.file.meta.Length)
	for {
		first, end := f.rows.run(f.live)
		if first == f.live {
			return nil
		}
		f.at = int64(first) * f.row
		if err := from.Copy(ctx, f, f.at, min(int64(end)*f.row, size)-f.at); err != nil {
			return err
		}
		if f.rows.has(first) {
			continue
		}
		return fmt.Errorf("fetch rows %d to %d: %w", first, end-1, io.ErrUnexpectedEOF)
	}
}

// zeros notes the rows behind the end of the blob as here.
func (f *fetch) zeros() error {
	p := f.k.cfg.Params.Rows()
	if f.live == p || f.rows.has(p-1) {
		return nil
	}
	return f.mark(f.live, p)
}

// Write takes verified bytes of the blob.
func (f *fetch) Write(b []byte) (int, error) {
	if err := f.k.room(int64(len(b))); err != nil {
		return 0, err
	}
	done := 0
	for done < len(b) {
		row := int(f.at / f.row)
		end := min(int64(row+1)*f.row, int64(f.file.meta.Length))
		n, err := f.file.WriteAt(b[done:done+int(min(end-f.at, int64(len(b)-done)))], f.file.head+f.at)
		done += n
		f.at += int64(n)
		if err != nil {
			return done, err
		}
		if f.at == end {
			if err := f.mark(row, row+1); err != nil {
				return done, err
			}
			f.k.fetched.Add(1)
		}
	}
	return done, nil
}

// mark notes that rows are here.
func (f *fetch) mark(from, to int) error {
	for i := from; i < to; i++ {
		f.rows.set(i, true)
	}
	err := f.k.changeRows(f.id, func(rows bitmap) { copy(rows, f.rows) })
	if err != nil && !errors.Is(err, ErrNotFound) {
		return &databaseError{err}
	}
	return err
}
