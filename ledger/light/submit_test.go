package light

import (
	"context"
	stded25519 "crypto/ed25519"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cometbft/cometbft/types"

	"walrus/ledger"
)

var sk = stded25519.NewKeyFromSeed(make([]byte, stded25519.SeedSize))

// sender is the owner of sk.
func sender() ledger.Address { return ledger.PublicKey(sk.Public().(stded25519.PublicKey)).Address() }

func (w *world) tx(nonce uint64, to ledger.Address) *ledger.Tx {
	tx := &ledger.Tx{
		Network: w.genesis.NetworkID(), Nonce: nonce, Expiry: 50, Fee: 9,
		Ops: []ledger.Op{ledger.Transfer{To: to, Amount: 5}},
	}
	tx.Sign(sk)
	return tx
}

// paid is a transaction that was paid for, with its result.
func paid(tx *ledger.Tx) happening {
	to := tx.Ops[0].(ledger.Transfer).To
	return happening{tx, ledger.Result{Op: -1, Fee: 9, Spent: 14, Events: []ledger.Event{
		{Kind: ledger.EventTransferred, From: sender(), To: to, Amount: 5},
	}}}
}

// commits returns a Source that puts every submitted transaction into a block.
func (w *world) commits(t testing.TB) *source {
	s := &source{Source: w.chain}
	s.submit = func(_ ctxt, raw []byte) error {
		tx, err := ledger.UnmarshalTx(raw)
		if err != nil {
			return &ledger.OpError{Code: ledger.CodeFormat, Op: -1, Text: err.Error()}
		}
		if i, _ := w.lookUp(tx.ID()); i == nil {
			a := ledger.Account{Balance: 100, Nonce: tx.Nonce + 1}
			w.add(t, blockOf{
				changes: append(give(0), put(ledger.KeyAccount(sender()), a.Marshal())),
				txs:     []happening{paid(w.tx(1000, alice)), paid(tx), paid(w.tx(1001, alice))},
			})
			w.grow(t)
		}
		return nil
	}
	return s
}

func (w *world) lookUp(id ledger.TxID) (*Inclusion, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.find(id)
}

func refusing(code ledger.Code, asked *atomic.Int32) *source {
	return &source{submit: func(ctxt, []byte) error {
		asked.Add(1)
		return &ledger.OpError{Code: code, Op: 0, Text: "too poor"}
	}}
}

func TestSubmit(t *testing.T) {
	w := newWorld(t)
	w.tale.Store(w.commits(t))
	ctx := limited(t)
	c := w.asking(t, w.liar)
	tx := w.tx(7, bob)
	r, err := c.Submit(ctx, tx)
	if err != nil {
		t.Fatal(err)
	}
	if r.ID != tx.ID() || r.Index != 1 || r.Height != w.height()-1 || r.Code != ledger.CodeOK || r.Spent != 14 ||
		len(r.Events) != 1 {
		t.Errorf("receipt %+v", r)
	}
	if c.lowest() != r.Height {
		t.Errorf("after a receipt at height %d the next read may be at %d", r.Height, c.lowest())
	}
	if a, err := c.Account(ctx, sender()); err != nil || a.Nonce != 8 {
		t.Errorf("account after the transaction: %+v, %v", a, err)
	}
	if again, err := c.Submit(ctx, tx); err != nil || again.Height != r.Height {
		t.Errorf("submitted again: %+v, %v", again, err)
	}
	if got, err := c.Receipt(ctx, tx.ID()); err != nil || got.Height != r.Height {
		t.Errorf("receipt: %+v, %v", got, err)
	}
	if _, err := w.asking(t, w.liar, w.honest).Receipt(ctx, ledger.TxID{1}); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("receipt of nothing: %v", err)
	}
	// One node alone may lie: a caller that believed it would pay again, and so twice.
	if _, err := c.Receipt(ctx, ledger.TxID{1}); !errors.Is(err, ErrPending) || errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("receipt of nothing, says one node with 3 of 10 shards: %v", err)
	}
	tx.Ops = nil
	if _, err := c.Submit(ctx, tx); !errors.As(err, new(*ledger.OpError)) {
		t.Errorf("a transaction without operations: %v", err)
	}
}

// Every part of a receipt except the log is proven.
func TestReceiptLies(t *testing.T) {
	w := newWorld(t)
	commits := w.commits(t)
	w.tale.Store(commits)
	serve(t, w.honest, w.genesis, commits)
	ctx := limited(t)
	tx := w.tx(7, bob)
	if _, err := w.asking(t, w.liar).Submit(ctx, tx); err != nil {
		t.Fatal(err)
	}
	failed := w.tx(8, bob)
	w.add(t, blockOf{txs: []happening{{failed, ledger.Result{Code: ledger.CodeBalance, Op: 0, Fee: 9, Spent: 9}}}})
	w.grow(t)
	for name, tt := range map[string]struct {
		tx     *ledger.Tx
		change func(i *Inclusion)
	}{
		"success for failure": {failed, func(i *Inclusion) { i.Receipt.Code, i.Receipt.Op = ledger.CodeOK, -1 }},
		"failure for success": {tx, func(i *Inclusion) { i.Receipt.Code = ledger.CodeState }},
		"another operation":   {failed, func(i *Inclusion) { i.Receipt.Op = 1 }},
		"another fee":         {tx, func(i *Inclusion) { i.Receipt.Fee++ }},
		"another cost":        {tx, func(i *Inclusion) { i.Receipt.Spent-- }},
		"another event": {tx, func(i *Inclusion) {
			i.Receipt.Events = slices.Clone(i.Receipt.Events)
			i.Receipt.Events[0].Amount++
		}},
		"no event":         {tx, func(i *Inclusion) { i.Receipt.Events = nil }},
		"another height":   {tx, func(i *Inclusion) { i.Receipt.Height++ }},
		"another time":     {tx, func(i *Inclusion) { i.Receipt.Time++ }},
		"another index":    {tx, func(i *Inclusion) { i.Receipt.Index = 0 }},
		"an index too big": {tx, func(i *Inclusion) { i.Receipt.Index = 3 }},
		"another total":    {tx, func(i *Inclusion) { i.Total = 2 }},
		"no proof":         {tx, func(i *Inclusion) { i.InData, i.InNext = nil, nil }},
		"another transaction": {tx, func(i *Inclusion) {
			other, _ := w.lookUp(failed.ID())
			*i = *other
		}},
		"other bytes": {tx, func(i *Inclusion) { i.Tx = w.tx(9, alice).Marshal() }},
		"a swapped transaction": {tx, func(i *Inclusion) {
			other, _ := w.lookUp(failed.ID())
			i.Receipt, i.Header, i.Next, i.InData, i.InNext, i.Total = other.Receipt, other.Header, other.Next, other.InData, other.InNext, 1
			i.Receipt.ID = tx.ID()
		}},
		"another's proofs": {tx, func(i *Inclusion) {
			other, _ := w.lookUp(failed.ID())
			*i = *other
			i.Receipt.ID = tx.ID()
		}},
		"another header": {tx, func(i *Inclusion) { i.Header = w.blocks[2].light.Header; i.Receipt.Height = 2 }},
		"a forged header": {tx, func(i *Inclusion) {
			h := *i.Header
			h.DataHash = types.Txs{i.Tx}.Hash()
			i.Header, i.Total, i.Receipt.Index, i.InData = &h, 1, 0, nil
		}},
		"a forged next header": {tx, func(i *Inclusion) {
			i.Receipt.Fee = 0
			i.Total, i.Receipt.Index, i.InData, i.InNext = 1, 0, nil, nil
			i.Next = changed(i.Next, func(h *types.Header) {
				h.LastResultsHash = types.ABCIResults{ResultOf(
					&i.Receipt.Result)}.Hash()
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &source{Source: commits}
			s.receipt = func(ctx ctxt, id ledger.TxID) (*Inclusion, error) {
				i, err := commits.Receipt(ctx, id)
				if err == nil {
					tt.change(i)
				}
				return i, err
			}
			w.tale.Store(s)
			if r, err := w.asking(t, w.liar).Submit(ctx, tt.tx); !errors.Is(err, ErrLied) {
				t.Errorf("receipt %+v, %v", r, err)
			}
			if r, err := w.asking(t, w.liar).Receipt(ctx, tt.tx.ID()); !errors.Is(err, ErrLied) {
				t.Errorf("receipt %+v, %v", r, err)
			}
			if r, err := w.asking(t, w.liar, w.honest).Submit(ctx, tt.tx); err != nil || r.ID != tt.tx.ID() {
				t.Errorf("with an honest node: %+v, %v", r, err)
			}
		})
	}
}

// A transaction cannot replace another one in a block with a forged header.
func TestMadeUpBlock(t *testing.T) {
	w := newWorld(t)
	commits := w.commits(t)
	w.tale.Store(commits)
	if _, err := w.asking(t, w.liar).Submit(limited(t), w.tx(7, bob)); err != nil {
		t.Fatal(err)
	}
	never := w.tx(7, alice)
	s := &source{Source: w.chain}
	s.receipt = func(ctx ctxt, id ledger.TxID) (*Inclusion, error) {
		i, err := commits.Receipt(ctx, w.tx(7, bob).ID())
		if err != nil {
			return nil, err
		}
		txs := slices.Clone(w.blocks[i.Receipt.Height].block.Txs)
		txs[1] = never.Marshal()
		h := *i.Header
		h.DataHash = txs.Hash()
		i.Tx, i.Header, i.InData, i.Receipt.ID = txs[1], &h, txs.Proof(1).Proof.Aunts, never.ID()
		return i, nil
	}
	w.tale.Store(s)
	if r, err := w.asking(t, w.liar).Submit(limited(t), never); !errors.Is(err, ErrLied) {
		t.Errorf("receipt %+v, %v", r, err)
	}
}

func TestSubmitRefused(t *testing.T) {
	w := newWorld(t)
	ctx := limited(t)
	commits := w.commits(t)
	serve(t, w.honest, w.genesis, commits)
	var asked atomic.Int32
	refuses := refusing(ledger.CodeBalance, &asked)
	refuses.Source = w.chain
	w.tale.Store(refuses)
	_, err := w.asking(t, w.liar).Submit(ctx, w.tx(1, bob))
	var op *ledger.OpError
	if !errors.As(err, &op) || op.Code != ledger.CodeBalance || op.Op != 0 || op.Text != "too poor" ||
		errors.Is(err, ErrPending) {
		t.Errorf("refused by the only node: %v", err)
	}
	if r, err := w.asking(t, w.liar, w.honest).Submit(ctx, w.tx(2, bob)); err != nil {
		t.Errorf("refused by one node and taken by another: %+v, %v", r, err)
	}
	if asked.Load() != 2 {
		t.Errorf("the node that refuses was asked %d times", asked.Load())
	}
	serve(t, w.honest, w.genesis, refuses)
	third := newHost(t)
	fourth := newHost(t)
	meet(w.client, third)
	meet(w.client, fourth)
	serve(t, third, w.genesis, refuses)
	serve(t, fourth, w.genesis, refuses)
	asked.Store(0)
	if _, err := w.asking(t, w.liar, w.honest, third, fourth).Submit(ctx, w.tx(3, bob)); !errors.As(err, &op) {
		t.Errorf("refused by all: %v", err)
	}
	if asked.Load() != enoughRefusals {
		t.Errorf("%d nodes were asked, want %d", asked.Load(), enoughRefusals)
	}
}

// A transaction that nodes took and then priced out comes back with the lowest fee that one asked for.
func TestSubmitPricedOut(t *testing.T) {
	w := newWorld(t)
	priced := func(least ledger.Amount) *source {
		return &source{Source: w.chain, submit: func(ctxt, []byte) error { return nil },
			receipt: func(ctxt, ledger.TxID) (*Inclusion, error) {
				return nil, &ledger.OpError{Code: ledger.CodeFee, Op: -1, Least: least, Text: "priced out"}
			}}
	}
	w.tale.Store(priced(1 << 40))
	serve(t, w.honest, w.genesis, priced(77))
	_, err := w.asking(t, w.liar, w.honest).Submit(limited(t), w.tx(1, bob))
	var op *ledger.OpError
	if !errors.As(err, &op) || !op.PricedOut() || op.Least != 77 || errors.Is(err, ErrPending) {
		t.Errorf("priced out by all: %v", err)
	}
}

// A transaction that nodes took and never commit is pending until ctx ends, or until it provably has expired.
func TestSubmitPending(t *testing.T) {
	w := newWorld(t)
	never := &source{Source: w.chain}
	never.receipt = func(ctxt, ledger.TxID) (*Inclusion, error) { return nil, ErrPending }
	w.tale.Store(never)
	c := w.asking(t, w.liar)
	short, cancel := context.WithCancel(t.Context())
	defer cancel()
	never.receipt = func(ctxt, ledger.TxID) (*Inclusion, error) { cancel(); return nil, ErrPending } // it was taken
	if _, err := c.Submit(short, w.tx(1, bob)); !errors.Is(err, ErrPending) || errors.As(err, new(*ledger.OpError)) {
		t.Errorf("ctx ended: %v", err)
	}
	for w.height() < 53 {
		w.grow(t)
	}
	_, err := c.Submit(limited(t), w.tx(1, bob))
	var op *ledger.OpError
	if !errors.As(err, &op) || op.Code != ledger.CodeExpired {
		t.Errorf("expired: %v", err)
	}
	w.tale.Store(&source{Source: w.sleep(t, time.Hour), receipt: never.receipt})
	if _, err := w.asking(t, w.liar).Submit(limited(t), w.tx(1, bob)); !errors.Is(err, ErrPending) ||
		!errors.Is(err, ErrStalled) {
		t.Errorf("the ledger is stalled: %v", err)
	}
}

// A transaction whose nonce another one used is given up before it expires, though a node has it and stays silent.
func TestSubmitOvertaken(t *testing.T) {
	for name, receipt := range map[string]func(ctxt, ledger.TxID) (*Inclusion, error){
		"silent":  func(ctx ctxt, _ ledger.TxID) (*Inclusion, error) { <-ctx.Done(); return nil, ctx.Err() },
		"patient": func(ctxt, ledger.TxID) (*Inclusion, error) { return nil, ErrPending },
	} {
		t.Run(name, func(t *testing.T) { testOvertaken(t, receipt) })
	}
}

func testOvertaken(t *testing.T, receipt func(ctxt, ledger.TxID) (*Inclusion, error)) {
	w := newWorld(t)
	w.tale.Store(&source{Source: w.chain, receipt: receipt})
	other := ledger.Account{Balance: 100, Nonce: 2}
	w.add(t, blockOf{
		changes: append(give(0), put(ledger.KeyAccount(sender()), other.Marshal())),
		txs:     []happening{paid(w.tx(1, alice))},
	})
	w.grow(t)
	start := time.Now()
	_, err := w.asking(t, w.liar).Submit(limited(t), w.tx(1, bob))
	var op *ledger.OpError
	if !errors.As(err, &op) || op.Code != ledger.CodeNonce || errors.Is(err, ErrPending) {
		t.Errorf("overtaken: %v", err)
	}
	if took := time.Since(start); took > patience/2 { // until it expires would be 50 heights
		t.Errorf("took %v", took)
	}
}

// If all nodes report a stall, the wait for a transaction ends, and the reason is passed on.
func TestSubmitHeldUp(t *testing.T) {
	w := newWorld(t)
	never := &source{Source: w.chain, receipt: func(ctxt, ledger.TxID) (*Inclusion, error) { return nil, errHeldUp }}
	w.tale.Store(never)
	c := w.asking(t, w.liar)
	tx, ctx := w.tx(1, bob), limited(t)
	s := &submission{client: c, tx: tx, id: tx.ID(), raw: tx.Marshal(), start: time.Now()}
	for range 2 {
		_, err := s.round(ctx)
		if err == nil || s.judge(ctx, err) != nil {
			t.Fatalf("given up at once: %v", err)
		}
	}
	s.since = s.since.Add(-heldUpPatience - time.Second)
	_, err := s.round(ctx)
	if err = s.judge(ctx, err); !errors.Is(err, ErrStalled) || !errors.Is(err, ErrPending) {
		t.Errorf("at last: %v", err)
	}
	w.trouble = "node-5 is not reachable"
	got, err := receipt(t.Context(), &source{Source: w.chain, receipt: func(ctxt, ledger.TxID) (*Inclusion, error) {
		return nil, ledger.ErrNotFound
	}}, ledger.TxID{1}, time.Second)
	if !errors.Is(err, errHeldUp) || !contains(err.Error(), w.trouble) {
		t.Errorf("receipt %v, %v", got, err)
	}
	if code, _ := refuse(err); code != 11 {
		t.Errorf("refused with code %d", code)
	}
}

// A receipt of a block in which the transaction had no effect does not count.
func TestIneffective(t *testing.T) {
	w := newWorld(t)
	tx := w.tx(1, bob)
	w.add(t, blockOf{txs: []happening{{tx, ledger.Result{Code: ledger.CodeNonce, Op: -1}}}})
	w.grow(t)
	c := w.asking(t, w.honest, w.liar)
	if r, err := c.Receipt(limited(t), tx.ID()); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("receipt %+v, %v", r, err)
	}
	short, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.tale.Store(&source{Source: w.chain, receipt: func(ctx ctxt, id ledger.TxID) (*Inclusion, error) {
		time.AfterFunc(300*time.Millisecond, cancel) // once the receipt has been looked at
		return w.chain.Receipt(ctx, id)
	}})
	c = w.asking(t, w.liar)
	if r, err := c.Submit(short, tx); !errors.Is(err, ErrPending) {
		t.Errorf("receipt %+v, %v", r, err)
	}
}

// A node that takes a transaction and does nothing delays it only until others get it.
func TestSubmitSilent(t *testing.T) {
	w := newWorld(t)
	serve(t, w.honest, w.genesis, w.commits(t))
	w.tale.Store(&source{Source: w.chain})
	if r, err := w.asking(t, w.liar, w.honest).Submit(limited(t), w.tx(1, bob)); err != nil {
		t.Errorf("receipt %+v, %v", r, err)
	}
}

// If a node takes a transaction and then fails, its fate is unknown: the error never says that no node has it.
func TestSubmitFails(t *testing.T) {
	w := newWorld(t)
	for name, failure := range map[string]error{
		"inside": errors.New("disk is gone"), "pruned": ErrPruned, "stops": context.Canceled, "not ready": ErrUnavailable,
	} {
		t.Run(name, func(t *testing.T) {
			short, cancel := context.WithCancel(t.Context())
			defer cancel()
			var asked atomic.Int32
			w.tale.Store(&source{Source: w.chain, receipt: func(ctxt, ledger.TxID) (*Inclusion, error) {
				if asked.Add(1) == 2 {
					cancel()
				}
				return nil, failure
			}})
			if r, err := w.asking(t, w.liar).Submit(short, w.tx(1, bob)); !errors.Is(err, ErrPending) {
				t.Errorf("receipt %+v, %v", r, err)
			}
		})
	}
}

// A node that takes a transaction and is killed cannot be asked again. The transaction's fate is unknown: others may
// have it.
func TestSubmitKilled(t *testing.T) {
	w := newWorld(t)
	w.tale.Store(&source{Source: w.chain, submit: func(ctxt, []byte) error {
		w.client.Peerstore().ClearAddrs(w.liar.ID())
		return w.client.Network().ClosePeer(w.liar.ID())
	}})
	if r, err := w.asking(t, w.liar).Submit(limited(t), w.tx(1, bob)); !errors.Is(err, ErrPending) {
		t.Errorf("receipt %+v, %v", r, err)
	}
}
