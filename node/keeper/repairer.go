package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"walrus/internal/pause"
	"walrus/shards"
	"walrus/store"
)

// repairer rebuilds the slivers that are missing here, from symbols that other members have.
type repairer struct {
	cfg      RepairConfig
	shelf    *shelf
	chain    chain
	book     *book
	debts    *debts
	damage   *damage
	library  *library
	swarm    swarm
	memory   *semaphore.Weighted // of RepairConfig.Memory
	budget   *budget
	doubts   *doubts
	repaired atomic.Int64 // slivers since the start
	meters   *meters
	log      *slog.Logger
}

// run repairs blobs, several at once.
func (r *repairer) run(ctx context.Context) error {
	var g errgroup.Group
	for range r.cfg.Blobs {
		g.Go(func() error {
			for r.repairNext(ctx) {
			}
			return nil
		})
	}
	return g.Wait()
}

// repairNext waits for the next debt and works on it. It returns false when ctx has ended.
func (r *repairer) repairNext(ctx context.Context) bool {
	if errors.Is(r.shelf.Refuses(), store.ErrFull) { // rebuilt slivers could not be stored
		return pause.For(ctx, roomLook)
	}
	id, ok, due := r.debts.next(time.Now())
	if !ok {
		if due == 0 {
			due = time.Hour
		}
		pause.Until(ctx, due, r.debts.wake)
		return ctx.Err() == nil
	}
	r.debts.wake.ring() // another worker may take the next one
	start := time.Now()
	rebuilt, traffic, err := r.repair(ctx, id)
	status := "success"
	if err != nil {
		status = "failure"
	}
	r.meters.recoverDuration.WithLabelValues(status).Observe(time.Since(start).Seconds())
	switch {
	case ctx.Err() != nil:
		return false
	case errors.Is(err, shards.ErrInconsistent):
		r.log.Error("blob was encoded inconsistently by its writer; it cannot be repaired", "blob", id.String(), "err", err)
		r.debts.forget(id)
	case err != nil:
		r.log.Warn("repair is incomplete; it will be tried again", "blob", id.String(), "rebuilt", rebuilt, "err", err)
		r.book.owe(id)
		r.debts.failed(id, time.Now(), r.cfg.Backoff, r.cfg.MaxBackoff)
	default:
		r.log.Info("repaired", "blob", id.String(), "slivers", rebuilt, "fetched bytes", traffic, "took", time.Since(start).Round(time.Millisecond).String())
		r.book.owe(id)
		r.debts.failed(id, time.Now(), r.cfg.Backoff, r.cfg.MaxBackoff) // no effect unless owe found more missing
	}
	return true
}

// repair rebuilds every sliver of blob id that belongs here and is missing. It returns the number of slivers rebuilt
// and the bytes of symbols fetched. Slivers rebuilt before a failure stay.
func (r *repairer) repair(ctx context.Context, id shards.BlobID) (rebuilt int, traffic int64, err error) {
	meta, err := r.learnMetadata(ctx, id)
	if err != nil {
		return 0, 0, err
	}
	at, err := r.shelf.seats.now()
	if err != nil {
		return 0, 0, err
	}
	missing, err := r.shelf.missing(id, at)
	if err != nil {
		return 0, 0, err
	}
	b := r.newRebuilding(meta, missing, at)
	if err := b.do(ctx, planRepair(b.lack, missing, r.cfg.Memory)); err != nil {
		return b.rebuilt, b.traffic, err
	}
	return b.rebuilt, b.traffic, r.shelf.Sync()
}

// learnMetadata returns the metadata of a certified blob, from here or from the first member that has it.
func (r *repairer) learnMetadata(ctx context.Context, id shards.BlobID) (*shards.Metadata, error) {
	if meta, err := r.shelf.metadata(id); err == nil {
		return meta, r.keepMetadata(id, meta.Marshal())
	}
	at, err := r.shelf.seats.now()
	if err != nil {
		return nil, err
	}
	var errs error
	for _, i := range at.others() {
		m := &at.Members()[i]
		err := r.swarm.connect(ctx, m.Node)
		var raw []byte
		if err == nil {
			raw, err = bounded(ctx, func(ctx context.Context) ([]byte, error) {
				return r.swarm.Metadata(ctx, m.Node, id, r.shelf.params.MetadataSize())
			})
		}
		var meta *shards.Metadata
		if err == nil {
			meta, err = shards.UnmarshalMetadata(r.shelf.params, id, raw)
		}
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("%s: %w", m.Name, err))
			continue
		}
		return meta, r.keepMetadata(id, raw)
	}
	return nil, fmt.Errorf("fetch metadata: %w", errs)
}

// keepMetadata stores the metadata and the record of a blob: either may have been lost without the other.
func (r *repairer) keepMetadata(id shards.BlobID, raw []byte) error {
	end, err := r.chain.mayStore(id)
	if err != nil {
		return err
	}
	return r.shelf.PutBlob(id, raw, end)
}
