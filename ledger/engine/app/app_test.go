package app

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"walrus/ledger"
	"walrus/ledger/engine/badgerdb"
	"walrus/ledger/merkle"
)

// compare checks everything in the app against the chain.
func compare(t *testing.T, a *App, c *chain) {
	t.Helper()
	v := a.View()
	if v.Height != c.height || v.Root() != c.roots[c.height] {
		t.Fatalf("height %d with root %s, want %d with %s", v.Height, v.Root(), c.height, c.roots[c.height])
	}
	compareViews(t, a, c)
	compareLog(t, a, c, 1)
}

func compareViews(t *testing.T, a *App, c *chain) {
	t.Helper()
	for h := range c.height + 1 {
		v, ok := a.ViewAt(h)
		if !ok {
			continue
		}
		if v.Height != h || v.Root() != c.roots[h] || h > 0 && v.Time != c.log[h-1].Time {
			t.Fatalf("view at %d: height %d, time %d", h, v.Height, v.Time)
		}
		compareView(t, v, c.states[h], c.states[c.height])
	}
	if _, ok := a.ViewAt(c.height + 1); ok {
		t.Error("there is a view of the future")
	}
}

// compareView checks a view against the state that it should have; more has other keys to try.
func compareView(t *testing.T, v *View, want, more memory) {
	t.Helper()
	compareKeys(t, v, want, want)
	compareKeys(t, v, want, more)
	for _, w := range wallets() {
		all := want.objects(t, listObjects, w.address)
		got, err := v.Objects(w.address, ledger.ObjectID{}, 10_000)
		check(t, err)
		if !slices.Equal(got, all) {
			t.Fatalf("height %d: account %s owns %d objects, want %d", v.Height, w.address, len(got), len(all))
		}
		var offers []Object
		ids, err := v.Offers(w.address, ledger.ObjectID{}, 10_000)
		check(t, err)
		for _, id := range ids {
			offers = append(offers, Object{ID: id})
		}
		if want := want.objects(t, listOffers, w.address); !slices.Equal(offers, want) {
			t.Fatalf("height %d: %d objects are offered to account %s, want %d", v.Height, len(offers), w.address, len(want))
		}
		// Light clients compare a node's list with these counts.
		account, err := ledger.ReadAccount(v, w.address)
		check(t, err)
		if blobs := len(slices.DeleteFunc(slices.Clone(got), func(o Object) bool { return !o.Blob })); int(
			account.Blobs) != blobs ||
			int(account.Storages) != len(got)-blobs {
			t.Fatalf("height %d: account %s owns %d blobs of %d objects, the state says %+v", v.Height, w.address,
				blobs, len(got), account)
		}
		var paged []Object
		after := ledger.ObjectID{}
		for {
			page, err := v.Objects(w.address, after, 3)
			check(t, err)
			if len(page) == 0 {
				break
			}
			paged = append(paged, page...)
			after = page[len(page)-1].ID
		}
		if !slices.Equal(paged, all) {
			t.Fatalf("height %d: account %s owns %d objects in pages, want %d", v.Height, w.address, len(paged), len(all))
		}
	}
}

// compareKeys checks some keys of a view.
func compareKeys(t *testing.T, v *View, want, keys memory) {
	t.Helper()
	for key := range keys {
		value, err := v.Get([]byte(key))
		if err != nil || !bytes.Equal(value, want[key]) || (value == nil) != (want[key] == nil) {
			t.Fatalf("height %d, key %x: %x, %v, want %x", v.Height, key, value, err, want[key])
		}
		proof, err := v.Prove([]byte(key))
		if err == nil {
			err = merkle.Verify(v.Root(), []byte(key), value, proof)
		}
		if err != nil {
			t.Fatalf("height %d, key %x: %v", v.Height, key, err)
		}
	}
}

// compareLog checks receipts, histories and blocks from a height on.
func compareLog(t *testing.T, a *App, c *chain, first uint64) {
	t.Helper()
	var blocks []Block
	for from := first; ; {
		page, err := a.Blocks(from, 7)
		check(t, err)
		if len(page) == 0 {
			break
		}
		blocks = append(blocks, page...)
		from = page[len(page)-1].Height + 1
	}
	if want := c.log[first-1:]; len(blocks)+len(want) > 0 && !reflect.DeepEqual(blocks, want) {
		t.Fatalf("log of %d blocks, want %d", len(blocks), len(want))
	}
	byID := make(map[ledger.TxID]ledger.Receipt)
	history := make(map[ledger.Subject][]ledger.Receipt)
	var everybody []ledger.Receipt
	for _, b := range c.log[first-1:] {
		for _, r := range b.Receipts {
			if !r.Effective() {
				continue
			}
			byID[r.ID] = r
			everybody = append(everybody, r)
			for subject := range r.Subjects(c.senders[r.ID]) {
				history[subject] = append(history[subject], r)
			}
		}
	}
	for _, b := range c.log[first-1:] {
		for _, r := range b.Receipts {
			if _, paid := byID[r.ID]; paid {
				continue
			}
			if _, err := a.Receipt(r.ID); !errors.Is(err, ledger.ErrNotFound) {
				t.Fatalf("receipt of a transaction without effect: %v, want ErrNotFound", err)
			}
		}
	}
	for id, want := range byID {
		if got, err := a.Receipt(id); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("receipt %s: %+v, %v, want %+v", id, got, err, want)
		}
	}
	for _, w := range wallets() {
		history[ledger.AboutAccount(w.address)] = history[ledger.AboutAccount(w.address)] // perhaps none
	}
	kinds := make(map[ledger.SubjectKind]bool)
	for about, want := range history {
		kinds[about.Kind] = true
		var all []ledger.Receipt
		before := Position{}
		for {
			page, err := a.History(about, before, 5)
			check(t, err)
			if len(page) == 0 {
				break
			}
			all = append(all, page...)
			before = Position{page[len(page)-1].Height, page[len(page)-1].Index}
		}
		slices.Reverse(all)
		if !reflect.DeepEqual(all, want) {
			t.Fatalf("history of %s has %d transactions, want %d", about, len(all), len(want))
		}
	}
	if got := history[ledger.AboutAccount(ledger.Address{})]; len(got) != len(everybody) {
		t.Fatalf("history of all accounts has %d transactions, want %d", len(got), len(everybody))
	}
	if len(everybody) > 50 && len(kinds) != 3 {
		t.Fatalf("histories of %d kinds of subjects", len(kinds))
	}
}

func TestRandomBlocks(t *testing.T) {
	rounds := 4
	if testing.Short() { // under the race detector
		rounds = 2
	}
	dir := t.TempDir()
	c := newChain(t, 1)
	for round := range rounds {
		db := openDB(t, dir)
		a, err := Open(Config{DB: db, Genesis: c.genesis, SnapshotEvery: 17})
		check(t, err)
		compare(t, a, c)
		for i := range 50 {
			before, after := a.View(), a.Changed()
			r := c.random(t)
			if i%3 > 0 { // as in block sync, where nothing is proposed
				propose(t, a, c, r)
			}
			response := run(t, a, r)
			if !bytes.Equal(response.AppHash, c.roots[c.height][:]) || len(response.TxResults) != len(r.Txs) {
				t.Fatalf("height %d: app hash %x with %d results", c.height, response.AppHash, len(response.TxResults))
			}
			for i, result := range response.TxResults {
				want := c.log[c.height-1].Receipts[i].Result
				if result.Code != uint32(want.Code) || !bytes.Equal(result.Data, want.Agreed()) || result.Log != "" ||
					result.Events != nil {
					t.Fatalf("height %d: result %+v, want %+v", c.height, result, want)
				}
			}
			select {
			case <-after:
			default:
				t.Fatal("the change was not told")
			}
			if a.View() == before {
				t.Fatal("the view is the old one")
			}
			if i%10 == 0 {
				compareViews(t, a, c)
			}
		}
		compare(t, a, c)
		check(t, a.Close())
		check(t, db.Close())
		t.Logf("round %d: height %d, %d keys", round, c.height, len(c.values))
	}
}

// propose offers a block of c. A block that contains anything without effect is refused.
func propose(t *testing.T, a *App, c *chain, r *abci.RequestFinalizeBlock) {
	t.Helper()
	want := abci.ResponseProcessProposal_ACCEPT
	for _, receipt := range c.log[r.Height-1].Receipts {
		if !receipt.Effective() {
			want = abci.ResponseProcessProposal_REJECT
		}
	}
	response, err := a.ProcessProposal(t.Context(), &abci.RequestProcessProposal{Height: r.Height, Time: r.Time,
		Txs: r.Txs, Hash: r.Hash})
	check(t, err)
	if response.Status != want {
		t.Fatalf("height %d: proposal answered with %s, want %s", r.Height, response.Status, want)
	}
}

// TestEmptyBlocks: an empty block does not change the root, or CometBFT would propose blocks for ever.
func TestEmptyBlocks(t *testing.T) {
	c := newChain(t, 1)
	a := openApp(t, "", c.genesis, nil)
	info, err := a.Info(t.Context(), nil)
	check(t, err)
	begun, err := a.InitChain(t.Context(), &abci.RequestInitChain{ChainId: c.genesis.ChainID(), InitialHeight: 1})
	check(t, err)
	if info.LastBlockHeight != 0 || !bytes.Equal(begun.AppHash, c.roots[0][:]) ||
		!bytes.Equal(info.LastBlockAppHash, begun.AppHash) {
		t.Errorf("height %d with root %x, began with %x, want %s", info.LastBlockHeight, info.LastBlockAppHash,
			begun.AppHash, c.roots[0])
	}
	for range 3 {
		response := run(t, a, c.add(t))
		if !bytes.Equal(response.AppHash, begun.AppHash) {
			t.Errorf("height %d: app hash %x, want that of the genesis", c.height, response.AppHash)
		}
	}
	if info, err = a.Info(t.Context(), nil); err != nil || info.LastBlockHeight != 3 {
		t.Errorf("height %d, %v, want 3", info.LastBlockHeight, err)
	}
}

func TestViewsWhileBlocksGoOn(t *testing.T) {
	c := newChain(t, 5)
	a := openApp(t, t.TempDir(), c.genesis, nil)
	for range 20 {
		run(t, a, c.random(t))
	}
	v, want := a.View(), c.states[c.height]
	stop, done := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			seen := make(memory)
			for from := new(merkle.Hash); from != nil; {
				pairs, next, err := v.Pairs(*from, 10, 1<<20)
				if err != nil {
					done <- err
					return
				}
				for _, p := range pairs {
					seen[string(p.Key)] = p.Value
				}
				from = next
			}
			if !reflect.DeepEqual(seen, want) {
				done <- fmt.Errorf("a view of %d keys has become one of %d", len(want), len(seen))
				return
			}
			for key, value := range want {
				if got, err := v.Get([]byte(key)); err != nil || !bytes.Equal(got, value) {
					done <- fmt.Errorf("key %x: %x, %v, want %x", key, got, err, value)
					return
				}
			}
		}
	}()
	for range keptViews + 1 {
		run(t, a, c.random(t))
	}
	close(stop)
	check(t, <-done)
	if _, ok := a.ViewAt(v.Height); ok {
		t.Error("the view is kept still")
	}
}

func TestPrune(t *testing.T) {
	c := newChain(t, 9)
	const keep = 20
	a := openApp(t, "", c.genesis, func(cfg *Config) { cfg.Keep = Retention{1, keep} })
	for range 60 {
		run(t, a, c.random(t))
	}
	first := c.height - keep + 1
	compareViews(t, a, c)
	compareLog(t, a, c, first)
	if _, err := a.Blocks(first-1, 1); !errors.Is(err, ErrPruned) {
		t.Errorf("blocks from %d: %v, want ErrPruned", first-1, err)
	}
	for _, b := range c.log[:first-1] {
		for _, r := range b.Receipts {
			if _, err := a.Receipt(r.ID); r.Effective() && !errors.Is(err, ledger.ErrNotFound) {
				t.Errorf("receipt of height %d: %v, want ErrNotFound", r.Height, err)
			}
		}
	}
	for _, letter := range []byte{'n', 'x', 'h', 'g'} {
		pairs, err := a.space.Scan(badgerdb.Range{From: []byte{letter}, To: []byte{letter + 1}, Limit: 1 << 20})
		check(t, err)
		for _, p := range pairs {
			at := p.Key
			if letter == 'x' {
				at = p.Value
			}
			if pos, _ := parsePosition(at); pos.Height < first {
				t.Errorf("key %q of height %d is left", letter, pos.Height)
			}
		}
	}
	var b badgerdb.Batch // a reader may come in the middle of a commit that prunes
	a.kept.Add(1)
	b.Delete(a.space, logKey(first, 0))
	check(t, a.db.Write(&b))
	if blocks, err := a.Blocks(first, 10); !errors.Is(err, ErrPruned) {
		t.Errorf("half removed: %d blocks, %v, want ErrPruned", len(blocks), err)
	}
	response, err := a.FinalizeBlock(t.Context(), c.add(t))
	check(t, err)
	if commit, err := a.Commit(t.Context(), nil); err != nil || commit.RetainHeight != int64(c.height-keep+1) ||
		response == nil {
		t.Errorf("retain height %d, %v, want %d", commit.RetainHeight, err, c.height-keep+1)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	c := newChain(t, 1)
	a := openApp(t, dir, c.genesis, nil)
	for range 5 {
		run(t, a, c.random(t))
	}
	other := testGenesis(t)
	other.Time = other.Time.Add(time.Second)
	if _, err := Open(Config{DB: a.db, Genesis: other}); !errors.Is(err, ErrNetwork) {
		t.Errorf("another network: %v, want ErrNetwork", err)
	}
	var b badgerdb.Batch
	rich := ledger.KeyAccount(wallets()[0].address)
	b.Set(a.space, stateKey(rich), record(rich, ledger.Account{Balance: 1 << 60, Nonce: c.nonce(t, wallets()[0])}.Marshal()))
	check(t, a.db.Write(&b))
	changed, err := Open(Config{DB: a.db, Genesis: c.genesis})
	check(t, err)
	if _, err := changed.View().Prove(rich); !errors.Is(err, ErrMismatch) || !errors.Is(err, merkle.ErrDamaged) {
		t.Errorf("changed state: %v, want ErrMismatch", err)
	}
	if _, err := changed.FinalizeBlock(t.Context(), c.add(t, c.sign(wallets()[0], c.nonce(t, wallets()[0]),
		ledger.Transfer{To: ledger.Address{1}, Amount: 1}))); !errors.Is(err, ErrMismatch) {
		t.Errorf("block over a changed state: %v, want ErrMismatch", err)
	}
	b = badgerdb.Batch{}
	b.Delete(a.space, pageKey(merkle.Place{}))
	check(t, a.db.Write(&b))
	if _, err := Open(Config{DB: a.db, Genesis: c.genesis}); !errors.Is(err, ErrMismatch) {
		t.Errorf("no top of the tree: %v, want ErrMismatch", err)
	}
	b = badgerdb.Batch{}
	b.Delete(a.space, keyHead)
	check(t, a.db.Write(&b))
	if _, err := Open(Config{DB: a.db, Genesis: c.genesis}); !errors.Is(err, ErrMismatch) {
		t.Errorf("no head: %v, want ErrMismatch", err)
	}
	other.Members = nil
	if _, err := Open(Config{DB: a.db, Genesis: other}); !errors.Is(err, ledger.ErrGenesis) {
		t.Errorf("no members: %v, want ErrGenesis", err)
	}
}
