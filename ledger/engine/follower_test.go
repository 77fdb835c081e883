package engine

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"walrus/internal/swarmtest"
	"walrus/ledger"
	"walrus/ledger/light"
)

// Members without a consensus key follow a few validators, change to others when these are gone, take transactions,
// and do not count as votes.
func TestFollowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const validators = 7
		s := newFleet(t, swarmtest.NewNetwork(1), 10, func(g *ledger.Genesis) {
			for i := range g.Members[validators:] {
				g.Members[validators+i].Consensus = ledger.PublicKey{}
			}
		})
		defer s.closeAll()
		s.open(s.all()...)
		for _, n := range s.nodes {
			<-n.Ready()
		}
		for i := validators; i < 10; i++ {
			r := s.pay(i, i, 0)
			s.reach(0, r.Height, time.Second)
			if n := s.nodes[i].chain.sw.Size(); n != 3 {
				t.Errorf("follower %d has %d streams: want 3", i, n)
			}
		}
		s.close(0, 1) // some of them follow these
		for i := validators; i < 10; i++ {
			s.pay(i, i, 0)
		}
		time.Sleep(10 * time.Second)
		for i := validators; i < 10; i++ {
			if n := s.nodes[i].chain.sw.Size(); n != 3 {
				t.Errorf("follower %d has %d streams: want 3", i, n)
			}
			if st := s.nodes[i].Status(); !st.Follower || st.CatchingUp || st.Stalled != "" || len(st.Validators) != validators {
				t.Errorf("status of a follower: %+v", st)
			}
		}
		s.close(2)
		time.Sleep(light.Heartbeat(s.genesis.EpochDuration) + 2*stallPatience) // a follower notices only when a block is due
		text := s.nodes[validators].Status().Stalled
		if !strings.HasPrefix(text, "ledger stalled for ") || !strings.Contains(text, " at height ") ||
			!strings.Contains(text, ": no block from node-") {
			t.Errorf("three down: a follower says %q", text)
		}
		text = s.nodes[3].Status().Stalled
		if !strings.Contains(text, " 40 of 70 shards are reachable, 47 needed; not reachable: node-0, node-1, node-2") {
			t.Errorf("three down: a validator says %q", text)
		}
		s.open(1)
		s.pay(9, 1, 2)
	})
}
