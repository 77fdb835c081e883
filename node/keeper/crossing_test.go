package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/internal/wrongtest"
	"walrus/ledger"
	"walrus/p2p"
	"walrus/shards"
	"walrus/store"
)

// keep stores a pair of another encoding, without its hashes, as a node finds it after a restart.
func (o *outpost) keep(e *wrongtest.Encoding) {
	o.t.Helper()
	o.ledger.values[string(ledger.KeyBlobInfo(e.ID))] = ledger.BlobInfo{PermanentEnd: 9}.Marshal()
	must(o.t, o.shelf.PutBlob(e.ID, e.Meta.Marshal(), 9))
	primary, secondary := e.Pair(e.Params.PairOnShard(e.ID, 0))
	for axis, sliver := range [][]byte{primary, secondary} {
		w, err := o.shelf.Create(store.Ref{Blob: e.ID, Axis: shards.Axis(axis)}, int64(len(sliver)))
		must(o.t, err)
		_, err = w.Write(sliver)
		must(o.t, err)
		must(o.t, w.Commit())
	}
}

// TestCrossingRead: cells are read from the disk if the hashes are not at hand. A blob whose row and column here differ
// is not confirmed, and the evidence is kept; another one is confirmed.
func TestCrossingRead(t *testing.T) {
	o := newOutpost(t, 10, []byte("a blob"))
	params := o.shelf.params
	for seed := range byte(255) {
		blob := wrongtest.Content(3000, seed)
		for name, foreign := range map[string]bool{"wrong": true, "right": false} {
			e := wrongtest.Mix(t, name, params, blob, wrongtest.Content(3000, 255),
				func(axis shards.Axis, _ int) bool { return foreign && axis == shards.Secondary })
			row := params.PairOnShard(e.ID, 0)
			column := params.SliverOfPair(shards.Secondary, row)
			if row >= params.Rows() || column >= params.Columns() {
				continue // the cell is a symbol of neither sliver itself
			}
			o.keep(e)
			_, err := o.confirmer.Confirm(t.Context(), e.ID, certs.Persistence{})
			if !foreign {
				must(t, err)
				continue
			}
			if !errors.Is(err, p2p.ErrInvalid) {
				t.Fatalf("confirm: %v, want %v", err, p2p.ErrInvalid)
			}
			found, has := o.chain.proven.get(e.ID)
			if !has || found.cell == nil || found.cell.Row != row || found.cell.Column != column {
				t.Errorf("evidence %+v, want the cell (%d, %d)", found, row, column)
			}
			if err := o.chain.certified(e.ID); err == nil || !o.chain.dead(e.ID) {
				t.Errorf("a blob proved invalid: certified %v", err)
			}
			if seed > 50 {
				return
			}
		}
	}
}

// TestLaterChecks: a blob waits once, is taken when it is due, and the queue is bounded.
func TestLaterChecks(t *testing.T) {
	c := &checker{wake: newBell(), known: map[shards.BlobID]bool{}}
	for i := range maxChecks + 10 {
		c.later(shards.BlobID{byte(i), byte(i >> 8)})
		c.later(shards.BlobID{byte(i), byte(i >> 8)})
	}
	if len(c.queue) != maxChecks {
		t.Fatalf("%d blobs wait: want %d", len(c.queue), maxChecks)
	}
	first := c.queue[0].due
	for _, q := range c.queue {
		if q.due.Before(first) {
			first = q.due
		}
	}
	if _, ok, wait := c.next(first.Add(-1)); ok || wait <= 0 {
		t.Errorf("taken before it is due, or nothing to wait for: %v", wait)
	}
	id, ok, _ := c.next(first)
	if !ok || c.known[id] || len(c.queue) != maxChecks-1 {
		t.Errorf("%d blobs wait after one was due", len(c.queue))
	}
}

// BenchmarkCrossing compares all cells where the lines of a node cross, whose hashes are at hand.
func BenchmarkCrossing(b *testing.B) {
	params, err := shards.NewParams(1000)
	if err != nil {
		b.Fatal(err)
	}
	meta := &shards.Metadata{Length: 1, Pairs: make([]shards.PairRoots, 1000)}
	for _, own := range []int{10, 100, 500} {
		b.Run(fmt.Sprint(own, " shards"), func(b *testing.B) {
			c := &crossings{shelf: &shelf{params: params}, leaves: newLeaves()}
			at := seat{}
			hashes := make([]shards.Hash, 1000)
			for shard := range own {
				at.shards = append(at.shards, shard)
				for _, axis := range axes {
					c.leaves.put(store.Ref{Blob: meta.ID(), Shard: shard, Axis: axis}, hashes)
				}
			}
			for b.Loop() {
				if _, differs, err := c.differing(b.Context(), meta, at); differs || err != nil {
					b.Fatal(differs, err)
				}
			}
		})
	}
}

// TestProofOfNothing: proofs against blob IDs that nobody has registered, which cost nothing, are not kept. So they do
// not push out the evidence about a registered blob, which is kept.
func TestProofOfNothing(t *testing.T) {
	o := newOutpost(t, 4, []byte("a blob"))
	h, p := o.stranger(), o.shelf.params
	wrong := func(seed byte) *wrongtest.Encoding {
		return wrongtest.OneCell(t, p, wrongtest.Content(300, seed), 0, 1)
	}
	put := func(e *wrongtest.Encoding) error {
		return h.Checks().PutProof(t.Context(), o.host.ID(), e.ID, e.Proof(t).Marshal())
	}
	for _, state := range []ledger.BlobInfo{{}, {PermanentEnd: 1}} {
		e := wrong(1)
		o.ledger.set(map[string][]byte{string(ledger.KeyBlobInfo(e.ID)): state.Marshal()})
		if err := put(e); !errors.Is(err, p2p.ErrNotRegistered) || o.chain.proven.has(e.ID) {
			t.Errorf("not registered: %v, kept: %t", err, o.chain.proven.has(e.ID))
		}
	}
	marked := wrong(2)
	o.ledger.set(map[string][]byte{string(ledger.KeyBlobInfo(marked.ID)): ledger.BlobInfo{PermanentEnd: 9,
		Invalid: true}.Marshal()})
	if err := put(marked); err != nil || o.chain.proven.has(marked.ID) {
		t.Errorf("marked on the ledger: %v, kept: %t", err, o.chain.proven.has(marked.ID))
	}
	e := wrong(3)
	o.ledger.set(map[string][]byte{string(ledger.KeyBlobInfo(e.ID)): ledger.BlobInfo{PermanentEnd: 9}.Marshal()})
	if err := put(e); err != nil || !o.chain.proven.has(e.ID) {
		t.Errorf("registered: %v, kept: %t", err, o.chain.proven.has(e.ID))
	}
}

// TestOldSignatures: signatures that a blob is invalid count in their epoch and the next. Later, former members could
// make nodes remove a good blob.
func TestOldSignatures(t *testing.T) {
	for epoch, taken := range map[uint32]bool{0: true, 1: true, 2: false} {
		o := newOutpost(t, 4, []byte("a blob"))
		o.ledger.set(map[string][]byte{string(ledger.KeyEpoch()): ledger.EpochInfo{Epoch: epoch}.Marshal()})
		com, err := o.shelf.seats.at(0)
		must(t, err)
		id, liar := o.meta.ID(), o.keys[1]
		cert, _, err := com.AggregateRefutations(id, []certs.Refutation{com.Refute(liar.key, liar.id, id)})
		must(t, err)
		err = o.stranger().Checks().PutProof(t.Context(), o.host.ID(), id, cert.Marshal())
		if errors.Is(err, p2p.ErrBadRequest) == taken || o.chain.proven.has(id) != taken {
			t.Errorf("signatures of epoch 0 in epoch %d: %v", epoch, err)
		}
	}
}

// slowProof is a member whose line proof does not come.
type slowProof struct {
	Checks
	from  peer.ID
	asked chan struct{}
}

var errFetched = errors.New("asked for the line proof")

func (s *slowProof) FetchLineProof(ctx context.Context, to peer.ID, _ shards.BlobID, _ shards.Axis, _ int,
	_ int64) (io.ReadCloser, error) {
	if to == s.from {
		close(s.asked)
		<-ctx.Done()
	}
	return nil, errFetched
}

// TestSlowLineProof: a member whose line proof does not come holds up only itself.
func TestSlowLineProof(t *testing.T) {
	o := newOutpost(t, 4, []byte("a blob"))
	r, slow := o.repairer.refuter, &slowProof{from: "slow", asked: make(chan struct{})}
	r.swarm.Checks = slow
	verify := func(ctx context.Context, from peer.ID) error {
		return r.verify(ctx, from, o.meta.ID(), shards.Primary, 0)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- verify(ctx, "slow") }()
	<-slow.asked
	if err := verify(ctx, "slow"); !errors.Is(err, p2p.ErrBusy) {
		t.Errorf("a second one of the same member: %v", err)
	}
	if err := verify(ctx, "other"); !errors.Is(err, errFetched) {
		t.Errorf("another member's: %v", err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, errFetched) || len(r.turns.at) != 0 {
		t.Errorf("%v, %d are left", err, len(r.turns.at))
	}
}
