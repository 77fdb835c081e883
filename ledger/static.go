package ledger

import (
	"context"
	"fmt"

	"walrus/certs"
	"walrus/shards"
)

// Static is the control plane of a network that stays as its genesis says: one committee, one epoch, and every blob
// may be stored. It stands in where no ledger runs; client and node declare the interfaces that it satisfies. It is
// immutable and safe for concurrent use.
type Static struct {
	committee *certs.Committee
	endEpoch  uint32
}

// NewStatic validates g and keeps nothing of it.
func NewStatic(g *Genesis) (*Static, error) {
	c, err := g.Committee()
	if err != nil {
		return nil, err
	}
	return &Static{committee: c, endEpoch: g.EndEpoch}, nil
}

// Committee is the committee of the current epoch: always that of the genesis. It fails only when ctx has ended.
func (s *Static) Committee(ctx context.Context) (*certs.Committee, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("fetch committee: %w", err)
	}
	return s.committee, nil
}

// MayStore says until which epoch, exclusive, a node may keep blob: for all the genesis' EndEpoch. It fails only when
// ctx has ended.
func (s *Static) MayStore(ctx context.Context, blob shards.BlobID) (endEpoch uint32, err error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("look up registration of blob %s: %w", blob, err)
	}
	return s.endEpoch, nil
}
