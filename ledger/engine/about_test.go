package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"walrus/internal/swarmtest"
	"walrus/ledger"
	"walrus/ledger/light"
	"walrus/shards"
)

// A light client finds out, with proofs, who did what with a blob and with its record. Once the blocks are pruned, it
// hears from where on the node keeps all.
func TestAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFleet(t, swarmtest.NewNetwork(1), 2, func(g *ledger.Genesis) {
			lopsided(g)
			g.EpochDuration = 10 * time.Second
		})
		s.retain, s.every = time.Second, 20
		defer s.closeAll()
		s.open(0)
		<-s.nodes[0].Ready()
		root := [32]byte{7}
		blob, record := shards.DeriveBlobID(1000, root), ledger.NewObjectID(s.address(0), 0, 1)
		tx := s.transfer(0, 1)
		epoch, err := ledger.ReadEpoch(s.nodes[0].View())
		must(t, err)
		tx.Ops = []ledger.Op{
			ledger.BuyStorage{Bytes: 1 << 30, Start: epoch.Epoch, End: epoch.Epoch + 50},
			ledger.RegisterBlob{Storage: ledger.NewObjectID(s.address(0), 0, 0), BlobID: blob, Root: root, Size: 1000},
		}
		tx.Sign(s.users[0])
		must(t, s.nodes[0].Submit(t.Context(), tx.Marshal()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r, err := s.nodes[0].Wait(ctx, tx.ID())
		if err != nil || r.Code != ledger.CodeOK {
			t.Fatalf("register: %+v, %v", r, err)
		}
		client, host := s.client(2)
		defer host.Close()
		s.reach(0, r.Height+2, time.Minute)
		for about, want := range map[ledger.Subject]int{
			ledger.AboutBlob(blob): 1, ledger.AboutObject(record): 1, ledger.AboutAccount(s.address(0)): 1,
			ledger.AboutBlob(shards.BlobID{9}): 0, ledger.AboutObject(ledger.ObjectID{9}): 0,
		} {
			h, err := client.About(ctx, about, light.Cursor{}, 8)
			if err != nil || len(h.Entries) != want || h.Next != nil || h.Oldest != 0 {
				t.Errorf("%s: %+v, %v; want %d transactions", about, h, err, want)
			} else if want > 0 && (h.Entries[0].Receipt.ID != tx.ID() || h.Entries[0].Tx.Sender.Address() != s.address(0)) {
				t.Errorf("%s: %+v", about, h.Entries[0].Receipt)
			}
		}
		s.reach(0, r.Height+100, time.Hour)
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		h, err := client.About(ctx, ledger.AboutBlob(blob), light.Cursor{}, 8)
		if err != nil || len(h.Entries) != 0 || h.Oldest <= r.Height {
			t.Errorf("after pruning: %+v, %v", h, err)
		}
	})
}
