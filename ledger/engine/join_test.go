package engine

import (
	"bytes"
	stded25519 "crypto/ed25519"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cometbft/cometbft/config"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/types"

	"walrus/internal/swarmtest"
	"walrus/ledger"
)

// lopsided gives member 0 enough shards to go on alone, and has it make a block every 250 ms.
func lopsided(g *ledger.Genesis) {
	g.EpochDuration = time.Second
	var all []int
	for i := range g.Shards {
		all = append(all, i)
	}
	few := g.Shards / 10
	last := g.Shards
	for i := len(g.Members) - 1; i > 0; i-- {
		g.Members[i].Shards = all[last-few : last]
		last -= few
	}
	g.Members[0].Shards = all[:last]
}

// A node that starts, or returns, when there are many blocks joins by a snapshot, as the first blocks are pruned
// everywhere. It then has the same state, takes part, and survives a crash.
func TestJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFleet(t, swarmtest.NewNetwork(1), 2, lopsided)
		s.retain, s.every, s.far = time.Second, 20, 50
		defer s.closeAll()
		s.open(0)
		<-s.nodes[0].Ready()
		paid := s.pay(0, 1, 2)
		s.reach(0, 130, time.Hour)
		s.open(1)
		<-s.nodes[1].Ready()
		if _, err := os.Stat(filepath.Join(s.dir, "1", "ledger", nextDir)); err == nil {
			t.Error("the directory it joined in is left")
		}
		s.same(0, 1)
		if _, err := s.nodes[1].app.Receipt(paid.ID); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("it has the receipt of block %d (%v): it did not join by a snapshot", paid.Height, err)
		}
		if err := s.nodes[1].Follow(t.Context(), 1, func(Block) error { return nil }); !errors.Is(err, ErrPruned) {
			t.Errorf("follow from block 1: %v: want %v", err, ErrPruned)
		}
		s.pay(1, 3, 4)

		s.close(1) // before it has made a snapshot
		s.open(1)
		<-s.nodes[1].Ready()
		s.same(0, 1)

		s.close(1)
		s.pay(0, 5, 6)
		height, _ := s.nodes[0].Head()
		s.reach(0, height+130, time.Hour)
		s.open(1)
		<-s.nodes[1].Ready()
		s.same(0, 1)
		s.pay(1, 7, 8)
	})
}

// A running node that was cut off and is far behind restarts consensus by itself, instead of following block by
// block.
func TestCutOffForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFleet(t, swarmtest.NewNetwork(1), 2, lopsided)
		s.retain, s.every, s.far = time.Second, 20, 50
		defer s.closeAll()
		s.open(0, 1)
		<-s.nodes[0].Ready()
		<-s.nodes[1].Ready()
		// At this latency blocks are made faster than it could fetch them one by one.
		s.net.SetLatency(func(a, b int) time.Duration { return 100 * time.Millisecond })
		s.net.Isolate(1)
		height, _ := s.nodes[0].Head()
		s.reach(0, height+150, time.Hour)
		if text := s.nodes[1].Status().Stalled; !strings.Contains(text,
			"2 of 20 shards are reachable, 14 needed; not reachable: node-0") {
			t.Errorf("cut off: status is %q", text)
		}
		s.net.Heal()
		_, moved := s.nodes[1].state()
		select {
		case <-moved:
		case <-time.After(2 * time.Minute):
			t.Fatal("it did not join by a snapshot")
		}
		s.reach(1, height+150, time.Minute)
	})
}

// same checks that two nodes have the same state once they are at the same height.
func (s *fleet) same(i, j int) {
	s.t.Helper()
	for range 1000 {
		a, b := s.nodes[i].View(), s.nodes[j].View()
		if a.Height == b.Height {
			x, y := a.Root(), b.Root()
			if !bytes.Equal(x[:], y[:]) {
				s.t.Fatalf("at height %d node %d has root %x, node %d %x", a.Height, i, x, j, y)
			}
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.t.Fatalf("nodes %d and %d are never at the same height:\n%+v\n%+v", i, j, s.nodes[i].Status(), s.nodes[j].Status())
}

// A node that joined computes whose turn it is to propose, whatever the nodes that sent the blocks claimed.
func TestBootstrapTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFleet(t, swarmtest.NewNetwork(1), 2, lopsided)
		defer s.closeAll()
		s.open(0)
		n := s.nodes[0]
		<-n.Ready()
		s.reach(0, 30, time.Hour) // more than there are votes
		var blocks [3]*types.LightBlock
		for i := range blocks {
			b, err := (source{n.Node}).LightBlock(t.Context(), uint64(25+i))
			if err != nil {
				t.Fatal(err)
			}
			b.ValidatorSet.Validators[0].ProposerPriority += 1000
			b.ValidatorSet.Proposer = b.ValidatorSet.Validators[0]
			blocks[i] = b
		}
		db, a, err := n.open(filepath.Join(s.dir, "joined"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		defer a.Close()
		if err := n.bootstrap(db, blocks); err != nil {
			t.Fatal(err)
		}
		states, err := db.Provider()(&config.DBContext{ID: "state"})
		if err != nil {
			t.Fatal(err)
		}
		joined := sm.NewStore(states, sm.StoreOptions{})
		for height := int64(25); height <= 27; height++ {
			want, err := n.chain.state.LoadValidators(height)
			if err != nil {
				t.Fatal(err)
			}
			got, err := joined.LoadValidators(height)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.ProposerPriorityHash(), want.ProposerPriorityHash()) ||
				!bytes.Equal(got.GetProposer().Address, want.GetProposer().Address) {
				t.Errorf("height %d: %v: want %v", height, got, want)
			}
		}
		blocks[2].ValidatorsHash = make([]byte, 32)
		if err := n.bootstrap(db, blocks); err == nil {
			t.Error("took blocks of other validators")
		}
	})
}

// The order of turns starts again after as many turns as there are votes.
func TestVotersAt(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var members []member
		for i := range 1 + r.IntN(8) {
			members = append(members, member{
				shares: 1 + r.Int64N(20), key: ledger.PublicKey(seed("consensus", i).Public().(stded25519.PublicKey)),
			})
		}
		doc, err := genesisDoc("chain", time.Unix(0, 0), time.Hour, members)
		if err != nil {
			t.Fatal(err)
		}
		var list []*types.Validator
		for _, v := range doc.Validators {
			list = append(list, types.NewValidator(v.PubKey, v.Power))
		}
		set := types.NewValidatorSet(list)
		for height := range 3*set.TotalVotingPower() + 2 {
			b := &types.LightBlock{SignedHeader: &types.SignedHeader{Header: &types.Header{Height: height + 1,
				ValidatorsHash: set.Hash()}}}
			got, err := votersAt(doc, [3]*types.LightBlock{b, b, b})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got[0].ProposerPriorityHash(), set.ProposerPriorityHash()) ||
				!bytes.Equal(got[0].Proposer.Address, set.Proposer.Address) {
				t.Fatalf("shares %v, height %d: %v: want %v", members, height+1, got[0], set)
			}
			set.IncrementProposerPriority(1)
		}
	}
}
