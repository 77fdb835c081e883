package app

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"walrus/ledger"
	"walrus/ledger/engine/badgerdb"
	"walrus/ledger/mempool"
)

func TestInitChainRefuses(t *testing.T) {
	c := newChain(t, 1)
	a := openApp(t, "", c.genesis, nil)
	for name, r := range map[string]*abci.RequestInitChain{
		"another chain":  {ChainId: "other-00000000", InitialHeight: 1},
		"another height": {ChainId: c.genesis.ChainID(), InitialHeight: 5},
	} {
		if _, err := a.InitChain(t.Context(), r); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	run(t, a, c.add(t))
	if _, err := a.InitChain(t.Context(), &abci.RequestInitChain{ChainId: c.genesis.ChainID(),
		InitialHeight: 1}); err == nil {
		t.Error("begun twice: no error")
	}
}

func TestOffer(t *testing.T) {
	c := newChain(t, 1)
	a := openApp(t, "", c.genesis, func(cfg *Config) { cfg.Waiting = mempool.Limits{Txs: 3, Bytes: 10_000} })
	w := wallets()[0]
	pay := ledger.Transfer{To: wallets()[1].address, Amount: 5}
	forged := c.sign(w, 0, pay)
	forged[len(forged)-1] ^= 1
	waits := func(want uint32) {
		t.Helper()
		r, err := a.CheckTx(t.Context(), &abci.RequestCheckTx{Tx: []byte{1}})
		if check(t, err); r.Code != want {
			t.Errorf("CheckTx answers %d, want %d", r.Code, want)
		}
	}
	waits(uint32(ledger.CodeNotFound))
	offer(t, a, []byte("x"), ledger.CodeFormat)
	offer(t, a, forged, ledger.CodeSignature)
	offer(t, a, c.sign(w, 1, pay), ledger.CodeNonce)
	first, second := c.sign(w, 0, pay), c.sign(w, 1, pay)
	offer(t, a, first, ledger.CodeOK)
	offer(t, a, second, ledger.CodeOK)
	waits(0)
	offer(t, a, second, ledger.CodeOK)
	offer(t, a, c.sign(wallets()[1], 0, pay), ledger.CodeFee)
	if !a.known.tx(ledger.HashTx(first)) || a.known.tx(ledger.HashTx(forged)) {
		t.Error("the wrong signatures are known to be good")
	}
	run(t, a, c.add(t, first)) // then the other still waits
	waits(0)
	offer(t, a, second, ledger.CodeOK)
	offer(t, a, first, ledger.CodeNonce)
	check(t, a.db.Close())
	offer(t, a, c.sign(wallets()[2], 0, pay), ledger.CodeInternal)
}

// offer offers a transaction and checks the answer.
func offer(t *testing.T, a *App, tx []byte, want ledger.Code) {
	t.Helper()
	code, text := ledger.CodeOK, ""
	if _, err := a.Offer(tx, false); err != nil {
		code, text = refusal(err).Code, err.Error()
	}
	if code != want {
		t.Errorf("code %s, %q, want %s", code, text, want)
	}
}

// refusal returns the refusal in err; CodeInternal for anything else.
func refusal(err error) *ledger.OpError {
	var refused *ledger.OpError
	if errors.As(err, &refused) {
		return refused
	}
	return &ledger.OpError{Code: ledger.CodeInternal, Op: -1, Text: err.Error()}
}

// TestFate: who pays more takes the place of the cheapest, and the node can say why that one left.
func TestFate(t *testing.T) {
	c := newChain(t, 1)
	a := openApp(t, "", c.genesis, func(cfg *Config) { cfg.Waiting = mempool.Limits{Txs: 1, Bytes: 10_000} })
	pay := ledger.Transfer{To: wallets()[1].address, Amount: 5}
	cheap := c.sign(wallets()[0], 0, pay)
	tx, err := ledger.UnmarshalTx(c.sign(wallets()[1], 0, pay))
	check(t, err)
	tx.Fee *= 2
	tx.Sign(wallets()[1].key)
	offer(t, a, cheap, ledger.CodeOK)
	offer(t, a, tx.Marshal(), ledger.CodeOK)
	if why := a.Fate(ledger.HashTx(cheap)); why == nil || !why.PricedOut() || why.Least <= tx.Fee {
		t.Errorf("the cheap one left: %v", why)
	}
	if a.Pending() != 1 || a.Fate(tx.ID()) != nil {
		t.Errorf("%d wait; the other one: %v", a.Pending(), a.Fate(tx.ID()))
	}
}

// TestKnownSignatures remembers the signatures of all transactions that may wait, so that each is verified once.
func TestKnownSignatures(t *testing.T) {
	const pending = 300
	k := newKnown(pending)
	for i := range pending + knownTxs {
		k.txs.Add(ledger.TxID{byte(i), byte(i >> 8)}, struct{}{})
	}
	if !k.tx(ledger.TxID{}) {
		t.Error("the first is forgotten")
	}
}

func TestPrepareProposal(t *testing.T) {
	c := newChain(t, 1)
	a := openApp(t, "", c.genesis, nil)
	w := wallets()[0]
	pay := ledger.Transfer{To: wallets()[1].address, Amount: 5}
	one, two, ahead := c.sign(w, 0, pay), c.sign(w, 1, pay), c.sign(w, 3, pay)
	offer(t, a, one, ledger.CodeOK)
	offer(t, a, two, ledger.CodeOK)
	offer(t, a, ahead, ledger.CodeNonce)
	r, err := a.PrepareProposal(t.Context(), &abci.RequestPrepareProposal{
		Height: 1, Time: time.Unix(0, c.time), Txs: [][]byte{{1}}, MaxTxBytes: 1 << 20,
	})
	check(t, err)
	if !slices.EqualFunc(r.Txs, [][]byte{one, two}, bytes.Equal) {
		t.Errorf("%d transactions picked, want the two that are valid, in order", len(r.Txs))
	}
	block := c.add(t, r.Txs...)
	propose(t, a, c, block)
	proposed := a.proposed
	if run(t, a, block); proposed == nil || a.View().tree.Root() != proposed.outcome.Tree.Root() {
		t.Error("the block was run again")
	}
}

func TestProcessProposalRefuses(t *testing.T) {
	c := newChain(t, 1)
	a := openApp(t, "", c.genesis, nil)
	pay := ledger.Transfer{To: wallets()[1].address, Amount: 5}
	good := c.sign(wallets()[0], 0, pay)
	forged := bytes.Clone(good)
	forged[len(forged)-1] ^= 1
	foreign := &ledger.Tx{Expiry: 5, Fee: 1 << 20, Ops: []ledger.Op{pay}}
	foreign.Sign(wallets()[0].key)
	for name, bad := range map[string][]byte{"no transaction": []byte("x"), "forged": forged,
		"foreign": foreign.Marshal()} {
		r, err := a.ProcessProposal(t.Context(), &abci.RequestProcessProposal{Height: 1, Time: time.Unix(0, c.time),
			Txs: [][]byte{good, bad}})
		if err != nil || r.Status != abci.ResponseProcessProposal_REJECT {
			t.Errorf("%s: %v, %v, want it refused", name, r, err)
		}
	}
	// If such a block is decided all the same, it runs, with a result for each transaction.
	block := c.add(t, good, forged, foreign.Marshal(), []byte("x"))
	response := run(t, a, block)
	var codes []ledger.Code
	for _, r := range response.TxResults {
		codes = append(codes, ledger.Code(r.Code))
	}
	if want := []ledger.Code{ledger.CodeOK, ledger.CodeSignature, ledger.CodeNetwork,
		ledger.CodeFormat}; !slices.Equal(codes, want) {
		t.Errorf("codes %v, want %v", codes, want)
	}
	compare(t, a, c)
}

// TestOtherDecision decides a block other than the last proposed one.
func TestOtherDecision(t *testing.T) {
	c, other := newChain(t, 1), newChain(t, 2)
	a := openApp(t, "", c.genesis, nil)
	for range 10 {
		r := c.random(t)
		if other.height == 0 {
			propose(t, a, other, other.random(t))
		}
		propose(t, a, c, r)
		again := *r
		again.Hash = bytes.Repeat([]byte{7}, 32)
		run(t, a, &again)
	}
	compare(t, a, c)
}

func TestQuery(t *testing.T) {
	a := openApp(t, "", testGenesis(t), nil)
	for _, path := range []string{"/p2p/filter/addr/1.2.3.4:5", "/p2p/filter/id/x", "/store", ""} {
		if r, err := a.Query(t.Context(), &abci.RequestQuery{Path: path}); err != nil || r.Code == 0 {
			t.Errorf("%q: %v, %v, want it refused", path, r, err)
		}
	}
}

// TestFaults makes steps fail: the app stops, and works again after it is reopened.
func TestFaults(t *testing.T) {
	for name, step := range map[string]func(t *testing.T, a *App, c *chain) error{
		"commit to a closed database": func(t *testing.T, a *App, c *chain) error {
			_, err := a.FinalizeBlock(t.Context(), c.random(t))
			check(t, err)
			check(t, a.db.Close())
			_, err = a.Commit(t.Context(), nil)
			return err
		},
		"run on a closed database": func(t *testing.T, a *App, c *chain) error {
			check(t, a.db.Close())
			_, err := a.FinalizeBlock(t.Context(), c.random(t))
			return err
		},
		"propose on a closed database": func(t *testing.T, a *App, c *chain) error {
			check(t, a.db.Close())
			r := c.add(t, c.sign(wallets()[0], c.nonce(t, wallets()[0]), ledger.Transfer{Amount: 1}))
			_, err := a.ProcessProposal(t.Context(), &abci.RequestProcessProposal{Height: r.Height, Time: r.Time,
				Txs: r.Txs, Hash: r.Hash})
			return err
		},
		"damaged record": func(t *testing.T, a *App, c *chain) error {
			var b badgerdb.Batch
			b.Set(a.space, stateKey(ledger.KeyParams()), record(ledger.KeyParams(), []byte("damaged")))
			check(t, a.db.Write(&b))
			snap, err := a.space.Snapshot()
			check(t, err)
			a.View().snap = snap
			_, err = a.FinalizeBlock(t.Context(), c.random(t))
			b = badgerdb.Batch{}
			b.Set(a.space, stateKey(ledger.KeyParams()), record(ledger.KeyParams(), c.values[string(ledger.KeyParams())]))
			check(t, a.db.Write(&b))
			return err
		},
		"commit of nothing": func(t *testing.T, a *App, c *chain) error {
			_, err := a.Commit(t.Context(), nil)
			c.random(t)
			return err
		},
		"wrong height": func(t *testing.T, a *App, c *chain) error {
			r := *c.random(t)
			r.Height++
			_, err := a.FinalizeBlock(t.Context(), &r)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c := newChain(t, 3)
			a := openApp(t, dir, c.genesis, nil)
			for range 10 {
				run(t, a, c.random(t))
			}
			if err := step(t, a, c); err == nil {
				t.Fatal("no error")
			}
			_, finalize := a.FinalizeBlock(t.Context(), c.blocks[10])
			_, commit := a.Commit(t.Context(), nil)
			r := c.blocks[10]
			answer, process := a.ProcessProposal(t.Context(), &abci.RequestProcessProposal{Height: r.Height, Time: r.Time,
				Txs: r.Txs, Hash: r.Hash})
			if process == nil {
				t.Errorf("a block was judged: %v", answer)
			}
			if finalize == nil || commit == nil || !errors.Is(finalize, a.fault) {
				t.Errorf("goes on: %v, %v", finalize, commit)
			}
			check(t, a.Close())
			check(t, a.db.Close())
			a = openApp(t, dir, c.genesis, nil)
			if v := a.View(); v.Height != 10 {
				t.Fatalf("height %d after opening again, want 10", v.Height)
			}
			run(t, a, c.blocks[10])
			compare(t, a, c)
		})
	}
}
