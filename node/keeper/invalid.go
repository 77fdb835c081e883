package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/p2p"
	"walrus/shards"
)

const (
	// maxProven bounds the evidence that is kept until the ledger has it, 2 KB each. Each blob cost its writer a
	// registration.
	maxProven = 1024
	// proofSpread is the number of members that get a new proof from here. Each passes it on in the same way.
	proofSpread = 16
)

// evidence shows that a blob is invalid: by one of both.
type evidence struct {
	cell    *shards.CellProof
	refuted *certs.RefutationCertificate
}

func (e evidence) marshal() []byte {
	if e.cell != nil {
		return e.cell.Marshal()
	}
	return e.refuted.Marshal()
}

// proven keeps the evidence for blobs that were encoded wrongly. A nil proven has none.
type proven struct {
	mu    sync.Mutex
	found map[shards.BlobID]evidence // guarded by mu, as is order
	order []shards.BlobID            // the oldest first
}

func newProven() *proven { return &proven{found: map[shards.BlobID]evidence{}} }

func (p *proven) has(id shards.BlobID) bool {
	_, has := p.get(id)
	return has
}

func (p *proven) get(id shards.BlobID) (e evidence, has bool) {
	if p == nil {
		return e, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e, has = p.found[id]
	return e, has
}

// add keeps verified evidence in place of the oldest. It reports whether the blob had none.
func (p *proven) add(id shards.BlobID, e evidence) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, has := p.found[id]; has {
		return false
	}
	p.found[id] = e
	if p.order = append(p.order, id); len(p.order) > maxProven {
		delete(p.found, p.order[0])
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

// PutProof takes a cell proof or a refutation certificate from a peer.
func (v *invalids) PutProof(_ context.Context, from peer.ID, id shards.BlobID, raw []byte) error {
	if v.proven.has(id) {
		return nil
	}
	e, err := v.examine(id, raw)
	if err != nil {
		return err
	}
	v.take(id, e, "from", from.String())
	return nil
}

// examine verifies evidence from outside. ErrBadRequest if it shows nothing.
func (v *invalids) examine(id shards.BlobID, raw []byte) (evidence, error) {
	cell, err := shards.UnmarshalCellProof(v.shelf.params, raw)
	if err == nil {
		err = cell.Verify(v.shelf.params, id)
	}
	if err == nil {
		return evidence{cell: cell}, nil
	}
	cert, certErr := certs.UnmarshalRefutationCertificate(raw)
	if certErr != nil {
		return evidence{}, fmt.Errorf("%w: %w", p2p.ErrBadRequest, err)
	}
	at, err := v.shelf.seats.at(cert.Epoch)
	if err != nil {
		return evidence{}, err
	}
	if cert.Blob != id {
		return evidence{}, fmt.Errorf("%w: the refutation is of blob %s", p2p.ErrBadRequest, cert.Blob)
	}
	if err := at.VerifyRefutations(cert); err != nil {
		return evidence{}, fmt.Errorf("%w: %w", p2p.ErrBadRequest, err)
	}
	return evidence{refuted: cert}, nil
}

// take notes verified evidence. run does the rest.
func (v *invalids) take(id shards.BlobID, e evidence, source ...any) {
	if !v.proven.add(id, e) {
		return
	}
	what := []any{"blob", id.String()}
	if e.cell != nil {
		what = append(what, "row", e.cell.Row, "column", e.cell.Column)
	}
	v.log.Error("a blob was encoded wrongly by its writer and has no content; its slivers are removed", append(what, source...)...)
	v.mu.Lock()
	v.todo = append(v.todo, id)
	v.mu.Unlock()
	v.news.ring()
}

// run removes the slivers of invalid blobs and passes the evidence on.
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

// pass gives the evidence to some other members.
func (v *invalids) pass(ctx context.Context, id shards.BlobID) {
	e, has := v.proven.get(id)
	at, err := v.shelf.seats.now()
	if !has || err != nil {
		return
	}
	raw := e.marshal()
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
