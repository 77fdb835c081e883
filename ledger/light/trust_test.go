package light

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cometbft/cometbft/types"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/ledger"
)

// Strangers cannot take over, whatever power they give themselves.
func TestTakeover(t *testing.T) {
	w := newWorld(t)
	evil := newKeys(t, 4, 1)[0]
	w.chain.keys[string(evil.PubKey().Address())] = evil
	members := w.blocks[0].next.Validators
	set := types.NewValidatorSet([]*types.Validator{types.NewValidator(evil.PubKey(), 1000), members[0].Copy()})
	c := w.forge(t, put(ledger.KeyAccount(alice), ledger.Account{Balance: 1 << 50}.Marshal()), set, nil)
	w.tale.Store(&source{Source: c})
	if a, err := w.asking(t, w.liar).Account(limited(t), alice); !errors.Is(err, ErrLied) {
		t.Errorf("account %+v, %v", a, err)
	}
}

func TestCheckpoint(t *testing.T) {
	w := newWorld(t)
	hash := [32]byte(w.blocks[2].light.Hash())
	if _, err := w.with(t, &Checkpoint{Height: 2, Hash: hash}, w.honest).Account(limited(t), alice); err != nil {
		t.Error(err)
	}
	if _, err := w.with(t, &Checkpoint{Height: 2, Hash: [32]byte{1}}, w.honest).Account(limited(t), alice); !errors.Is(err, ErrCheckpoint) || errors.Is(err, ErrLied) {
		t.Errorf("another checkpoint than the chain: %v", err)
	}
	if _, err := w.with(t, &Checkpoint{Height: 99, Hash: hash}, w.honest).Account(limited(t), alice); !errors.Is(err, ErrBehind) {
		t.Errorf("a checkpoint that is not there: %v", err)
	}
}

func TestAnotherBlock(t *testing.T) {
	w := newWorld(t)
	s := &source{Source: w.chain}
	s.block = func(ctxt, uint64) (*types.LightBlock, error) { return w.blocks[1].light, nil }
	w.tale.Store(s)
	if b, err := w.asking(t, w.liar).Block(limited(t), 2); !errors.Is(err, ErrLied) {
		t.Errorf("block %v, %v", b, err)
	}
	twice := *w.blocks[1].light
	set, commit := *twice.ValidatorSet, *twice.Commit
	set.Validators = append(set.Validators[:3:3], set.Validators[0])
	twice.SignedHeader, twice.ValidatorSet = &types.SignedHeader{Header: twice.Header, Commit: &commit}, &set
	b, err := marshalBlock(&twice)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unmarshalBlock(b); err == nil {
		t.Error("a block with a validator that comes twice is read")
	}
}

// A header that is known or signed by two thirds does not vouch for the other signatures with it: a joining node
// would store forged ones.
func TestForgedSignatures(t *testing.T) {
	w := newWorld(t)
	forge := func(from int) *types.LightBlock {
		b := *w.blocks[2].light
		commit := *b.Commit
		commit.Signatures = slices.Clone(commit.Signatures)
		for i := from; i < len(commit.Signatures); i++ {
			commit.Signatures[i].Signature = make([]byte, 64)
		}
		b.SignedHeader = &types.SignedHeader{Header: b.Header, Commit: &commit}
		return &b
	}
	for name, from := range map[string]int{"all": 0, "the last": 3} {
		forged := forge(from)
		w.tale.Store(&source{Source: w.chain, block: func(ctxt, uint64) (*types.LightBlock, error) { return forged, nil }})
		c := w.asking(t, w.honest)
		if _, err := c.Block(limited(t), 2); err != nil { // now it is known
			t.Fatal(err)
		}
		c.cfg.Peers = w.asking(t, w.liar).cfg.Peers
		if _, err := c.Block(limited(t), 2); !errors.Is(err, ErrLied) {
			t.Errorf("%s signature of a known block forged: %v", name, err)
		}
	}
	if _, err := w.asking(t, w.honest).Block(limited(t), 1<<63); !errors.Is(err, ErrRequest) {
		t.Errorf("a height that is none: %v", err)
	}
}

// Two signed blocks of one height are detected, whichever comes second.
func TestFork(t *testing.T) {
	w := newWorld(t)
	set := w.blocks[0].next
	fork := w.forge(t, put(ledger.KeyAccount(alice), ledger.Account{Balance: 1}.Marshal()), set, nil)
	c := w.asking(t, w.honest)
	if _, err := c.Account(limited(t), alice); err != nil {
		t.Fatal(err)
	}
	w.tale.Store(&source{Source: fork})
	c.cfg.Peers = w.asking(t, w.liar).cfg.Peers
	if a, err := c.Account(limited(t), alice); !errors.Is(err, ErrLied) {
		t.Errorf("account %+v, %v", a, err)
	}
}

func TestNewRefuses(t *testing.T) {
	w := newWorld(t)
	same := *w.genesis
	same.Members = append([]ledger.GenesisMember{}, same.Members...)
	same.Members[1].Consensus = same.Members[0].Consensus
	if _, err := New(Config{Genesis: &same, Host: w.client, Logger: quiet}); !errors.Is(err, ledger.ErrGenesis) {
		t.Errorf("two members with one consensus key: %v", err)
	}
	if _, err := New(Config{Genesis: w.genesis, Logger: quiet}); err == nil {
		t.Error("no host, no error")
	}
	c, err := New(Config{Genesis: w.genesis, Host: w.client, Logger: quiet})
	if err != nil || len(c.nodes(t.Context())) != 4 {
		t.Errorf("without peers it asks %d nodes, %v", len(c.nodes(t.Context())), err)
	}
	if err := w.client.Connect(t.Context(), peer.AddrInfo{ID: w.honest.ID(), Addrs: w.honest.Addrs()}); err != nil {
		t.Fatal(err)
	}
	if first := c.nodes(t.Context())[0]; first != w.honest.ID() {
		t.Errorf("it asks %s first, to which it is not connected", first)
	}
}

func TestNoNodes(t *testing.T) {
	w := newWorld(t)
	c := w.asking(t)
	if _, err := c.Account(limited(t), alice); !errors.Is(err, ErrUnavailable) {
		t.Errorf("nobody to ask: %v", err)
	}
	dead := newHost(t) // nobody knows its addresses
	start := time.Now()
	c = w.asking(t, dead, w.honest)
	if _, err := c.Account(limited(t), alice); err != nil || time.Since(start) > connectTime {
		t.Errorf("with one dead node: %v after %v", err, time.Since(start))
	}
	connects := 0
	c = w.asking(t, dead)
	c.calls.connect = func(context.Context, ID) error { connects++; return errors.New("not\nfound") }
	if _, err := c.Account(limited(t), alice); !errors.Is(err, ErrUnavailable) || connects != 1 ||
		!contains(err.Error(), "not found") {
		t.Errorf("%d connects, %v", connects, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.asking(t, w.honest).Account(ctx, alice); !errors.Is(err, context.Canceled) {
		t.Errorf("ctx has ended: %v", err)
	}
}
