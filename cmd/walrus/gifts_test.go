package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"walrus/config"
	"walrus/ledger"
	"walrus/ledger/wallet"
)

// TestGatewayUnderGifts stores many blobs at once through a gateway whose account owns storage, while somebody gives
// to that account in every block: WAL, offers of storage, and funds of a record that the gateway shared. No store
// fails, and the account has nothing that it did not accept. WALRUS_LOAD=1 means 100 stores at once instead of 20.
func TestGatewayUnderGifts(t *testing.T) {
	if testing.Short() {
		t.Skip("starts five processes")
	}
	const old = 8 * ledger.MaxOps // storage resources that the gateway owns already, of no use for its stores
	stores := 20
	if os.Getenv("WALRUS_LOAD") != "" {
		stores = 100
	}
	c := newCluster(t, config.DevnetOptions{Nodes: 4, Shards: 10})
	c.awaitHealth()
	rich, err := c.config().LoadWallet()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := wallet.New()
	if err != nil {
		t.Fatal(err)
	}
	payer := c.newGuest("rich", rich).Chain().Payer
	if _, err := payer.Do(t.Context(), ledger.Fixed(ledger.Transfer{To: stranger.Address(), Amount: funds})); err != nil {
		t.Fatal(err)
	}
	for range old / ledger.MaxOps {
		buy := slices.Repeat([]ledger.Op{ledger.BuyStorage{Bytes: 1, Start: 1, End: 50}}, ledger.MaxOps)
		if _, err := payer.Do(t.Context(), ledger.Fixed(buy...)); err != nil {
			t.Fatal(err)
		}
	}
	w := c.daemon("daemon", "--publisher-max-concurrent-requests", strconv.Itoa(stores))
	for i := range 3 { // storage to use again: each plan lists the account
		id, _, err := w.put(t.Context(), content(uint64(1000+i), 1000))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.deleted(id); err != nil {
			t.Fatal(err)
		}
	}
	g := newGiver(c.newGuest("stranger", stranger), rich.Address())
	if g.shared, err = w.share(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.begin(t.Context())
	begin, took := time.Now(), make([]time.Duration, stores)
	crowd(t, stores, func(i int) error {
		start := time.Now()
		_, _, err := w.put(t.Context(), content(uint64(i), 20_000+i))
		took[i] = time.Since(start)
		return err
	})
	gifts := g.end(t)
	t.Logf("%d stores in %v, each %s, with %d blocks of gifts", stores, time.Since(begin).Round(time.Millisecond), spread(took), gifts)
	if gifts < 5 {
		t.Errorf("only %d blocks had gifts", gifts)
	}
	owned, err := g.Chain().Light.Objects(t.Context(), rich.Address())
	if err != nil || len(owned.Blobs) != stores || len(owned.Storages) > old+3 {
		t.Errorf("the gateway owns %d storage resources and %d records, want at most %d and %d: %v", len(owned.Storages),
			len(owned.Blobs), old+3, stores, err)
	}
}

// deleted deletes the record of a blob, so that its storage is left.
func (c *cluster) deleted(id string) error {
	r, err := walrus(c.t.Context(), nil, "--config", c.net.Client, "delete", id, "--yes")
	if err == nil && r.code != exitDone {
		err = errors.New(r.stderr)
	}
	return err
}

// share stores a blob whose record belongs to everybody.
func (w *web) share(ctx context.Context) (ledger.ObjectID, error) {
	a := w.ask(ctx, http.MethodPut, "/v1/blobs?permanent=true&share=true&epochs=5", bytes.NewReader(content(2000, 1000)))
	var r struct {
		NewlyCreated struct {
			SharedBlobObject ledger.ObjectID `json:"sharedBlobObject"`
		} `json:"newlyCreated"`
	}
	err := errors.Join(a.err, json.Unmarshal(a.body, &r))
	return r.NewlyCreated.SharedBlobObject, err
}

// giver gives to an account in every block.
type giver struct {
	*guest
	to     ledger.Address
	shared ledger.ObjectID
	stop   context.CancelFunc
	ended  chan error
	blocks int // with gifts; constant once ended has a value
}

func newGiver(g *guest, to ledger.Address) *giver {
	return &giver{guest: g, to: to, ended: make(chan error, 1)}
}

// begin gives until end.
func (g *giver) begin(ctx context.Context) {
	ctx, g.stop = context.WithCancel(ctx)
	go func() {
		for ctx.Err() == nil {
			if err := g.give(ctx); err != nil && ctx.Err() == nil {
				g.ended <- err
				return
			}
			g.blocks++
		}
		g.ended <- nil
	}()
}

// give puts gifts into the next block.
func (g *giver) give(ctx context.Context) error {
	epoch, err := g.Chain().Light.Epoch(ctx)
	if err != nil {
		return err
	}
	_, err = g.Chain().Payer.Do(ctx, func(object func(int) ledger.ObjectID) []ledger.Op {
		return []ledger.Op{
			ledger.BuyStorage{Bytes: 1 << 20, Start: epoch.Epoch, End: epoch.Epoch + 3},
			ledger.OfferStorage{Storage: object(0), To: g.to, Until: epoch.Epoch + 3},
			ledger.Transfer{To: g.to, Amount: 1},
			ledger.FundBlob{Object: g.shared, Amount: 1},
		}
	})
	var refused *ledger.OpError
	if errors.As(err, &refused) && refused.Code == ledger.CodeEpoch { // the epoch has ended meanwhile
		return nil
	}
	return err
}

func (g *giver) end(t *testing.T) (blocks int) {
	t.Helper()
	g.stop()
	if err := <-g.ended; err != nil {
		t.Errorf("give: %v", err)
	}
	return g.blocks
}
