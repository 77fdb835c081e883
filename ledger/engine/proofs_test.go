package engine

import (
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cometbft/cometbft/types"

	"walrus/internal/swarmtest"
	"walrus/ledger"
)

// The proofs of a block are made once, however many wait for its receipts, and requests for old proofs do not change
// that. All proofs convince a client.
func TestProofsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFleet(t, swarmtest.NewNetwork(1), 1, nil)
		defer s.closeAll()
		s.open(0)
		n := s.nodes[0]
		<-n.Ready()
		c, h := s.client(1)
		defer h.Close()
		var old []ledger.TxID
		for range keptProofs + 2 {
			old = append(old, s.pay(0, 0, 1).ID)
		}
		height, _ := n.Head()
		s.reach(0, height+keptProofs, time.Hour)
		var paid []*ledger.Tx
		for user := range testUsers {
			paid = append(paid, s.transfer(user, 1))
		}
		blocks := s.receipts(n.Node, paid)
		for range 2 {
			for _, id := range old {
				if _, err := (source{n.Node}).Receipt(t.Context(), id); err != nil {
					t.Fatal(err)
				}
			}
		}
		if again := s.receipts(n.Node, paid); !maps.Equal(again, blocks) {
			t.Error("proofs of the last blocks were made again after some of old ones")
		}
		if len(n.older.blocks) != keptProofs || len(n.recent.blocks) > keptProofs {
			t.Errorf("proofs of %d old and %d new blocks are kept", len(n.older.blocks), len(n.recent.blocks))
		}
		for _, tx := range paid {
			if r, err := c.Receipt(t.Context(), tx.ID()); err != nil || r.Code != ledger.CodeOK {
				t.Fatalf("receipt of transaction %d: %+v, %v", r.Index, r, err)
			}
		}
	})
}

// receipts submits transactions, waits for all their receipts with proofs at once, and returns the headers of their
// blocks, exactly one per height.
func (s *fleet) receipts(n *Node, txs []*ledger.Tx) map[uint64]*types.Header {
	s.t.Helper()
	var mu sync.Mutex
	blocks := make(map[uint64]*types.Header)
	var all sync.WaitGroup
	for _, tx := range txs {
		all.Go(func() {
			if err := n.Submit(s.t.Context(), tx.Marshal()); err != nil {
				s.t.Error(err)
				return
			}
			i, err := (source{n}).Receipt(s.t.Context(), tx.ID())
			if err != nil {
				s.t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if first := blocks[i.Receipt.Height]; first != nil && first != i.Header {
				s.t.Errorf("block %d was read more than once", i.Receipt.Height)
			}
			blocks[i.Receipt.Height] = i.Header
		})
	}
	all.Wait()
	return blocks
}
