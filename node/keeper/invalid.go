package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/p2p"
	"walrus/shards"
)

const (
	// maxProven bounds the cell proofs that are kept until the ledger has them, 2 KB each. Each cost its writer a
	// registration.
	maxProven = 1024
	// proofSpread is the number of members that get a new proof from here. Each passes it on in the same way.
	proofSpread = 16
)

// proven keeps the proofs of blobs that were encoded wrongly. A nil proven has none.
type proven struct {
	mu     sync.Mutex
	proofs map[shards.BlobID]*shards.CellProof // guarded by mu, as is order
	order  []shards.BlobID                     // the oldest first
}

func newProven() *proven { return &proven{proofs: map[shards.BlobID]*shards.CellProof{}} }

func (p *proven) has(id shards.BlobID) bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.proofs[id] != nil
}

// add keeps a verified proof in place of the oldest. It reports whether the blob had none.
func (p *proven) add(id shards.BlobID, proof *shards.CellProof) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proofs[id] != nil {
		return false
	}
	p.proofs[id] = proof
	if p.order = append(p.order, id); len(p.order) > maxProven {
		delete(p.proofs, p.order[0])
		p.order = p.order[1:]
	}
	return true
}

// invalids handles blobs that are proved to be encoded wrongly: it removes what is here of them and passes the proof
// on.
type invalids struct {
	shelf  *shelf
	proven *proven
	leases *leases
	swarm  swarm
	log    *slog.Logger

	news bell
	mu   sync.Mutex
	todo []shards.BlobID // guarded by mu
}

// PutProof takes a cell proof from a peer.
func (v *invalids) PutProof(_ context.Context, from peer.ID, id shards.BlobID, raw []byte) error {
	if v.proven.has(id) {
		return nil
	}
	proof, err := shards.UnmarshalCellProof(v.shelf.params, raw)
	if err == nil {
		err = proof.Verify(v.shelf.params, id)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", p2p.ErrBadRequest, err)
	}
	v.take(id, proof, "from", from.String())
	return nil
}

// take notes a verified proof. run does the rest.
func (v *invalids) take(id shards.BlobID, proof *shards.CellProof, source ...any) {
	if !v.proven.add(id, proof) {
		return
	}
	v.log.Error("a blob was encoded wrongly by its writer and has no content; its slivers are removed",
		append([]any{"blob", id.String(), "row", proof.Row, "column", proof.Column}, source...)...)
	v.mu.Lock()
	v.todo = append(v.todo, id)
	v.mu.Unlock()
	v.news.ring()
}

// run removes the slivers of invalid blobs and passes their proofs on.
func (v *invalids) run(ctx context.Context) error {
	for {
		v.mu.Lock()
		todo := v.todo
		v.todo = nil
		v.mu.Unlock()
		for _, id := range todo {
			if err := v.leases.dropDead(id); ignoreClosed(err) != nil {
				v.log.Error("cannot remove an invalid blob; the next comparison with the ledger tries again", "blob", id.String(), "err", err)
			}
			v.pass(ctx, id)
		}
		select {
		case <-v.news:
		case <-ctx.Done():
			return nil
		}
	}
}

// pass gives the proof to some other members.
func (v *invalids) pass(ctx context.Context, id shards.BlobID) {
	v.proven.mu.Lock()
	proof := v.proven.proofs[id]
	v.proven.mu.Unlock()
	at, err := v.shelf.seats.now()
	if proof == nil || err != nil {
		return
	}
	raw := proof.Marshal()
	var g sync.WaitGroup
	others := at.others()
	for _, i := range others[:min(len(others), proofSpread)] {
		m := &at.Members()[i]
		g.Go(func() {
			err := v.swarm.connect(ctx, m.Node)
			if err == nil {
				_, err = bounded(ctx, func(ctx context.Context) (struct{}, error) {
					return struct{}{}, v.swarm.PutProof(ctx, m.Node, id, raw)
				})
			}
			if err != nil && !errors.Is(err, context.Canceled) {
				v.log.Debug("cannot pass on the proof that a blob is invalid", "to", m.Name, "blob", id.String(), "err", err)
			}
		})
	}
	g.Wait()
}
