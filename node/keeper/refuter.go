package keeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"walrus/certs"
	"walrus/gather"
	"walrus/p2p"
	"walrus/shards"
)

// refuteRequests is the number of members asked at a time to verify a line proof.
const refuteRequests = 4

const (
	// maxVerifying bounds the line proofs that are verified at a time, a strip and n hashes each: one of each member, so
	// that a slow one does not hold up the others'.
	maxVerifying = 8
	// verifyTime is the length of a turn while other members wait: a line of 100 MiB takes 10 s at 10 MiB/s. In the time
	// of a request, 60 s, each of 40 members gets a turn.
	verifyTime = 12 * time.Second
)

// refuter shows that a blob is invalid if its lines cannot be rebuilt. It makes a line proof, and asks other members to
// verify and sign it. In the same way it verifies and signs other members' proofs.
type refuter struct {
	shelf    *shelf
	chain    chain
	swarm    swarm
	key      *certs.SecretKey
	invalids *invalids
	turns    *turns // to have a line proof verified
	log      *slog.Logger

	mu   sync.Mutex
	made map[shards.BlobID]*lineProof // being fetched by members; guarded by mu
}

// contradiction reports a line that the crossing lines decode to another root than the metadata has.
type contradiction struct {
	meta  *shards.Metadata
	axis  shards.Axis
	index int
	err   error
}

func (c *contradiction) Error() string { return c.err.Error() }
func (c *contradiction) Unwrap() error { return c.err }

// lineProof is the binary form of a line proof with its sliver.
type lineProof struct {
	*bytes.Reader
	axis  shards.Axis
	index int
}

// Close does nothing.
func (*lineProof) Close() error { return nil }

// recorder keeps the symbols that pass, with their proofs.
type recorder struct {
	gather.Swarm
	mu      sync.Mutex
	symbols map[int]shards.Symbol // by crossing line; guarded by mu
}

// SymbolParts asks for the symbols of one line.
func (r *recorder) SymbolParts(ctx context.Context, to peer.ID, q p2p.SymbolQuery) ([]shards.Symbol, error) {
	list, err := r.Swarm.SymbolParts(ctx, to, q)
	if err == nil && len(list) == len(q.Slivers) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for i, index := range q.Slivers {
			r.symbols[index] = list[i]
		}
	}
	return list, err
}

// refute proves that the crossing lines contradict a line of the metadata. It gathers their symbols through swarm.
func (r *refuter) refute(ctx context.Context, swarm gather.Swarm, c *contradiction) error {
	at, err := r.shelf.seats.now()
	if err != nil {
		return err
	}
	id, record := c.meta.ID(), &recorder{Swarm: swarm, symbols: map[int]shards.Symbol{}}
	_, err = gather.Symbols(ctx, record, gather.Want{
		Committee: at.Committee, ID: id, Meta: c.meta, Axis: c.axis, Targets: []int{c.index}, Window: refuteRequests,
		Proofs: true, Local: at.self,
	})
	if err != nil {
		return err
	}
	record.mu.Lock() // a late answer may still come
	l, sliver, err := r.prove(c, record.symbols)
	record.mu.Unlock()
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.made[id] = &lineProof{bytes.NewReader(append(l.Marshal(), sliver...)), c.axis, c.index}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.made, id)
	}()
	cert, err := r.signed(ctx, at, id, c.axis, c.index)
	if err != nil {
		return err
	}
	r.invalids.take(id, evidence{refuted: cert}, "axis", c.axis.String(), "line", c.index)
	return nil
}

// renew collects the signatures of this epoch for a blob whose evidence is known to the members.
func (r *refuter) renew(ctx context.Context, id shards.BlobID) (*certs.RefutationCertificate, error) {
	at, err := r.shelf.seats.now()
	if err != nil {
		return nil, err
	}
	return r.signed(ctx, at, id, shards.Primary, 0)
}

// prove makes the line proof from verified symbols: lies among them were refused, but recorded.
func (r *refuter) prove(c *contradiction, symbols map[int]shards.Symbol) (*shards.LineProof, []byte, error) {
	good := make(map[int]shards.Symbol, len(symbols))
	for line, s := range symbols {
		if c.meta.VerifySymbol(c.axis.Other(), line, c.index, s) == nil {
			good[line] = s
		}
	}
	return shards.NewLineProof(c.meta, c.axis, c.index, good)
}

// signed collects the signatures of members with one honest shard among them, ours first.
func (r *refuter) signed(ctx context.Context, at seat, id shards.BlobID, axis shards.Axis,
	index int) (*certs.RefutationCertificate, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	list, weight := []certs.Refutation{at.Refute(r.key, at.self, id)}, len(at.shards)
	var mu sync.Mutex // guards list and weight
	var g errgroup.Group
	g.SetLimit(refuteRequests)
	for _, i := range at.others() {
		mu.Lock()
		enough := weight >= at.OneHonest()
		mu.Unlock()
		if enough || ctx.Err() != nil {
			break
		}
		m := &at.Members()[i]
		g.Go(func() error {
			signed, err := r.ask(ctx, at, m, id, axis, index)
			if err != nil {
				r.log.Debug("a member does not sign that a blob is invalid", "member", m.Name, "blob", id.String(), "err", err)
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			list = append(list, signed)
			weight += len(m.Shards)
			return nil
		})
	}
	_ = g.Wait()
	cert, _, err := at.AggregateRefutations(id, list)
	return cert, err
}

func (r *refuter) ask(ctx context.Context, at seat, m *certs.Member, id shards.BlobID, axis shards.Axis,
	index int) (certs.Refutation, error) {
	if err := r.swarm.connect(ctx, m.Node); err != nil {
		return certs.Refutation{}, err
	}
	raw, err := r.swarm.Refute(ctx, m.Node, id, axis, index)
	if err != nil {
		return certs.Refutation{}, err
	}
	signed, err := certs.UnmarshalRefutation(m.Node, raw)
	if err == nil && signed.Blob != id {
		err = fmt.Errorf("it signed for blob %s", signed.Blob)
	}
	if err == nil {
		err = at.VerifyRefutation(signed)
	}
	return signed, err
}

// LineProof opens a line proof made here.
func (r *refuter) LineProof(_ context.Context, _ peer.ID, id shards.BlobID, axis shards.Axis,
	index int) (p2p.SliverReader, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.made[id]
	if l == nil || l.axis != axis || l.index != index {
		return nil, fmt.Errorf("%w: no line proof of %s sliver %d was made here", p2p.ErrNotFound, axis, index)
	}
	return l, nil
}

// Refute verifies a line proof of another member, and signs that the blob is invalid.
func (r *refuter) Refute(ctx context.Context, from peer.ID, id shards.BlobID, axis shards.Axis,
	index int) ([]byte, error) {
	at, err := r.shelf.seats.now()
	if err != nil {
		return nil, err
	}
	if _, member := at.Member(from); !member {
		return nil, fmt.Errorf("%w: only members ask for refutations", p2p.ErrNotOwner)
	}
	if !r.chain.invalid(id) {
		if err := r.verify(ctx, from, id, axis, index); err != nil {
			return nil, err
		}
	}
	return at.Refute(r.key, at.self, id).Marshal(), nil
}

// verify fetches a line proof and checks it, strip by strip.
func (r *refuter) verify(ctx context.Context, from peer.ID, id shards.BlobID, axis shards.Axis, index int) error {
	ctx, leave, err := r.turns.take(ctx, from)
	if err != nil {
		return err
	}
	defer leave()
	meta, err := r.shelf.metadata(id)
	if err != nil {
		return wireError(err)
	}
	if index >= r.shelf.params.Shards() {
		return fmt.Errorf("%w: no %s sliver %d", p2p.ErrBadRequest, axis, index)
	}
	size := r.shelf.params.LineProofSize(axis)
	body, err := r.swarm.FetchLineProof(ctx, from, id, axis, index, int64(size)+meta.Layout(axis).Size())
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	raw := make([]byte, size)
	if _, err := io.ReadFull(body, raw); err != nil {
		return fmt.Errorf("%w: %w", p2p.ErrUnavailable, err)
	}
	l, err := shards.UnmarshalLineProof(r.shelf.params, raw)
	if err == nil && (l.Axis != axis || l.Index != index) {
		err = fmt.Errorf("%w: it is about %s sliver %d", shards.ErrProof, l.Axis, l.Index)
	}
	if err == nil {
		err = l.Verify(meta, body)
	}
	switch {
	case errors.Is(err, shards.ErrProof):
		return fmt.Errorf("%w: %w", p2p.ErrBadRequest, err)
	case err != nil:
		return fmt.Errorf("%w: %w", p2p.ErrUnavailable, err)
	}
	return nil
}
