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
	refuter  *refuter
	memory   *semaphore.Weighted // of RepairConfig.Memory
	repaired atomic.Int64        // slivers since the start
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
		r.log.Error("a sliver cannot be rebuilt: its blob was encoded wrongly by its writer", "blob", id.String(), "err", err)
		r.refute(ctx, id, err)
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

// refute proves that the blob is invalid. Until that is done, it stays a debt.
func (r *repairer) refute(ctx context.Context, id shards.BlobID, cause error) {
	var line *contradiction
	if !errors.As(cause, &line) {
		return
	}
	at, err := r.shelf.seats.now()
	if err == nil {
		err = r.refuter.refute(ctx, sources{r.swarm, r.library, at.self, line.meta}, line)
	}
	if err != nil && ctx.Err() == nil {
		r.log.Warn("that a blob was encoded wrongly cannot be proved now; it will be tried again", "blob", id.String(), "err", err)
	}
	r.book.owe(id) // nothing, once it is proved
	r.debts.failed(id, time.Now(), r.cfg.Backoff, r.cfg.MaxBackoff)
}

// repair rebuilds every sliver of blob id that belongs here and is missing. It returns the number of slivers rebuilt
// and the bytes of symbols fetched. Slivers rebuilt before a failure stay.
func (r *repairer) repair(ctx context.Context, id shards.BlobID) (rebuilt int, traffic int64, err error) {
	meta, err := r.learnMetadata(ctx, id)
	if err != nil {
		return 0, 0, err
	}
	missing, err := r.shelf.missingNow(id)
	if err != nil {
		return 0, 0, err
	}
	size := func(axis shards.Axis) int64 { return meta.Layout(axis).Size() }
	for _, step := range planRepair(r.shelf.params, missing, r.cfg.Memory, size) {
		made, fetched, err := r.rebuild(ctx, meta, step)
		rebuilt, traffic = rebuilt+made, traffic+fetched
		if err != nil {
			return rebuilt, traffic, err
		}
	}
	return rebuilt, traffic, r.shelf.Sync()
}

// rebuild carries out one step of the plan.
func (r *repairer) rebuild(ctx context.Context, meta *shards.Metadata, step step) (made int, traffic int64, err error) {
	axis := step[0].Axis
	weight := min(int64(len(step))*meta.Layout(axis).Size(), r.cfg.Memory)
	if err := r.memory.Acquire(ctx, weight); err != nil {
		return 0, 0, err
	}
	defer r.memory.Release(weight)
	indices := make([]int, len(step))
	for i, t := range step {
		indices[i] = t.index
	}
	got, err := r.collect(ctx, meta, axis, indices)
	if err != nil {
		return 0, got.Traffic, err
	}
	for i, t := range step {
		if err := r.keep(meta, t, got.Of(i)); err != nil {
			return made, got.Traffic, err
		}
		made++
	}
	return made, got.Traffic, nil
}

// keep rebuilds one sliver from its symbols, which also checks it, and stores it.
func (r *repairer) keep(meta *shards.Metadata, t target, symbols map[int][]byte) error {
	sliver, err := meta.Rebuild(t.Axis, t.index, symbols)
	if err != nil {
		err = fmt.Errorf("rebuild %s sliver %d: %w", t.Axis, t.index, err)
		if errors.Is(err, shards.ErrInconsistent) {
			err = &contradiction{meta, t.Axis, t.index, err}
		}
		return err
	}
	w, err := r.shelf.Create(t.Ref, int64(len(sliver)))
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(sliver); err != nil {
		return err
	}
	if err := w.Commit(); err != nil {
		return err
	}
	r.damage.mended(t.Ref)
	r.repaired.Add(1)
	r.meters.stored(t.Axis)
	return nil
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
