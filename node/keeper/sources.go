package keeper

import (
	"context"
	"errors"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/gather"
	"walrus/p2p"
	"walrus/shards"
)

// sources asks members for symbols of one blob, and the disk for symbols of our own slivers. It implements
// gather.Swarm.
type sources struct {
	swarm
	library *library
	self    peer.ID
	meta    *shards.Metadata
}

// Connect dials a member within dialTimeout.
func (s sources) Connect(ctx context.Context, node peer.ID) error { return s.connect(ctx, node) }

// Symbols asks a member, or reads our own sliver.
func (s sources) Symbols(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index int, targets []int, symbolSize int64, proofLen int) ([]shards.Symbol, error) {
	if to != s.self {
		return s.swarm.Symbols(ctx, to, id, axis, index, targets, symbolSize, proofLen)
	}
	ref, err := s.library.shelf.locate(id, axis, index)
	if err != nil {
		return nil, err
	}
	if ok, err := s.library.shelf.HasSliver(ref); err != nil || !ok {
		return nil, errors.Join(p2p.ErrNotFound, err)
	}
	return s.library.symbols(s.meta, ref, index, targets)
}

// collect gathers the symbols from which the slivers of a blob at the indices targets along axis are rebuilt. The
// result so far comes with an error too.
func (r *repairer) collect(ctx context.Context, meta *shards.Metadata, axis shards.Axis, targets []int) (*gather.Gathered, error) {
	at, err := r.shelf.seats.now()
	if err != nil {
		return &gather.Gathered{}, err
	}
	id := meta.ID()
	got, err := gather.Symbols(ctx, sources{r.swarm, r.library, at.self, meta}, gather.Want{
		Committee: at.Committee, ID: id, Meta: meta, Axis: axis, Targets: targets, Window: r.cfg.Requests, Local: at.self,
	})
	for _, liar := range got.Liars() {
		r.log.Warn("peer served wrong symbols", "peer", at.Members()[liar.Holder].Name, "blob", id.String(), "err", liar.Err)
	}
	return got, err
}
