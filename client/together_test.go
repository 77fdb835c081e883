package client

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"walrus/certs"
	"walrus/internal/ledgertest"
	"walrus/ledger"
	"walrus/ledger/wallet"
)

// payable is an in-memory ledger for a wallet.
type payable struct {
	*ledgertest.Chain
	network certs.NetworkID

	mu   sync.Mutex
	used map[uint64]ledger.Receipt // by nonce; guarded by mu
}

func (p *payable) Head(_ context.Context, a ledger.Address) (h wallet.Head, err error) {
	b := p.Chain.Head()
	h.Network, h.Height = p.network, b.Height
	epoch, err := ledger.ReadEpoch(b)
	if err != nil {
		return h, err
	}
	h.Epoch = epoch.Epoch
	if h.Params, err = ledger.ReadParams(b); err == nil {
		h.Account, err = ledger.ReadAccount(b, a)
	}
	return h, err
}

func (p *payable) Submit(ctx context.Context, tx *ledger.Tx) (ledger.Receipt, error) {
	r, err := p.Chain.Submit(ctx, tx)
	if r.ID == (ledger.TxID{}) {
		return r, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used[tx.Nonce] = r
	return r, nil
}

func (p *payable) Used(_ context.Context, _ ledger.Address, nonce uint64) (ledger.Receipt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used[nonce], nil
}

// walletClient returns a client that pays through a wallet, on a ledger that takes a second per transaction.
func (f *fakeSwarm) walletClient() (*Client, *payable) {
	c := f.client(f.wallet)
	p := &payable{Chain: f.chain, network: f.genesis.NetworkID(), used: map[uint64]ledger.Receipt{}}
	c.payer = wallet.NewPayer(wallet.FromKey(f.wallet), p)
	f.chain.Delay(time.Second)
	return c, p
}

// TestStoreTogether stores many blobs at once: few transactions, and the reported costs add up to what left the
// account. One of the stores uses a leftover storage resource.
func TestStoreTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := newFake(t, 7, 28)
		c, p := f.walletClient()
		first := f.storing(c, noise(1, 1000), StoreOptions{Epochs: 2}, RegisterFromScratch)
		if _, err := c.Delete(t.Context(), first.Object); err != nil {
			t.Fatal(err)
		}
		const n = 20
		before, sent, start := f.balance(), len(p.used), time.Now()
		var g errgroup.Group
		results := make([]*StoreResult, n)
		for i := range n {
			g.Go(func() (err error) {
				data := noise(uint64(40+i), 1000)
				results[i], err = c.Store(t.Context(), bytes.NewReader(data), 1000, StoreOptions{Epochs: 2})
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		took := time.Since(start)
		var told ledger.Amount
		reused := 0
		for i, res := range results {
			told += res.Cost.Total()
			if res.Operation == ReuseStorage {
				reused++
			}
			if i > 2 {
				continue
			}
			if err := f.reads(c, res, noise(uint64(40+i), 1000)); err != nil {
				t.Error(err)
			}
		}
		if gone := before - f.balance(); gone != told || reused != 1 {
			t.Errorf("%v left the account, %v were told; %d use what was left of a storage", gone, told, reused)
		}
		if txs := len(p.used) - sent; txs > 12 || took > 10*time.Second {
			t.Errorf("%d blobs took %d transactions and %v", n, txs, took)
		}
		if list, err := c.ListBlobs(t.Context(), false); err != nil || len(list) != n {
			t.Errorf("%d records, %v", len(list), err)
		}
	})
}

// TestTogetherRefused: an operation refused by the ledger does not spoil others in the same transaction; nor does an
// epoch that ends meanwhile.
func TestTogetherRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := newFake(t, 7, 28)
		c, p := f.walletClient()
		object := f.storing(c, noise(1, 1000), StoreOptions{Epochs: 9}, RegisterFromScratch).Object
		sent := len(p.used)
		var g errgroup.Group
		for i := range 12 {
			g.Go(func() error {
				if i%6 == 5 {
					_, err := c.SetAttributes(t.Context(), object, nil, []string{"none"})
					var refused *ledger.OpError
					if !errors.As(err, &refused) || refused.Code != ledger.CodeNotFound || refused.Op != 0 {
						t.Errorf("removed an attribute that is not there: %v", err)
					}
					return nil
				}
				_, err := c.Store(t.Context(), bytes.NewReader(noise(uint64(40+i), 1000)), 1000, StoreOptions{Epochs: 2})
				return err
			})
		}
		time.AfterFunc(1500*time.Millisecond, func() { f.advance(1) })
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		if list, err := c.ListBlobs(t.Context(), false); err != nil || len(list) != 11 {
			t.Errorf("%d records, %v", len(list), err)
		}
		if txs := len(p.used) - sent; txs > 20 {
			t.Errorf("%d transactions", txs)
		}
		t.Logf("%d transactions", len(p.used)-sent)
	})
}

// TestSameTogether: several stores of one blob find the same registration at once. One certifies it, and all succeed.
func TestSameTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := newFake(t, 7, 28)
		c, _ := f.walletClient()
		data := noise(4, 1000)
		f.moods[0], f.moods[1], f.moods[2] = forging, forging, forging
		var few *NotEnoughError
		if _, err := store(t, c, data, StoreOptions{}); !errors.As(err, &few) {
			t.Fatalf("store without a quorum: %v", err)
		}
		f.moods[0], f.moods[1], f.moods[2] = well, well, well
		before := f.balance()
		var mu sync.Mutex
		var told ledger.Amount
		var g errgroup.Group
		for range 4 {
			g.Go(func() error {
				res, err := c.Store(t.Context(), bytes.NewReader(data), 1000, StoreOptions{})
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					told += res.Cost.Total()
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		if list, err := c.ListBlobs(t.Context(), false); err != nil || len(list) != 1 || list[0].Certified == 0 {
			t.Errorf("records %+v, %v", list, err)
		}
		if gone := before - f.balance(); gone != told {
			t.Errorf("%v left the account, %v were told", gone, told)
		}
	})
}
