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
	pins     Pins // nil: pinners are not asked
	refuter  *refuter
	memory   *semaphore.Weighted // of RepairConfig.Memory
	budget   *budget
	doubts   *doubts
	reach    *reach
	progress *progress
	quiet    *quiet       // about single blobs
	repaired atomic.Int64 // slivers since the start
	meters   *meters
	log      *slog.Logger
}

// run repairs blobs, several at once, and logs now and then how far it is.
func (r *repairer) run(ctx context.Context) error {
	var g errgroup.Group
	for range r.cfg.Blobs {
		g.Go(func() error {
			for r.repairNext(ctx) {
			}
			return nil
		})
	}
	g.Go(func() error {
		for pause.For(ctx, reportPause) {
			r.report(time.Now())
		}
		return nil
	})
	g.Go(func() error {
		for ctx.Err() == nil {
			r.debts.restart()
			r.book.kept.each(func(id shards.BlobID, slivers int) {
				r.debts.set(id, slivers, time.Now())
				r.book.rate(id, nil)
			})
			select {
			case <-ctx.Done():
			case <-r.debts.refill:
			}
		}
		return nil
	})
	return g.Wait()
}

// reportPause is the time between two reports of a repair that goes on.
const reportPause = time.Minute

// report logs how far the repair is.
func (r *repairer) report(now time.Time) {
	owed := r.debts.total()
	if owed == 0 {
		return
	}
	waiting, active := r.debts.backlog()
	estimate := "unknown"
	if left := r.progress.left(now, owed); left > 0 {
		estimate = left.String()
	}
	r.log.Info("repair goes on", "slivers owed", owed, "blobs", waiting+active,
		"repaired per second", fmt.Sprintf("%.1f", r.progress.rate(now)), "time left", estimate)
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
	b, err := r.repair(ctx, id)
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
		return true
	}
	r.book.owe(id)
	now := time.Now()
	attempts := r.debts.failed(id, now, r.cfg.Backoff, r.cfg.MaxBackoff) // no effect if nothing is missing any more
	level := slog.LevelDebug
	if err == nil {
		if r.quiet.allows(now) {
			level = slog.LevelInfo
		}
		r.log.Log(ctx, level, "repaired", "blob", id.String(), "slivers", b.rebuilt, "fetched bytes", b.traffic, "took",
			time.Since(start).Round(time.Millisecond).String())
		return true
	}
	if attempts <= 1 && r.quiet.allows(now) { // later failures of the same blob show in the reports
		level = slog.LevelWarn
	}
	r.book.rate(id, b.lacking())
	r.log.Log(ctx, level, "repair is incomplete; it will be tried again", "blob", id.String(), "rebuilt", b.rebuilt,
		"err", err)
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
		err = r.refuter.refute(ctx, sources{r.swarm, r.library, at.self, line.meta, r.chain.asking()}, line)
	}
	if err != nil && ctx.Err() == nil {
		r.log.Warn("that a blob was encoded wrongly cannot be proved now; it will be tried again",
			"blob", id.String(), "err", err)
	}
	r.book.owe(id) // nothing, once it is proved
	r.debts.failed(id, time.Now(), r.cfg.Backoff, r.cfg.MaxBackoff)
}

// repair rebuilds every sliver of blob id that belongs here and is missing. Slivers rebuilt before a failure stay.
func (r *repairer) repair(ctx context.Context, id shards.BlobID) (*rebuilding, error) {
	b := new(rebuilding)
	meta, err := r.learnMetadata(ctx, id)
	if err != nil {
		return b, err
	}
	at, err := r.shelf.seats.now()
	if err != nil {
		return b, err
	}
	missing, err := r.shelf.missing(id, at)
	if err != nil {
		return b, err
	}
	b = r.newRebuilding(meta, missing, at)
	err = b.do(ctx, planRepair(b.lack, missing, r.cfg.Memory))
	if err != nil && r.pins != nil && ctx.Err() == nil && !errors.Is(err, shards.ErrInconsistent) {
		if pinned := b.fromPins(ctx); pinned != nil {
			return b, fmt.Errorf("%w; from pinners: %w", err, pinned)
		}
	} else if err != nil {
		return b, err
	}
	return b, r.shelf.Sync()
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
	if raw, meta, err := r.pinnedMetadata(ctx, id); err == nil {
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
