package keeper

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/internal/pause"
	"walrus/ledger"
	"walrus/p2p"
	"walrus/shards"
)

const (
	// maxProven bounds the evidence that is kept until the ledger has it, 2 KB each. Each blob cost its writer a
	// registration.
	maxProven = 1024
	// proofSpread is the number of members that get a new proof from here. Each passes it on in the same way.
	proofSpread = 16
	// markPause is the pause until the evidence of a blob that the ledger has not marked is put there again, markExpiry
	// the heights after which it must be.
	markPause  = 2 * time.Second
	markExpiry = 1000
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

// invalids handles blobs that are proved to be encoded wrongly: it removes what is here of them, passes the evidence on
// and puts it on the ledger.
type invalids struct {
	shelf   *shelf
	chain   chain
	leases  *leases
	swarm   swarm
	key     ed25519.PrivateKey // of this peer
	network certs.NetworkID
	renew   func(context.Context, shards.BlobID) (*certs.RefutationCertificate, error)
	log     *slog.Logger

	news bell
	mu   sync.Mutex
	todo []shards.BlobID // guarded by mu, as is seen
	seen uint64          // invalid blobs since the start
}

// PutProof takes a cell proof or a refutation certificate from a peer, about a blob with a live registration. Anybody
// can make blob IDs with proofs against them for nothing: these would push out the evidence that counts, and each
// member would pass them on to others. ErrNotRegistered, or ErrUnavailable if this node has not caught up.
func (v *invalids) PutProof(_ context.Context, from peer.ID, id shards.BlobID, raw []byte) error {
	info, epoch, err := v.chain.lookUp(id)
	switch {
	case err != nil:
		return err
	case v.chain.isInvalid(id, &info):
		return nil
	case info.RegisteredUntil(epoch) == 0:
		return v.chain.notRegistered(epoch)
	}
	e, err := v.examine(id, raw, epoch)
	if err != nil {
		return err
	}
	v.take(id, e, "from", from.String())
	return nil
}

// examine verifies evidence from outside, in epoch now. ErrBadRequest if it shows nothing. Signatures must be of this
// epoch or the last: those who left long ago risk nothing by a lie, and members that believe it sign it anew.
func (v *invalids) examine(id shards.BlobID, raw []byte, now uint32) (evidence, error) {
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
	switch {
	case cert.Blob != id:
		return evidence{}, fmt.Errorf("%w: the refutation is of blob %s", p2p.ErrBadRequest, cert.Blob)
	case cert.Epoch < now && now-cert.Epoch > 1:
		return evidence{}, fmt.Errorf("%w: the refutation is of epoch %d, this is epoch %d: collect signatures again",
			p2p.ErrBadRequest, cert.Epoch, now)
	}
	at, err := v.shelf.seats.at(cert.Epoch)
	if err != nil {
		return evidence{}, err
	}
	if err := at.VerifyRefutations(cert); err != nil {
		return evidence{}, fmt.Errorf("%w: %w", p2p.ErrBadRequest, err)
	}
	return evidence{refuted: cert}, nil
}

// take notes verified evidence. run does the rest.
func (v *invalids) take(id shards.BlobID, e evidence, source ...any) {
	if !v.chain.proven.add(id, e) {
		return
	}
	what := []any{"blob", id.String()}
	if e.cell != nil {
		what = append(what, "row", e.cell.Row, "column", e.cell.Column)
	}
	v.log.Error("a blob was encoded wrongly by its writer and has no content; its slivers are removed",
		append(what, source...)...)
	v.mu.Lock()
	v.todo = append(v.todo, id)
	v.seen++
	v.mu.Unlock()
	v.news.ring()
}

// marked notes that the ledger has marked a blob, and removes what is here of it.
func (v *invalids) marked(id shards.BlobID) error {
	if !v.chain.proven.has(id) {
		v.log.Error("the ledger has marked a blob as invalid, because its writer encoded it wrongly; its slivers are removed",
			"blob", id.String())
		v.mu.Lock()
		v.seen++
		v.mu.Unlock()
	}
	return v.leases.dropDead(id)
}

// count returns the number of invalid blobs since the start.
func (v *invalids) count() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.seen
}

// run removes the slivers of invalid blobs and passes the evidence on. It puts it on the ledger until the blob is
// marked there.
func (v *invalids) run(ctx context.Context) error {
	unmarked := map[shards.BlobID]bool{}
	for {
		v.mu.Lock()
		todo := v.todo
		v.todo = nil
		v.mu.Unlock()
		for _, id := range todo {
			if err := v.leases.dropDead(id); ignoreClosed(err) != nil {
				v.log.Error("cannot remove an invalid blob; the next comparison with the ledger tries again",
					"blob", id.String(), "err", err)
			}
			unmarked[id] = true
			v.pass(ctx, id)
		}
		for id := range unmarked {
			if v.mark(ctx, id) {
				delete(unmarked, id)
			}
		}
		wait := time.Hour
		if len(unmarked) > 0 {
			wait = markPause
		}
		pause.Until(ctx, wait, v.news)
		if ctx.Err() != nil {
			return nil
		}
	}
}

// mark puts evidence on the ledger. It reports whether nothing is left to do: the blob is marked, or no registration of
// it is alive.
func (v *invalids) mark(ctx context.Context, id shards.BlobID) (done bool) {
	info, epoch, err := v.chain.lookUp(id)
	e, has := v.chain.proven.get(id)
	if err != nil || !v.chain.caughtUp() {
		return false
	}
	if !has || info.RegisteredUntil(epoch) == 0 {
		return true
	}
	var op ledger.Op
	switch {
	case e.cell != nil:
		op = ledger.DisproveBlob{BlobID: id, Proof: e.cell.Marshal()}
	case e.refuted.Epoch == epoch:
		op = ledger.RefuteBlob{BlobID: id, Certificate: e.refuted.Marshal()}
	default: // the members that know the evidence sign again
		cert, err := v.renew(ctx, id)
		if err != nil {
			v.log.Warn("cannot collect signatures again that a blob is invalid; it will be tried again",
				"blob", id.String(), "err", err)
			return false
		}
		op = ledger.RefuteBlob{BlobID: id, Certificate: cert.Marshal()}
	}
	_, height := v.chain.State()
	tx := ledger.NewFree(v.network, height+markExpiry, v.key, op)
	if err := v.chain.Submit(ctx, tx.Marshal()); err != nil && ctx.Err() == nil {
		v.log.Debug("cannot put on the ledger that a blob is invalid; it will be tried again",
			"blob", id.String(), "err", err)
	}
	return false
}

// pass gives the evidence to some other members.
func (v *invalids) pass(ctx context.Context, id shards.BlobID) {
	e, has := v.chain.proven.get(id)
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
