package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"walrus/internal/swarmtest"
	"walrus/ledger"
	"walrus/ledger/light"
)

// A transaction submitted to one of four nodes is committed on all, soon and with the same state.
func TestNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFleet(t, swarmtest.NewNetwork(1), 4, nil)
		defer s.closeAll()
		begin := time.Now()
		s.open(s.all()...)
		for i := range 4 {
			<-s.nodes[i].Ready()
		}
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("a new network is ready after %v", took)
		}
		for i := range 8 {
			begin := time.Now()
			r := s.pay(i%4, i, i+1)
			if took := time.Since(begin); took > 100*time.Millisecond {
				t.Errorf("transfer %d took %v", i, took)
			}
			for j := range 4 {
				s.reach(j, r.Height, 10*time.Second)
			}
			time.Sleep(time.Second)
		}
		beat := light.Heartbeat(s.genesis.EpochDuration)
		time.Sleep(3 * beat / 2)
		for i := range 4 {
			if st := s.nodes[i].Status(); st.Stalled != "" || st.CatchingUp || st.Height == 0 ||
				time.Since(st.Time) > 2*beat+time.Second {
				t.Errorf("status %+v", st)
			}
			s.same(0, i)
		}
	})
}

// A refused transaction gets the reason; a known one is not an error.
func TestSubmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFleet(t, swarmtest.NewNetwork(1), 1, nil)
		defer s.closeAll()
		s.nodes[0].host = s.newHost(0)
		node, err := New(s.config(0, s.nodes[0].host))
		if err != nil {
			t.Fatal(err)
		}
		if err := node.Submit(t.Context(), s.transfer(0, 1).Marshal()); !errors.Is(err, ErrCatchingUp) {
			t.Errorf("before Run: %v", err)
		}
		if err := errors.Join(node.Close(), s.nodes[0].host.Close()); err != nil {
			t.Fatal(err)
		}
		s.nonces[0] = 0
		s.open(0)
		n := s.nodes[0]
		<-n.Ready()
		ctx := t.Context()
		good := s.transfer(0, 1)
		for range 2 { // the second time it waits already
			if err := n.Submit(ctx, good.Marshal()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := n.Wait(ctx, good.ID()); err != nil {
			t.Fatal(err)
		}
		if err := n.Submit(ctx, good.Marshal()); err != nil {
			t.Errorf("one that is committed: %v", err)
		}
		s.nonces[0] = 0
		replay := s.transfer(0, 2)
		forged := s.transfer(1, 2)
		forged.Fee++
		late := s.transfer(2, 3)
		late.Expiry = 1
		late.Sign(s.users[2])
		for _, c := range []struct {
			tx   []byte
			code ledger.Code
		}{
			{nil, ledger.CodeFormat},
			{make([]byte, ledger.MaxTxSize+1), ledger.CodeFormat},
			{[]byte("no transaction"), ledger.CodeFormat},
			{replay.Marshal(), ledger.CodeNonce},
			{forged.Marshal(), ledger.CodeSignature},
			{late.Marshal(), ledger.CodeExpired},
		} {
			var refused *ledger.OpError
			if err := n.Submit(ctx, c.tx); !errors.As(err, &refused) || refused.Code != c.code || refused.Text == "" {
				t.Errorf("submit: %v: want code %v", err, c.code)
			}
		}
		wait, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if _, err := n.Wait(wait, replay.ID()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("wait for what was refused: %v", err)
		}
	})
}

// A follower sees every block with its contents once, in order, across restarts of the node.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFleet(t, swarmtest.NewNetwork(1), 1, func(g *ledger.Genesis) { g.EpochDuration = 8 * time.Second })
		defer s.closeAll()
		next, transfers, epochs := uint64(1), 0, 0
		enough := errors.New("enough")
		for range 3 {
			s.open(0)
			<-s.nodes[0].Ready()
			for i := range 5 {
				s.pay(0, i, i+1)
			}
			height, _ := s.nodes[0].Head()
			if err := s.nodes[0].Follow(t.Context(), next, func(b Block) error {
				if b.Height != next {
					t.Fatalf("block %d after block %d", b.Height, next-1)
				}
				next++
				for _, r := range b.Receipts {
					transfers += len(slices.DeleteFunc(slices.Clone(r.Events),
						func(e ledger.Event) bool { return e.Kind != ledger.EventTransferred }))
				}
				for _, e := range b.Events {
					if e.Kind == ledger.EventEpoch {
						epochs++
					}
				}
				if b.Height >= height+12 { // some of them are yet to come
					return enough
				}
				return nil
			}); err != enough {
				t.Fatal(err)
			}
			s.close(0)
		}
		if transfers != 15 || epochs < 3 {
			t.Errorf("saw %d transfers and %d epochs: want 15 and some", transfers, epochs)
		}
		ended, cancel := context.WithCancel(t.Context())
		s.open(0)
		cancel()
		if err := s.nodes[0].Follow(ended, 1, func(Block) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// A client without a chain reads, pays, and sees its payments, with proofs, from real nodes.
func TestLightClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFleet(t, swarmtest.NewNetwork(1), 4, nil)
		defer s.closeAll()
		s.open(s.all()...)
		c, h := s.client(4)
		defer h.Close()
		for _, n := range s.nodes {
			<-n.Ready()
		}
		ctx := t.Context()
		for i := range 10 {
			begin := time.Now()
			r, err := c.Submit(ctx, s.transfer(0, 1))
			if err != nil || r.Code != ledger.CodeOK {
				t.Fatalf("%+v, %v", r, err)
			}
			a, err := c.Account(ctx, s.address(0))
			if err != nil || a.Nonce != uint64(i+1) {
				t.Fatalf("account %+v, %v: want nonce %d", a, err, i+1)
			}
			if took := time.Since(begin); took > 300*time.Millisecond {
				t.Errorf("transfer and read took %v", took)
			}
		}
		b, err := c.Account(ctx, s.address(1))
		if err != nil || b.Balance != 1000*ledger.WAL+10 {
			t.Errorf("account %+v, %v", b, err)
		}
		page, err := c.History(ctx, s.address(1), light.Cursor{}, 20)
		if err != nil || len(page.Entries) != 10 {
			t.Errorf("history %+v, %v", page, err)
		}
		owned, err := c.Objects(ctx, s.address(1))
		if err != nil || len(owned.Storages)+len(owned.Blobs) > 0 {
			t.Errorf("objects %+v, %v", owned, err)
		}
		if com, err := c.Committee(ctx); err != nil || len(com.Members()) != 4 {
			t.Errorf("committee: %v", err)
		}
		var refused *ledger.OpError
		s.nonces[0] = 3
		if _, err := c.Submit(ctx, s.transfer(0, 2)); !errors.As(err, &refused) || refused.Code != ledger.CodeNonce {
			t.Errorf("replayed nonce: %v", err)
		}

		for i := range 2 {
			s.close(i)
		}
		time.Sleep(time.Minute)
		_, err = c.Get(ctx, 0, ledger.KeyParams())
		if !errors.Is(err, light.ErrStalled) ||
			!strings.Contains(err.Error(), "20 of 40 shards are reachable, 27 needed; not reachable: node-0, node-1") {
			t.Errorf("two of four down: %v", err)
		}
	})
}

// A directory of another network is refused, and so is one in use.
func TestOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFleet(t, swarmtest.NewNetwork(1), 1, nil)
		defer s.closeAll()
		s.open(0)
		<-s.nodes[0].Ready()
		cfg := s.config(0, s.nodes[0].host)
		if n, err := New(cfg); err == nil {
			t.Error("opened twice", n.Close())
		}
		s.close(0)
		other := newFleet(t, swarmtest.NewNetwork(1), 1, func(g *ledger.Genesis) { g.FeeTx++ })
		cfg.Genesis = other.genesis
		if n, err := New(cfg); err == nil {
			t.Error("opened another network's ledger", n.Close())
		}
		stranger := other.newHost(5)
		defer stranger.Close()
		for name, spoil := range map[string]func(*Config){
			"no directory":  func(c *Config) { c.Dir = "" },
			"no genesis":    func(c *Config) { c.Genesis = nil },
			"no host":       func(c *Config) { c.Host = nil },
			"no dialer":     func(c *Config) { c.Connect = nil },
			"no logger":     func(c *Config) { c.Logger = nil },
			"half a key":    func(c *Config) { c.ConsensusKey = c.ConsensusKey[:32] },
			"no state file": func(c *Config) { c.StateFile = "" },
			"another's key": func(c *Config) { c.ConsensusKey = seed("consensus", 1) },
			"no member":     func(c *Config) { c.Host = stranger.Libp2p() },
			"no time":       func(c *Config) { c.Timing = Timing{Commit: time.Second} },
			"keep nothing":  func(c *Config) { c.Limits = light.Limits{Requests: 1} },
		} {
			host := other.newHost(0)
			cfg := s.config(0, host)
			spoil(&cfg)
			if n, err := New(cfg); err == nil {
				t.Errorf("%s: taken (%v)", name, n.Close())
			}
			host.Close()
		}
	})
}
