package engine

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"walrus/internal/swarmtest"
	"walrus/ledger"
	"walrus/ledger/machine"
)

// TestChangeRules has four validators change to version 2 of the rules, which has another operation. One of them runs
// an old program: it stops before the first block of version 2, and says why, also when it is started again. The others
// go on. With the new program it catches up, and all have the same state.
func TestChangeRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		later := map[uint8]uint32{ledger.OpKind(ledger.SetAttributes{}): 2}
		latest := map[int]uint32{0: 2, 1: 2, 2: 2, 3: 1}
		s := newFleet(t, swarmtest.NewNetwork(1), 4, func(g *ledger.Genesis) {
			for i := range g.Members {
				g.Accounts = append(g.Accounts, ledger.GenesisAccount{Address: g.Members[i].Reward, Amount: ledger.WAL})
			}
			g.Treasury = ledger.Address{9}
		})
		s.adjust = func(i int, c *Config) { c.Rules = machine.Rules{Latest: latest[i], Since: later} }
		defer s.closeAll()
		s.open(s.all()...)
		for _, n := range s.nodes {
			<-n.Ready()
		}
		at := s.pay(0, 0, 1).Height + ledger.RulesNotice + 15
		for i := range 3 {
			tx := &ledger.Tx{Network: s.genesis.NetworkID(), Expiry: 90_000, Fee: 20_000,
				Ops: []ledger.Op{ledger.ActivateRules{Version: 2, Height: at}}}
			tx.Sign(s.identity(i))
			s.send(i, tx, ledger.CodeOK)
		}
		for s.nodes[0].View().Height < at-2 {
			s.pay(0, 0, 1)
		}
		s.reach(0, at+1, time.Hour)
		stopped := <-s.nodes[3].ended
		s.nodes[3].ended <- nil // for close
		const want = "this program knows version 1: install a newer one"
		if !errors.Is(stopped, ErrHalted) || !strings.Contains(stopped.Error(), want) {
			t.Fatalf("the old program ended with %v", stopped)
		}
		tx := s.transfer(1, 2)
		tx.Ops = []ledger.Op{ledger.SetAttributes{Set: []ledger.Attribute{{Key: "a", Value: "b"}}}}
		tx.Sign(s.users[1])
		s.send(1, tx, ledger.CodeNotFound) // which only version 2 says
		s.close(3)
		s.open(3)
		again := <-s.nodes[3].ended
		s.nodes[3].ended <- nil
		if !errors.Is(again, ErrHalted) || !strings.Contains(again.Error(), want) {
			t.Fatalf("the old program, started again, ended with %v", again)
		}
		s.close(3)
		latest[3] = 2
		s.open(3)
		height := s.pay(0, 0, 1).Height
		s.reach(3, height, time.Minute)
		mine, _ := s.nodes[3].app.ViewAt(height)
		others, _ := s.nodes[0].app.ViewAt(height)
		if mine == nil || others == nil || mine.Root() != others.Root() {
			t.Error("the new program comes to another state")
		}
		for h, version := range map[uint64]uint64{at - 1: 1, at: 2, height: 2} {
			for i := range 4 {
				b := s.nodes[i].chain.node.BlockStore().LoadBlockMeta(int64(h))
				if b == nil || b.Header.Version.App != version {
					t.Errorf("node %d: block %d does not name version %d", i, h, version)
				}
			}
		}
	})
}

// send submits a transaction to node i and waits for its result.
func (s *fleet) send(i int, tx *ledger.Tx, want ledger.Code) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.nodes[i].Submit(ctx, tx.Marshal()); err != nil {
		s.t.Fatalf("submit to node %d: %v", i, err)
	}
	if r, err := s.nodes[i].Wait(ctx, tx.ID()); err != nil || r.Code != want {
		s.t.Fatalf("code %v: %s, %v, want %v", r.Code, r.Log, err, want)
	}
}
