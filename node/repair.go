package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"walrus/shards"
	"walrus/store"
)

// runRepair pays the debts, several blobs at once.
func (n *Node) runRepair(ctx context.Context) error {
	var g errgroup.Group
	for range n.cfg.Repair.Blobs {
		g.Go(func() error {
			for n.repairNext(ctx) {
			}
			return nil
		})
	}
	return g.Wait()
}

// repairNext waits for the next debt and works on it. It returns false when ctx has ended.
func (n *Node) repairNext(ctx context.Context) bool {
	if errors.Is(n.store.Refuses(), store.ErrFull) { // rebuilt slivers could not be stored
		return wait(ctx, roomLook, nil)
	}
	id, ok, pause := n.debts.next(time.Now())
	if !ok {
		if pause == 0 {
			pause = time.Hour
		}
		return wait(ctx, pause, n.debts.wake)
	}
	n.debts.poke() // another worker may take the next one
	start := time.Now()
	rebuilt, traffic, err := n.repair(ctx, id)
	status := "success"
	if err != nil {
		status = "failure"
	}
	n.meters.recoverDuration.WithLabelValues(status).Observe(time.Since(start).Seconds())
	switch {
	case ctx.Err() != nil:
		return false
	case errors.Is(err, shards.ErrInconsistent):
		n.log.Error("blob was encoded inconsistently by its writer; it cannot be repaired", "blob", id.String(), "err", err)
		n.debts.giveUp(id)
	case err != nil:
		n.log.Warn("repair is not complete; it will be tried again", "blob", id.String(), "rebuilt", rebuilt, "err", err)
		n.owe(id)
		n.debts.failed(id, time.Now(), n.cfg.Repair.Backoff, n.cfg.Repair.MaxBackoff)
	default:
		n.log.Info("repaired", "blob", id.String(), "slivers", rebuilt, "fetched bytes", traffic, "took", time.Since(start).Round(time.Millisecond).String())
		n.owe(id)
		n.debts.failed(id, time.Now(), n.cfg.Repair.Backoff, n.cfg.Repair.MaxBackoff) // if owe found more
	}
	return true
}

// repairOrder puts secondary slivers first. A secondary sliver needs symbols of only p rows, a primary of s columns,
// and our rebuilt secondaries count as such columns. So a node recovers even if more than f shards, its own included,
// are out of reach.
var repairOrder = []shards.Axis{shards.Secondary, shards.Primary}

// repair rebuilds every sliver of blob id that belongs here and is missing. It returns the number of slivers rebuilt
// and the bytes of symbols fetched. Slivers rebuilt before a failure stay.
func (n *Node) repair(ctx context.Context, id shards.BlobID) (rebuilt int, traffic int64, err error) {
	meta, err := n.learnMetadata(ctx, id)
	if err != nil {
		return 0, 0, err
	}
	missing, err := n.missing(id)
	if err != nil {
		return 0, 0, err
	}
	for _, axis := range repairOrder {
		targets := map[int]store.Ref{} // by sliver index
		for _, ref := range missing {
			if ref.Axis == axis {
				targets[n.params.SliverOfPair(axis, n.params.PairOnShard(id, ref.Shard))] = ref
			}
		}
		for _, group := range groups(targets, n.cfg.Repair.Memory, meta.Layout(axis).Size()) {
			made, fetched, err := n.rebuildGroup(ctx, meta, id, axis, group, targets)
			rebuilt, traffic = rebuilt+made, traffic+fetched
			if err != nil {
				return rebuilt, traffic, err
			}
		}
	}
	return rebuilt, traffic, n.store.Sync()
}

// rebuildGroup rebuilds slivers that fit in memory together.
func (n *Node) rebuildGroup(ctx context.Context, meta *shards.Metadata, id shards.BlobID, axis shards.Axis, group []int, refs map[int]store.Ref) (made int, traffic int64, err error) {
	weight := min(int64(len(group))*meta.Layout(axis).Size(), n.cfg.Repair.Memory)
	if err := n.symbolMemory.Acquire(ctx, weight); err != nil {
		return 0, 0, err
	}
	defer n.symbolMemory.Release(weight)
	r := &rebuild{n: n, meta: meta, id: id, axis: axis, targets: group}
	if err := r.run(ctx); err != nil {
		return 0, r.traffic, err
	}
	for i, index := range group {
		if err := n.keep(meta, refs[index], index, r.symbolsOf(i)); err != nil {
			return made, r.traffic, err
		}
		made++
	}
	return made, r.traffic, nil
}

// groups splits the sliver indices into lists that fit in memory, at least one sliver each.
func groups(targets map[int]store.Ref, memory, size int64) [][]int {
	most := int(max(1, memory/size))
	var out [][]int
	var group []int
	for index := range targets {
		if group = append(group, index); len(group) == most {
			out, group = append(out, group), nil
		}
	}
	if group != nil {
		out = append(out, group)
	}
	return out
}

// keep rebuilds one sliver from its symbols, which also checks it, and stores it.
func (n *Node) keep(meta *shards.Metadata, ref store.Ref, index int, symbols map[int][]byte) error {
	sliver, err := meta.Rebuild(ref.Axis, index, symbols)
	if err != nil {
		return fmt.Errorf("rebuild %s sliver %d: %w", ref.Axis, index, err)
	}
	w, err := n.store.Create(ref, int64(len(sliver)))
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
	n.damaged.mended(ref)
	n.repaired.Add(1)
	n.meters.stored(ref.Axis)
	return nil
}

// learnMetadata returns the metadata of a certified blob, from here or from the first member that has it.
func (n *Node) learnMetadata(ctx context.Context, id shards.BlobID) (*shards.Metadata, error) {
	if meta, err := n.metadata(id); err == nil {
		return meta, n.keepMetadata(id, meta.Marshal())
	}
	members := n.committee.Members()
	var errs error
	for _, i := range rand.Perm(len(members)) {
		m := &members[i]
		if m.Node == n.host.ID() {
			continue
		}
		err := n.connect(ctx, m.Node)
		var raw []byte
		if err == nil {
			raw, err = bounded(ctx, func(ctx context.Context) ([]byte, error) {
				return n.host.Metadata(ctx, m.Node, id, n.params.MetadataSize())
			})
		}
		var meta *shards.Metadata
		if err == nil {
			meta, err = shards.UnmarshalMetadata(n.params, id, raw)
		}
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("%s: %w", m.Name, err))
			continue
		}
		return meta, n.keepMetadata(id, raw)
	}
	return nil, fmt.Errorf("fetch metadata: %w", errs)
}

// keepMetadata stores the metadata and the record of a blob: either may have been lost without the other.
func (n *Node) keepMetadata(id shards.BlobID, raw []byte) error {
	end, err := n.mayStore(id)
	if err != nil {
		return err
	}
	return n.store.PutBlob(id, raw, end)
}
