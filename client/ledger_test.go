package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"walrus/ledger"
	"walrus/shards"
)

// balance returns the balance of the wallet of f's first client.
func (f *fakeSwarm) balance() ledger.Amount {
	f.t.Helper()
	a, err := ledger.ReadAccount(f.chain.Head(), addressOf(f.wallet))
	if err != nil {
		f.t.Fatal(err)
	}
	return a.Balance
}

func (f *fakeSwarm) advance(epochs int) {
	f.t.Helper()
	if err := f.chain.Advance(epochs); err != nil {
		f.t.Fatal(err)
	}
}

// sent returns the bytes of slivers that all nodes have received.
func (f *fakeSwarm) sent() (n int64) {
	for i := range f.nodes {
		n += f.nodes[i].received
	}
	return n
}

// storing stores with the first client's wallet and checks that exactly the reported cost has left the account.
func (f *fakeSwarm) storing(c *Client, data []byte, opt StoreOptions, want Operation) *StoreResult {
	f.t.Helper()
	before := f.balance()
	res, err := store(f.t, c, data, opt)
	if err != nil {
		f.t.Fatal(err)
	}
	if paid := before - f.balance(); paid != res.Cost.Total() || (paid == 0) != (len(res.Txs) == 0) {
		f.t.Errorf("%s: paid %v, told %+v in %d transactions", res.Operation, paid, res.Cost, len(res.Txs))
	}
	if res.Operation != want {
		f.t.Errorf("stored by %s, want %s", res.Operation, want)
	}
	return res
}

func (f *fakeSwarm) reads(c *Client, res *StoreResult, want []byte) error {
	f.t.Helper()
	var out bytes.Buffer
	_, err := c.Read(f.t.Context(), res.BlobID, &out, ReadOptions{})
	if err == nil && !bytes.Equal(out.Bytes(), want) {
		f.t.Error("read other bytes than were stored")
	}
	return err
}

// TestStorePays reports the price before, takes no more, and records on the ledger what was requested.
func TestStorePays(t *testing.T) {
	f, c := newFake(t, 7, 28)
	data := noise(1, 100_000)
	opt := StoreOptions{Epochs: 3, Attributes: []ledger.Attribute{{Key: "type", Value: "noise"}, {Key: "a", Value: "b"}}}

	dry, before := opt, f.balance()
	dry.DryRun = true
	plan, err := store(t, c, data, dry)
	if err != nil || f.balance() != before || f.sent() != 0 || plan.Cost.Total() == 0 || plan.Operation != RegisterFromScratch || plan.EndEpoch != 4 {
		t.Fatalf("dry run: %+v, %v; %v gone, %d bytes sent", plan, err, before-f.balance(), f.sent())
	}
	res := f.storing(c, data, opt, RegisterFromScratch)
	p := plan.Cost
	if res.Cost.Storage != p.Storage || res.Cost.Write != p.Write || res.Cost.Fee > p.Fee || res.Cost.Fee == 0 || p.Storage != 3*f.genesis.StoragePrice || p.Write != f.genesis.WritePrice {
		t.Errorf("paid %+v, planned %+v", res.Cost, p)
	}
	rec, err := c.Record(t.Context(), res.Object)
	if err != nil || rec.BlobID != res.BlobID || !rec.Deletable || rec.Certified != 1 || rec.End != 4 || len(rec.Attributes) != 2 || rec.Attributes[0].Key != "a" {
		t.Errorf("record %+v, %v", rec, err)
	}

	again := f.storing(c, data, opt, AlreadyCertified)
	if again.Object != res.Object || again.EndEpoch != 4 || again.CertifiedEpoch != 1 {
		t.Errorf("stored again: %+v", again)
	}
	sent := f.sent()
	longer := f.storing(c, data, StoreOptions{Epochs: 5}, ReuseAndExtend)
	if longer.Object != res.Object || longer.EndEpoch != 6 || longer.EpochsExtended != 2 || longer.Cost.Storage != 2*f.genesis.StoragePrice || f.sent() != sent {
		t.Errorf("stored for longer: %+v, %d bytes sent", longer, f.sent()-sent)
	}
	forced := f.storing(c, data, StoreOptions{Epochs: 5, Force: true}, RegisterFromScratch)
	if forced.Object == res.Object || forced.Confirmed != 28 || forced.Cost.Storage != 5*f.genesis.StoragePrice || f.sent() != sent {
		t.Errorf("stored by force: %+v, %d bytes sent", forced, f.sent()-sent)
	}
	permanent := f.storing(c, data, StoreOptions{Permanent: true}, RegisterFromScratch)
	if permanent.Deletable || permanent.Certificate.Persistence.Deletable || f.sent() != sent {
		t.Errorf("stored for good: %+v", permanent)
	}
	if err := f.reads(c, res, data); err != nil {
		t.Error(err)
	}
}

// TestStoreOfOthers: another account's permanent blob serves everybody. A deletable one does not, but is not sent
// again.
func TestStoreOfOthers(t *testing.T) {
	f, c := newFake(t, 7, 28)
	key := newKey(t)
	other := f.client(key)
	err := f.chain.Payer(f.wallet).Run(t.Context(), ledger.Transfer{To: addressOf(key), Amount: 10 * ledger.WAL})
	if err != nil {
		t.Fatal(err)
	}
	data := noise(2, 30_000)
	if _, err := store(t, other, data, StoreOptions{}); err != nil {
		t.Fatal(err)
	}
	sent := f.sent()
	f.storing(c, data, StoreOptions{}, RegisterFromScratch)
	if f.sent() != sent {
		t.Error("the same slivers were sent twice")
	}
	lasting := noise(3, 30_000)
	if _, err := store(t, other, lasting, StoreOptions{Permanent: true, Epochs: 2}); err != nil {
		t.Fatal(err)
	}
	res := f.storing(c, lasting, StoreOptions{Epochs: 2}, AlreadyCertified)
	if res.Object != (ledger.ObjectID{}) || res.Deletable || res.EndEpoch != 3 {
		t.Errorf("%+v", res)
	}
}

// TestStoreInterrupted pays and then fails because nodes are missing; the next attempt uses that registration.
func TestStoreInterrupted(t *testing.T) { synctest.Test(t, testStoreInterrupted) }

func testStoreInterrupted(t *testing.T) {
	f, c := newFake(t, 7, 28)
	data := noise(4, 30_000)
	f.moods[0], f.moods[1], f.moods[2] = down, down, refusing
	var few *NotEnoughError
	if _, err := store(t, c, data, StoreOptions{Epochs: 2}); !errors.As(err, &few) {
		t.Fatalf("store without a quorum: %v", err)
	}
	f.moods[0], f.moods[1], f.moods[2] = well, well, well
	first := f.storing(c, data, StoreOptions{Epochs: 2}, ReuseRegistration)
	if first.Cost.Storage != 0 || first.Cost.Write != 0 {
		t.Errorf("paid twice: %+v", first.Cost)
	}
	more := noise(5, 30_000)
	f.moods[0], f.moods[1], f.moods[2] = down, down, refusing
	if _, err := store(t, c, more, StoreOptions{Epochs: 2}); !errors.As(err, &few) {
		t.Fatalf("store without a quorum: %v", err)
	}
	f.moods[0], f.moods[1], f.moods[2] = well, well, well
	second := f.storing(c, more, StoreOptions{Epochs: 4}, ReuseAndExtendNonCertified)
	if second.EpochsExtended != 2 || second.EndEpoch != 5 || second.Certificate == nil {
		t.Errorf("%+v", second)
	}
	list, err := c.ListBlobs(t.Context(), false)
	if err != nil || len(list) != 2 || list[0].Certified == 0 || list[1].Certified == 0 {
		t.Errorf("records %+v, %v", list, err)
	}
}

// TestDeleteAndReuse deletes a blob and stores another one in the rest of its storage.
func TestDeleteAndReuse(t *testing.T) {
	f, c := newFake(t, 7, 28)
	data := noise(6, 3_000_000)
	res := f.storing(c, data, StoreOptions{Epochs: 5}, RegisterFromScratch)
	f.advance(1)
	done, err := c.Delete(t.Context(), res.Object)
	if err != nil || done.Storage == (ledger.ObjectID{}) {
		t.Fatalf("delete: %+v, %v", done, err)
	}
	if err := f.reads(c, res, data); !errors.Is(err, ErrNotFound) {
		t.Errorf("read of a deleted blob: %v", err)
	}
	rest, err := c.ListStorage(t.Context(), false)
	if err != nil || len(rest) != 1 || rest[0].Object != done.Storage || rest[0].End != 6 {
		t.Fatalf("storage %+v, %v", rest, err)
	}
	small := noise(7, 1000)
	next := f.storing(c, small, StoreOptions{Epochs: 2}, ReuseStorage)
	if next.Cost.Storage != 0 || next.EndEpoch != 4 || f.reads(c, next, small) != nil {
		t.Errorf("%+v", next)
	}
	if rest, err = c.ListStorage(t.Context(), false); err != nil || len(rest) != 2 {
		t.Errorf("storage left over %+v, %v", rest, err)
	}
}

// TestShared stores a shared blob, and another account funds and extends it.
func TestShared(t *testing.T) {
	f, c := newFake(t, 7, 28)
	key := newKey(t)
	if err := f.chain.Payer(f.wallet).Run(t.Context(), ledger.Transfer{To: addressOf(key), Amount: ledger.WAL}); err != nil {
		t.Fatal(err)
	}
	res := f.storing(c, noise(8, 1000), StoreOptions{Permanent: true, Share: true, Fund: 5_000_000}, RegisterFromScratch)
	if !res.Shared || res.Cost.Fund != 5_000_000 {
		t.Errorf("%+v", res)
	}
	other := f.client(key)
	if _, err := other.Fund(t.Context(), res.Object, 7); err != nil {
		t.Error(err)
	}
	done, err := other.Extend(t.Context(), res.Object, 3, ExtendOptions{FromFunds: true})
	if err != nil || done.EndEpoch != 5 || done.Cost.Storage != 0 {
		t.Errorf("extend: %+v, %v", done, err)
	}
	rec, err := other.Record(t.Context(), res.Object)
	if err != nil || !rec.Shared || rec.End != 5 || rec.Funds != 5_000_007-3*f.genesis.StoragePrice {
		t.Errorf("record %+v, %v", rec, err)
	}
	if done, err = c.Extend(t.Context(), res.Object, MaxEpochs, ExtendOptions{}); err != nil || done.EndEpoch != 54 || done.Cost.Storage != 49*f.genesis.StoragePrice {
		t.Errorf("extend as far as can be: %+v, %v", done, err)
	}
	if _, err = c.Extend(t.Context(), res.Object, 1, ExtendOptions{}); err == nil {
		t.Error("extended beyond what is sold")
	}
}

// TestSendTo stores a certified blob for another account, which is offered a record of its own.
func TestSendTo(t *testing.T) {
	f, c := newFake(t, 7, 28)
	key := newKey(t)
	if err := f.chain.Payer(f.wallet).Run(t.Context(), ledger.Transfer{To: addressOf(key), Amount: ledger.WAL}); err != nil {
		t.Fatal(err)
	}
	data := noise(8, 1000)
	first := f.storing(c, data, StoreOptions{}, RegisterFromScratch)
	sent := f.storing(c, data, StoreOptions{SendTo: addressOf(key), Epochs: 2}, RegisterFromScratch)
	rec, err := c.Record(t.Context(), sent.Object)
	offer, errOffer := ledger.ReadOffer(f.chain.Head(), sent.Object)
	if err != nil || errOffer != nil || rec.Certified == 0 || rec.End != sent.EndEpoch ||
		offer != (ledger.Offer{From: addressOf(f.wallet), To: addressOf(key), Until: sent.EndEpoch}) {
		t.Errorf("record that was sent %+v, %v, offer %+v, %v", rec, err, offer, errOffer)
	}
	if rec, err = c.Record(t.Context(), first.Object); err != nil || rec.Owner != addressOf(f.wallet) {
		t.Errorf("record that was kept %+v, %v", rec, err)
	}
}

// lagging is a ledger read through a node that lags behind, until CatchUp.
type lagging struct {
	Ledger
	old ledger.Reader // nil: no longer
}

func (l *lagging) Read(ctx context.Context, keys ...[]byte) (ledger.Reader, error) {
	if l.old != nil {
		return l.old, nil
	}
	return l.Ledger.Read(ctx, keys...)
}

func (l *lagging) CatchUp(context.Context) { l.old = nil }

// TestPaidJustNow stores and extends with WAL that a node does not know of yet.
func TestPaidJustNow(t *testing.T) {
	f, c := newFake(t, 7, 28)
	key := newKey(t)
	old := f.chain.Head()
	if _, err := c.payer.Do(t.Context(), ledger.Fixed(ledger.Transfer{To: addressOf(key), Amount: ledger.WAL})); err != nil {
		t.Fatal(err)
	}
	poor := f.client(key)
	chain := &lagging{poor.chain, old}
	poor.chain = chain
	res, err := store(t, poor, noise(12, 1000), StoreOptions{})
	if err != nil {
		t.Fatalf("store: %v", err)
	}
	chain.old = emptyAccount{f.chain.Head(), ledger.KeyAccount(addressOf(key))}
	if _, err := poor.Extend(t.Context(), res.Object, 1, ExtendOptions{}); err != nil {
		t.Errorf("extend: %v", err)
	}
}

// emptyAccount is a state in which one account is empty.
type emptyAccount struct {
	ledger.Reader
	account []byte
}

func (e emptyAccount) Get(key []byte) ([]byte, error) {
	if bytes.Equal(key, e.account) {
		return nil, nil
	}
	return e.Reader.Get(key)
}

// TestChangeRefuses reports errors before anything is sent, or passes on the ledger's reason.
func TestChangeRefuses(t *testing.T) {
	f, c := newFake(t, 7, 28)
	permanent := f.storing(c, noise(9, 1000), StoreOptions{Permanent: true}, RegisterFromScratch).Object
	deletable := f.storing(c, noise(10, 1000), StoreOptions{}, RegisterFromScratch).Object
	poor := f.client(newKey(t))
	before := f.chain.Head().Height
	for name, run := range map[string]func(context.Context) error{
		"delete permanent": func(ctx context.Context) error { _, err := c.Delete(ctx, permanent); return err },
		"share deletable":  func(ctx context.Context) error { _, err := c.Share(ctx, deletable, 0); return err },
		"fund unshared":    func(ctx context.Context) error { _, err := c.Fund(ctx, deletable, 1); return err },
		"unknown":          func(ctx context.Context) error { _, err := c.Burn(ctx, ledger.ObjectID{9}); return err },
		"twice": func(ctx context.Context) error {
			_, err := c.SetAttributes(ctx, permanent, []ledger.Attribute{{Key: "a"}, {Key: "a"}}, nil)
			return err
		},
		"poor": func(ctx context.Context) error { _, err := poor.Burn(ctx, permanent); return err },
		"poor store": func(context.Context) error {
			_, err := store(t, poor, noise(11, 1000), StoreOptions{}) //nolint:contextcheck // it has the test's
			return err
		},
	} {
		err := run(t.Context())
		if err == nil {
			t.Errorf("%s: done", name)
		}
		var funds *NoFundsError
		if name[:4] == "poor" && (!errors.Is(err, ErrNoFunds) || !errors.As(err, &funds) || funds.Have != 0 || funds.Need == 0) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "unknown" && !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if f.chain.Head().Height != before {
		t.Error("something was sent that could not work")
	}
	if err := f.chain.Payer(f.wallet).Run(t.Context(), ledger.Transfer{To: poor.payer.Address(), Amount: ledger.WAL}); err != nil {
		t.Fatal(err)
	}
	var refused *ledger.OpError
	if _, err := poor.Delete(t.Context(), deletable); !errors.As(err, &refused) || refused.Code != ledger.CodeNotOwner {
		t.Errorf("delete of somebody else's: %v", err)
	}
	if _, err := c.SetAttributes(t.Context(), permanent, []ledger.Attribute{{Key: "b"}, {Key: "a", Value: "x"}}, nil); err != nil {
		t.Error(err)
	}
	if _, err := c.SetAttributes(t.Context(), permanent, nil, []string{"b", "b"}); err != nil {
		t.Error(err)
	}
	if rec, err := c.Record(t.Context(), permanent); err != nil || len(rec.Attributes) != 1 || rec.Attributes[0].Value != "x" {
		t.Errorf("record %+v, %v", rec, err)
	}
	reader := New(c.cfg, Swarm{f, f, f, f, nil, nil}, f.chain, nil, c.log)
	if _, err := reader.Burn(t.Context(), permanent); !errors.Is(err, ErrNoWallet) {
		t.Errorf("burn without a wallet: %v", err)
	}
	if _, err := store(t, reader, nil, StoreOptions{}); !errors.Is(err, ErrNoWallet) {
		t.Errorf("store without a wallet: %v", err)
	}
}

// TestEpochEndsDuringUpload ends the epoch after half of the nodes have confirmed: they are asked again, and nothing is
// sent twice.
func TestEpochEndsDuringUpload(t *testing.T) {
	for _, after := range []int{1, 4, 5, 6} { // confirmations; a quorum takes 5
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, c := newFake(t, 7, 28)
				data := noise(12, 50_000)
				count := 0
				f.confirm = func(int) {
					f.mu.Lock()
					count++
					now := count == after+1
					f.mu.Unlock()
					if now {
						f.advance(1)
					}
				}
				res := f.storing(c, data, StoreOptions{Epochs: 4}, RegisterFromScratch)
				whole := int64(28) * (layoutsOf(f, len(data)))
				if res.CertifiedEpoch != 2 && after < 5 || f.sent() != whole || f.reads(c, res, data) != nil {
					t.Errorf("certified in epoch %d, %d bytes sent, the blob has %d", res.CertifiedEpoch, f.sent(), whole)
				}
			})
		})
	}
}

// TestLedgerStalled: stores fail soon, with the reason; reads go on.
func TestLedgerStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := newFake(t, 7, 28)
		data := noise(13, 50_000)
		res := f.storing(c, data, StoreOptions{}, RegisterFromScratch)
		halt := func() { f.chain.Halt(fmt.Errorf("%w for 14 s at height 812", ErrStalled)) }
		halt()
		if _, err := store(t, c, noise(14, 100), StoreOptions{}); !errors.Is(err, ErrStalled) {
			t.Errorf("store: %v", err)
		}
		if err := f.reads(c, res, data); err != nil {
			t.Errorf("read while the ledger is stalled: %v", err)
		}
		if st, err := c.BlobStatus(t.Context(), res.BlobID); err != nil || !errors.Is(st.LedgerErr, ErrStalled) || st.Size != uint64(len(data)) {
			t.Errorf("status while the ledger is stalled: %+v, %v", st, err)
		}
		f.chain.Halt(nil)

		// it stops between the plan and the registration, and again before the certification
		f.chain.Delay(time.Second)
		start := time.Now()
		go func() {
			time.Sleep(500 * time.Millisecond)
			halt()
		}()
		if _, err := store(t, c, data[:1000], StoreOptions{}); !errors.Is(err, ErrStalled) || time.Since(start) > time.Minute {
			t.Errorf("store when the ledger stops: %v after %v", err, time.Since(start))
		}
		synctest.Wait()
		f.chain.Halt(nil)
		f.chain.Delay(0)
		before := f.balance()
		if _, err := store(t, c, data[:1000], StoreOptions{}); err != nil || f.balance() == before {
			t.Errorf("store when the ledger goes on: %v", err)
		}
	})
}

// TestSilentLedger never answers: reads wait briefly and go on.
func TestSilentLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := newFake(t, 7, 28)
		data := noise(15, 50_000)
		res := f.storing(c, data, StoreOptions{}, RegisterFromScratch)
		c.chain = silentLedger{c.chain}
		start := time.Now()
		if err := f.reads(c, res, data); err != nil || time.Since(start) > 2*ledgerPatience {
			t.Errorf("read: %v after %v", err, time.Since(start))
		}
	})
}

type silentLedger struct{ Ledger }

func (silentLedger) Read(ctx context.Context, _ ...[]byte) (ledger.Reader, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestNotStored: a blob that the ledger does not list as stored is not found, with the reason, even if nodes have it.
func TestNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := newFake(t, 7, 28)
		data := noise(16, 20_000)
		res := f.storing(c, data, StoreOptions{}, RegisterFromScratch)
		if st, err := c.BlobStatus(t.Context(), res.BlobID); err != nil || st.EndEpoch != 2 || st.CertifiedEpoch != 1 || st.Permanent || len(st.Own) != 1 || st.Certificate == nil {
			t.Errorf("status %+v, %v", st, err)
		}
		f.advance(1)
		if err := f.reads(c, res, data); !errors.Is(err, ErrNotFound) {
			t.Errorf("read of an expired blob: %v", err)
		}
		if _, err := c.BlobStatus(t.Context(), res.BlobID); !errors.Is(err, ErrNotFound) {
			t.Errorf("status of an expired blob: %v", err)
		}
		if list, err := c.ListBlobs(t.Context(), false); err != nil || len(list) != 0 {
			t.Errorf("live records %+v, %v", list, err)
		}
		if list, err := c.ListBlobs(t.Context(), true); err != nil || len(list) != 0 {
			t.Errorf("all records %+v, %v: the ledger removes what has ended", list, err)
		}

		f.moods[0], f.moods[1], f.moods[2] = down, down, refusing
		half, err := store(t, c, noise(17, 20_000), StoreOptions{})
		if err == nil {
			t.Fatal("stored without a quorum")
		}
		f.moods[0], f.moods[1], f.moods[2] = well, well, well
		if err := f.reads(c, half, nil); !errors.Is(err, ErrNotFound) {
			t.Errorf("read of a blob that was never certified: %v", err)
		}
		if st, err := c.BlobStatus(t.Context(), half.BlobID); err != nil || st.CertifiedEpoch != 0 || st.EndEpoch != 3 {
			t.Errorf("status of a blob that was never certified: %+v, %v", st, err)
		}
	})
}

// TestInfo reads the state of the network.
func TestInfo(t *testing.T) {
	f, c := newFake(t, 7, 28)
	res := f.storing(c, noise(18, 20_000), StoreOptions{}, RegisterFromScratch)
	for epoch := uint32(1); epoch <= 2; epoch++ {
		info, err := c.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.Epoch != epoch || info.Committee.Epoch() != epoch || info.Balance != f.balance() || info.Params.StoragePrice != f.genesis.StoragePrice ||
			!info.EpochEnd.Equal(f.genesis.Time.Add(time.Duration(epoch)*f.genesis.EpochDuration)) {
			t.Errorf("%+v", info)
		}
		if stored := uint64(res.EncodedSize); epoch == 1 && (info.Sold != stored || info.Rewards == 0) || epoch == 2 && (info.Sold != 0 || info.Burned == 0) {
			t.Errorf("in epoch %d: %+v", epoch, info)
		}
		f.advance(1)
	}
}

// TestConcurrentStores runs stores that compete for one storage resource: all succeed.
func TestConcurrentStores(t *testing.T) {
	f, c := newFake(t, 7, 28)
	first := f.storing(c, noise(30, 1000), StoreOptions{Epochs: 2}, RegisterFromScratch)
	if _, err := c.Delete(t.Context(), first.Object); err != nil {
		t.Fatal(err)
	}
	var g errgroup.Group
	for i := range 8 {
		g.Go(func() error {
			data := noise(uint64(40+i), 1000)
			res, err := c.Store(t.Context(), bytes.NewReader(data), 1000, StoreOptions{Epochs: 2})
			if err == nil {
				err = f.reads(c, res, data)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if list, err := c.ListBlobs(t.Context(), false); err != nil || len(list) != 8 {
		t.Errorf("%d records, %v", len(list), err)
	}
}

// TestNotStoredWhileNodesAreSilent: reads do not wait for nodes if the ledger does not know the blob.
func TestNotStoredWhileNodesAreSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := newFake(t, 7, 28)
		for i := range f.moods {
			f.moods[i] = silent
		}
		start := time.Now()
		_, err := c.Read(t.Context(), shards.BlobID{1}, &bytes.Buffer{}, ReadOptions{})
		if !errors.Is(err, ErrNotFound) || time.Since(start) > 2*lagPatience {
			t.Errorf("read of an unknown blob: %v after %v", err, time.Since(start))
		}
	})
}

// TestOldCertificate: the certificate of a deleted record does not certify a blob that is registered again, neither for
// its status nor for a read.
func TestOldCertificate(t *testing.T) {
	f, c := newFake(t, 7, 28)
	res, err := store(t, c, []byte("a blob"), StoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Delete(t.Context(), res.Object); err != nil {
		t.Fatal(err)
	}
	meta, _, err := shards.Encode(f.com.Params(), []byte("a blob"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.chain.Payer(f.wallet).Register(t.Context(), meta, 1, false); err != nil {
		t.Fatal(err)
	}
	if st, err := c.BlobStatus(t.Context(), res.BlobID); err != nil || st.Certificate != nil || st.CertifiedEnd != 0 || st.EndEpoch == 0 {
		t.Errorf("status %+v, %v", st, err)
	}
	if _, err := c.Read(t.Context(), res.BlobID, io.Discard, ReadOptions{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("read: %v", err)
	}
}

// recomposing is a payer that first composes every transaction for a nonce that it does not get. It waits until told
// that somebody used that prediction. With back set it composes for the nonce it gets, then another, then the first
// again.
type recomposing struct {
	Payer
	believed <-chan struct{}
	back     bool
}

func (r recomposing) Do(ctx context.Context, build ledger.Build) (ledger.Receipt, error) {
	other := func(op int) ledger.ObjectID { return ledger.ObjectID{0xff, byte(op)} }
	wait := func() {
		select {
		case <-r.believed:
		case <-ctx.Done():
		}
	}
	if !r.back {
		_ = build(other)
		wait()
		return r.Payer.Do(ctx, build)
	}
	return r.Payer.Do(ctx, func(object func(op int) ledger.ObjectID) []ledger.Op {
		_ = build(object)
		wait()
		_ = build(other)
		return build(object)
	})
}

// TestConfirmEarly asks nodes to confirm a record as soon as its ID is predicted, and again if the ID changes. All of
// them confirm in the end. For permanent records, and for a prediction that was right after all, they are asked only
// once.
func TestConfirmEarly(t *testing.T) {
	for _, permanent := range []bool{false, true} {
		for _, back := range []bool{false, true} {
			t.Run(fmt.Sprintf("permanent %v, back %v", permanent, back), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f, c := newFake(t, 7, 28)
					believed := make(chan struct{})
					var once sync.Once
					var asked [7]atomic.Int32
					f.latency = 50 * time.Millisecond
					f.confirm = func(i int) {
						if asked[i].Add(1) > 2 {
							t.Errorf("node %d is asked again and again", i)
						}
						once.Do(func() { close(believed) })
					}
					c.payer = recomposing{c.payer, believed, back}
					res, err := store(t, c, noise(1, 100_000), StoreOptions{Permanent: permanent})
					if err != nil {
						t.Fatal(err)
					}
					if b, err := ledger.ReadBlob(f.chain.Head(), res.Object); err != nil || b.Certified == 0 || res.Confirmed != res.Shards {
						t.Errorf("stored with %d of %d shards as %+v: %v", res.Confirmed, res.Shards, b, err)
					}
				})
			})
		}
	}
}

// TestPredictionTaken: a node that has seen another transaction take the predicted record's ID refuses a token for it.
// It is asked again with a token for the record that was made in the end.
func TestPredictionTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := newFake(t, 7, 28)
		taken := make(chan struct{})
		var refusals atomic.Int32
		f.deny = func(object ledger.ObjectID) bool {
			if object != (ledger.ObjectID{0xff, object[1]}) { // what recomposing predicts
				return false
			}
			if refusals.Add(1) == 1 {
				close(taken)
			}
			return true
		}
		var asked [7]atomic.Bool
		f.busy = func(i int, pairs bool) bool { return pairs && !asked[i].Swap(true) } // until the ID is predicted
		c.payer = recomposing{c.payer, taken, false}
		res, err := store(t, c, noise(1, 100_000), StoreOptions{})
		if err != nil || refusals.Load() == 0 {
			t.Fatalf("after %d refusals: %v", refusals.Load(), err)
		}
		if res.Confirmed != res.Shards {
			t.Errorf("%d of %d shards confirmed", res.Confirmed, res.Shards)
		}
	})
}

// unlisted is a ledger that cannot list what accounts own.
type unlisted struct{ Ledger }

func (unlisted) Objects(context.Context, ledger.Address) (map[ledger.ObjectID]ledger.Storage,
	map[ledger.ObjectID]ledger.Blob, error) {
	return nil, nil, errors.New("changes while it is read")
}

// TestStoreWithoutListing stores although the account, which has storage to use again, cannot be listed.
func TestStoreWithoutListing(t *testing.T) {
	f, c := newFake(t, 7, 28)
	data := noise(8, 1000)
	first := f.storing(c, data, StoreOptions{}, RegisterFromScratch)
	if _, err := c.Delete(t.Context(), first.Object); err != nil {
		t.Fatal(err)
	}
	c.chain = unlisted{c.chain}
	f.storing(c, data, StoreOptions{}, RegisterFromScratch)
}
