package light

import (
	"errors"
	"sync"
	"testing"
	"time"

	"walrus/ledger"
	"walrus/ledger/merkle"
	"walrus/shards"
)

var alice, bob = ledger.Address{1}, ledger.Address{2}

func put(key []byte, value []byte) merkle.Change { return merkle.Change{Key: key, Value: value} }

func TestRead(t *testing.T) {
	w := newWorld(t)
	rich := ledger.Account{Balance: 5 * ledger.WAL, Nonce: 3}
	w.set(t, put(ledger.KeyAccount(alice), rich.Marshal()))
	c := w.asking(t, w.honest)
	ctx := limited(t)
	v, err := c.Get(ctx, 0, ledger.KeyAccount(alice), ledger.KeyAccount(bob), ledger.KeyEpoch())
	if err != nil {
		t.Fatal(err)
	}
	if v.Height != w.height()-1 || time.Since(v.Time) > time.Minute {
		t.Errorf("read at height %d, time %v; the chain has %d blocks", v.Height, v.Time, w.height())
	}
	if got, err := ledger.ReadAccount(v, alice); err != nil || got != rich {
		t.Errorf("alice has %+v, %v", got, err)
	}
	if got, err := v.Get(ledger.KeyAccount(bob)); err != nil || got != nil {
		t.Errorf("bob, who has nothing, has %x, %v", got, err)
	}
	if _, err := v.Get(ledger.KeySupply()); err == nil {
		t.Error("a key that was not read has a value")
	}
	if _, err := c.Blob(ctx, ledger.ObjectID{9}); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("a blob that is not there: %v", err)
	}
	if info, err := c.BlobInfo(ctx, shards.BlobID{9}); err != nil || info.PermanentEnd != 0 {
		t.Errorf("a blob never registered: %+v, %v", info, err)
	}
	if p, err := c.Params(ctx); err != nil || p != w.genesis.Params() {
		t.Errorf("parameters %+v, %v", p, err)
	}
	if h, err := c.Head(ctx); err != nil || h.Height != w.height() {
		t.Errorf("head %+v, %v", h, err)
	}
	if b, err := c.Block(ctx, 2); err != nil || b.Height != 2 {
		t.Errorf("block 2: %v", err)
	}
	if _, err := c.Block(ctx, 99); !errors.Is(err, ErrBehind) {
		t.Errorf("block 99: %v", err)
	}
}

// A read waits for a height that is about to come, and readings never go back in height.
func TestReadWaits(t *testing.T) {
	w := newWorld(t)
	c := w.asking(t, w.honest)
	ctx := limited(t)
	next := w.height()
	var reading sync.WaitGroup
	reading.Go(func() {
		if v, err := c.Get(ctx, next, ledger.KeyEpoch()); err != nil || v.Height != next {
			t.Errorf("read at height %d: %+v, %v", next, v, err)
		}
	})
	w.grow(t)
	reading.Wait()
	if c.lowest() != next {
		t.Errorf("after a read at height %d the next may be at %d", next, c.lowest())
	}
	old := &source{Source: w.chain}
	old.read = func(ctx ctxt, at At, keys [][]byte) (*Reading, error) {
		if at.Height != next {
			t.Errorf("asked for height %d, want %d", at.Height, next)
		}
		return nil, ErrBehind
	}
	w.tale.Store(old)
	late := w.asking(t, w.liar)
	late.raise(next)
	if _, err := late.Get(ctx, 0, ledger.KeyEpoch()); !errors.Is(err, ErrBehind) {
		t.Errorf("a node that is behind: %v", err)
	}
}

func TestConcurrentReads(t *testing.T) {
	w := newWorld(t)
	c := w.asking(t, w.honest, w.liar)
	ctx := limited(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 20 {
				if _, err := c.Account(ctx, ledger.Address{byte(i)}); err != nil {
					t.Error(err)
				}
				if _, err := c.Committee(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 20 {
		w.set(t, put(ledger.KeyAccount(bob), ledger.Account{Nonce: w.height()}.Marshal()))
	}
	all.Wait()
}

func TestCommittee(t *testing.T) {
	w := newWorld(t)
	ctx := limited(t)
	reads := 0
	s := &source{Source: w.chain}
	s.read = func(ctx ctxt, at At, keys [][]byte) (*Reading, error) {
		reads++
		return w.Read(ctx, at, keys)
	}
	w.tale.Store(s)
	c := w.asking(t, w.liar)
	if epoch, all, err := c.NewestCommittees(); err != nil || epoch != ledger.FirstEpoch || all == nil || reads != 0 {
		t.Errorf("before the first read: epoch %d, %v, with %d reads", epoch, err, reads)
	}
	first, err := c.Committee(ctx)
	if err != nil || first.Epoch() != 1 || len(first.Members()) != 4 || first.Network() != w.genesis.NetworkID() {
		t.Fatalf("committee %+v, %v", first, err)
	}
	if again, err := c.Committee(ctx); err != nil || again.Epoch() != 1 || reads != 1 {
		t.Errorf("asked again: %+v with %d reads, %v", again, reads, err)
	}
	// By the clock the first epoch is over; the ledger has not ended it.
	late := ledger.EpochInfo{Epoch: 1, Start: time.Now().Add(-w.genesis.EpochDuration - time.Second).UnixNano()}
	w.set(t, put(ledger.KeyEpoch(), late.Marshal()))
	c = w.asking(t, w.honest)
	if got, err := c.Committee(ctx); err != nil || got.Epoch() != 1 {
		t.Errorf("committee of epoch %d, %v", got.Epoch(), err)
	}
	w.set(t, put(ledger.KeyEpoch(), ledger.EpochInfo{Epoch: 2, Start: time.Now().UnixNano()}.Marshal()))
	if got, err := c.Committee(ctx); err != nil || got.Epoch() != 2 || got.Members()[0].Node != first.Members()[0].Node {
		t.Errorf("committee of epoch %d after the change, %v", got.Epoch(), err)
	}
	if epoch, _, err := c.NewestCommittees(); err != nil || epoch != 2 {
		t.Errorf("newest committees of epoch %d, %v", epoch, err)
	}
}

// A stalled ledger can be read, with a *Stall.
func TestStall(t *testing.T) {
	w := newWorld(t)
	c := w.asking(t, w.liar, w.honest)
	ctx := limited(t)
	stale := w.sleep(t, time.Hour)
	stale.trouble = "58 of 100 shards are reachable\x1b[31m"
	w.tale.Store(&source{Source: stale})
	if _, err := c.Account(ctx, alice); err != nil {
		t.Errorf("one node is stalled, the other is not: %v", err)
	}
	alone := w.asking(t, w.liar)
	v, err := alone.Get(ctx, 0, ledger.KeyEpoch())
	var stall *Stall
	if v == nil || !errors.As(err, &stall) || !errors.Is(err, ErrStalled) || stall.Height != stale.height() {
		t.Fatalf("all nodes are stalled: %+v, %v", v, err)
	}
	if want := "58 of 100 shards are reachable?[31m"; stall.Reason != want || !contains(err.Error(), "node-0", want) {
		t.Errorf("reason %q in %q", stall.Reason, err)
	}
	if e, err := ledger.ReadEpoch(v); err != nil || e.Epoch != 1 {
		t.Errorf("the last state has epoch %+v, %v", e, err)
	}
	if set, err := alone.Committee(ctx); err != nil || set.Epoch() != 1 {
		t.Errorf("committee of a stalled ledger: %v", err)
	}
	if h, err := alone.Head(ctx); !errors.Is(err, ErrStalled) || h.Height != stale.height() {
		t.Errorf("head %+v, %v", h, err)
	}
}

// A network that was just started makes its next block soon: a client waits for it, unless a node explains the stall
// or the client is hasty.
func TestStartedAgain(t *testing.T) {
	w := newWorld(t)
	ctx := limited(t)
	stale := w.sleep(t, time.Hour)
	w.tale.Store(&source{Source: stale})
	hasty := w.asking(t, w.liar)
	if _, err := hasty.Account(ctx, alice); !errors.Is(err, ErrStalled) {
		t.Errorf("in a hurry: %v, want ErrStalled", err)
	}
	c := w.asking(t, w.liar)
	c.cfg.Hasty = false
	if v, err := c.Peek(ctx, ledger.KeyEpoch()); v == nil || !errors.Is(err, ErrStalled) {
		t.Errorf("a peek: %+v, %v; want what there is, and ErrStalled", v, err)
	}
	if set, err := c.Committee(ctx); err != nil || set.Epoch() != 1 {
		t.Errorf("committee: %v", err)
	}
	if !c.stall.since.IsZero() {
		t.Error("they waited for the next block")
	}
	back := time.AfterFunc(time.Second, func() { w.tale.Store(&source{Source: w.chain}) })
	defer back.Stop()
	if _, err := c.Account(ctx, alice); err != nil {
		t.Errorf("with a block after a second: %v", err)
	}
}

// A committee with more members than one read takes keys, some of them without a vote.
func TestBigCommittee(t *testing.T) {
	const count = MaxKeys + 20
	w := &world{keys: newKeys(t, 5, count), honest: newHost(t), client: newHost(t)}
	g := newGenesis(t, "test", count, w.keys)
	for i := 4; i < count; i++ {
		g.Members[i].Consensus = ledger.PublicKey{}
	}
	w.chain = newChain(t, g, w.keys)
	meet(w.client, w.honest)
	serve(t, w.honest, w.genesis, w.chain)
	if n := len(w.blocks[1].light.ValidatorSet.Validators); n != 4 {
		t.Fatalf("%d validators", n)
	}
	c := w.asking(t, w.honest)
	if set, err := c.Committee(limited(t)); err != nil || len(set.Members()) != count ||
		set.Members()[count-1].Name != "node-147" {
		t.Errorf("committee: %v", err)
	}
	w.set(t, put(ledger.KeyMember(count), g.Members[0].Marshal()))
	if _, err := w.asking(t, w.honest).Committee(limited(t)); err == nil || errors.Is(err, ErrLied) {
		t.Errorf("a ledger with a member more: %v", err)
	}
}
