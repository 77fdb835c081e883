package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"

	"walrus/p2p"
	"walrus/shards"
	"walrus/store"
)

// Leaves proves the hashes of symbols of one of our slivers. Those of a sliver verified lately are at hand; otherwise
// it waits for its peer's share of the CPU and reads the sliver.
func (x *expander) Leaves(ctx context.Context, r p2p.LeafRequest) ([]shards.Opening, error) {
	if x.library.chain.invalid(r.Blob) {
		return nil, errInvalid
	}
	n := x.library.shelf.params.Shards()
	for _, t := range r.Targets {
		if t < 0 || t >= n {
			return nil, fmt.Errorf("%w: no symbol %d among %d", p2p.ErrBadRequest, t, n)
		}
	}
	tree, err := x.tree(ctx, x.visitor(r.From), r.Blob, r.Axis, r.Index)
	if err != nil {
		return nil, wireError(err)
	}
	if len(r.Targets) == 0 {
		all := make([]shards.Opening, n)
		for i, leaf := range tree.Leaves() {
			all[i].Leaf = leaf
		}
		return all, nil
	}
	openings := make([]shards.Opening, len(r.Targets))
	for i, target := range r.Targets {
		openings[i] = tree.Opening(target)
	}
	return openings, nil
}

// tree returns the Merkle tree of one of our slivers, which has been compared with its root.
func (x *expander) tree(ctx context.Context, who visitor, id shards.BlobID, axis shards.Axis,
	index int) (*shards.Expansion, error) {
	ref, err := x.library.shelf.locate(id, axis, index)
	if err != nil {
		return nil, err
	}
	if l := x.lines.get(ref); l != nil {
		defer x.lines.done(l)
		return l.Expansion, nil
	}
	sliver, err := x.library.open(ref)
	if err != nil {
		return nil, err
	}
	e := &expansion{
		expander: x, turn: &turn{cpu: x.cpu, who: who}, ref: ref, sliver: sliver, index: index,
	}
	defer e.turn.leave()
	if err := e.turn.enter(ctx); err != nil {
		return nil, err
	}
	meta, err := x.library.shelf.metadata(id)
	if err != nil {
		return nil, err
	}
	if hashes := x.leaves.get(ref); hashes != nil {
		return meta.NewExpansion(axis, index, hashes)
	}
	return e.grow(ctx, meta)
}

// grow reads the whole sliver and keeps its tree.
func (e *expansion) grow(ctx context.Context, meta *shards.Metadata) (*shards.Expansion, error) {
	size := meta.Layout(e.ref.Axis).SymbolSize
	l := &line{meta: meta, size: size, bytes: 2 * int64(len(meta.Pairs)) * 64} // the tree and the metadata
	e.turn.leave()
	if err := e.hold(ctx, e.scratch(size)+l.bytes); err != nil {
		return nil, err
	}
	defer e.release()
	if err := e.turn.enter(ctx); err != nil {
		return nil, err
	}
	var err error
	l.Expansion, _, err = meta.Expand(e.ref.Axis, e.index, io.NewSectionReader(e.reader(ctx), 0, e.sliver.Size()), nil)
	if errors.Is(err, shards.ErrSliver) { // the checksums hold, so wrong data was written
		err = fmt.Errorf("%w: %w", store.ErrCorrupt, err)
		e.library.damage.note(e.ref, err)
	}
	if err != nil {
		return nil, err
	}
	e.lines.put(e.ref, l)
	defer e.lines.done(l)
	return l.Expansion, nil
}
