package pin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"walrus/shards"
)

// verify reads the whole copy, encodes it again and compares the ID. If they differ it finds the rows that are damaged;
// if none is, the blob has no content: its writer encoded it wrongly.
func (k *Keeper) verify(ctx context.Context, c *copyFile) (bad []int, err error) {
	k.checking.Lock()
	defer k.checking.Unlock()
	enc, err := shards.NewEncoder(k.cfg.Params, c.blob(), c.meta.Length)
	if err != nil {
		return nil, err
	}
	again, err := enc.Metadata(ctx, nil)
	if err != nil {
		return nil, damaged(err)
	}
	if again.ID() == c.meta.ID() {
		return nil, nil
	}
	for i := range liveRows(k.cfg.Params, c.meta.Length) {
		if again.Root(shards.Primary, i) != c.meta.Root(shards.Primary, i) {
			bad = append(bad, i)
		}
	}
	if len(bad) > 0 {
		return bad, fmt.Errorf("%w: %d of %d rows are fetched again", ErrDamaged, len(bad), k.cfg.Params.Rows())
	}
	return nil, fmt.Errorf("%w: it is invalid: its rows and columns do not fit together", ErrRefused)
}

// Verify reads a pinned blob now, encodes it again and compares it with its ID. Damaged rows are fetched again.
func (k *Keeper) Verify(ctx context.Context, id shards.BlobID) error {
	work, release, ok := k.claim(ctx, id, false)
	if !ok {
		return fmt.Errorf("verify %s: it is being worked on: try again", id)
	}
	defer release()
	if err := k.check(work, id); err != nil {
		return fmt.Errorf("verify %s: %w", id, err)
	}
	return nil
}

// check reads a pinned blob again and records the outcome, which it also returns.
func (k *Keeper) check(ctx context.Context, id shards.BlobID) error {
	r, err := k.record(id)
	if err != nil {
		return err
	}
	if r.State != pinned {
		return fmt.Errorf("%w: the blob is not pinned yet", ErrNotFound)
	}
	if err := k.judge(ctx, id); err != nil {
		return err
	}
	var bad []int
	c, found := k.openCopy(id)
	if found == nil {
		bad, found = k.verify(ctx, c)
		found = errors.Join(found, c.Close())
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	now := time.Now()
	switch {
	case found == nil:
		if err := k.alterBlob(id, func(r *record) error {
			r.Verified, r.Check = now, spread(now, k.plan.Check)
			return nil
		}); err != nil {
			return err
		}
		return k.db.sync()
	case errors.Is(found, ErrRefused):
		return errors.Join(found, k.giveUp(id, found))
	case !errors.Is(found, ErrDamaged): // the disk does not read now
		_ = k.alterBlob(id, func(r *record) error {
			r.Check = now.Add(k.plan.LastRetry)
			return nil
		})
		return found
	}
	k.log.Warn("a pinned blob is damaged on disk; its rows are fetched again", "blob", id.String(), "err", found)
	k.files.forget(id)
	if err := k.changeRows(id, func(rows bitmap) {
		if len(bad) == 0 { // not even the metadata can be read
			clear(rows)
		}
		for _, i := range bad {
			rows.set(i, false)
		}
	}); err != nil {
		return errors.Join(found, err)
	}
	return errors.Join(found, k.alterBlob(id, func(r *record) error {
		r.State, r.Asked, r.NextTry, r.Tries, r.Queue, r.Reason = want, now, now, 0, 0, found.Error()
		return nil
	}))
}

// judge asks whether a blob must not be kept any more, and gives it up then.
func (k *Keeper) judge(ctx context.Context, id shards.BlobID) error {
	err := k.cfg.blocked(id)
	if err == nil && k.cfg.Judge != nil {
		err = k.cfg.Judge(ctx, id)
	}
	if errors.Is(err, ErrRefused) {
		return errors.Join(err, k.giveUp(id, err))
	}
	return nil // a ledger that does not answer convicts nobody
}

// blocked returns an error that wraps ErrRefused for a blob that the operator blocks.
func (c *Config) blocked(id shards.BlobID) error {
	if c.Blocked != nil && c.Blocked(id) {
		return fmt.Errorf("%w: it is on the operator's blocklist", ErrRefused)
	}
	return nil
}

// Judge lets a blob be judged anew, soon: a pinned one that is blocked now is given up, and one that was refused is
// fetched again unless it still must not be. It costs one look-up for a blob that nobody asked for.
func (k *Keeper) Judge(id shards.BlobID) error {
	r, err := k.record(id)
	if err == nil && r.State != want {
		now := time.Now()
		err = k.alterBlob(id, func(r *record) error {
			switch r.State {
			case pinned:
				r.Check = now
			case refused:
				r.State, r.Asked, r.NextTry, r.Tries, r.Queue = want, now, now, 0, 0
			}
			return nil
		})
		k.wake()
	}
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// giveUp stops keeping a blob. Its requests stay, and say why.
func (k *Keeper) giveUp(id shards.BlobID, why error) error {
	if err := k.alterBlob(id, func(r *record) error {
		r.State, r.Reason, r.NextTry, r.Known, r.Have, r.Tries = refused, why.Error(), time.Time{}, false, 0, 1
		return nil
	}); err != nil {
		return err
	}
	return k.refuse(id)
}

// refuse removes what is here of a refused blob.
func (k *Keeper) refuse(id shards.BlobID) error {
	k.log.Warn("a blob is not kept any more, because it is invalid or blocked", "blob", id.String())
	k.files.forget(id)
	if err := removeFile(k.path(id)); err != nil {
		return err
	}
	return k.update(func(t *tx, _ *counts) error { return t.remove(blobKey(keyRows, id)) })
}

// checkAll reads blobs again as they become due, one after the other.
func (k *Keeper) checkAll(ctx context.Context) error {
	for {
		ids, later, err := k.due([]byte{keyCheck}, 1)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			next := time.Now().Add(look)
			if !later.IsZero() && later.Before(next) {
				next = later
			}
			if !await(ctx, next, k.schedules[bellCheck]) {
				return nil
			}
			continue
		}
		work, release, ok := k.claim(ctx, ids[0], false)
		if !ok {
			if !sleep(ctx, time.Second) {
				return nil
			}
			continue
		}
		err = k.check(work, ids[0])
		release()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil, errors.Is(err, ErrNotFound), errors.Is(err, ErrDamaged), errors.Is(err, ErrRefused):
		default:
			k.log.Warn("a pinned blob could not be checked", "blob", ids[0].String(), "err", err)
			if !sleep(ctx, time.Second) {
				return nil
			}
		}
	}
}
