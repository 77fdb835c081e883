package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/p2p"
	"walrus/shards"
	"walrus/store"
)

// sources asks members for symbols of one blob, and the disk for symbols of our own slivers. It implements
// gather.Swarm.
type sources struct {
	swarm
	library *library
	self    peer.ID
	meta    *shards.Metadata
	asked   asked
}

// Connect dials a member within dialTimeout.
func (s sources) Connect(ctx context.Context, node peer.ID) error { return s.connect(ctx, node) }

// SymbolParts asks a member, or reads our own slivers.
func (s sources) SymbolParts(ctx context.Context, to peer.ID, q p2p.SymbolQuery) (all []shards.Symbol, err error) {
	if to != s.self {
		return s.swarm.SymbolParts(ctx, to, s.asked.sign(q))
	}
	for _, index := range q.Slivers {
		ref, err := s.library.shelf.locate(q.Blob, q.Axis, index)
		if err != nil {
			return nil, err
		}
		if ok, err := s.library.shelf.HasSliver(ref); err != nil || !ok {
			return nil, errors.Join(p2p.ErrNotFound, err)
		}
		symbols, err := s.library.symbols(s.meta, ref, index, q)
		if err != nil {
			return nil, err
		}
		all = append(all, symbols...)
	}
	return all, nil
}

// symbols reads one of our slivers for our own repair. Proofs are only asked for by themselves: whoever reads the
// symbols trusts the disk.
func (l *library) symbols(meta *shards.Metadata, ref store.Ref, index int, q p2p.SymbolQuery) ([]shards.Symbol, error) {
	r, err := l.open(ref)
	if err != nil {
		return nil, err
	}
	symbols := make([]shards.Symbol, len(q.Targets))
	if q.ProofLen > 0 {
		x, _, err := meta.Expand(ref.Axis, index, io.NewSectionReader(r, 0, r.Size()), nil)
		if errors.Is(err, shards.ErrSliver) { // the checksums hold, so wrong data was written
			err = fmt.Errorf("%w: %w", store.ErrCorrupt, err)
			l.damage.note(ref, err)
		}
		if err != nil {
			return nil, wireError(err)
		}
		for i, target := range q.Targets {
			symbols[i].Proof = x.Proof(target)
		}
	}
	if q.Length == 0 {
		return symbols, nil
	}
	return symbols, meta.ReadSymbols(ref.Axis, index, r, q.Targets, q.Offset, q.Length, func(parts [][]byte) error {
		for i, part := range parts {
			symbols[i].Data = append(symbols[i].Data, part...)
		}
		return nil
	})
}
