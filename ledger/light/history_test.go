package light

import (
	"errors"
	"slices"
	"testing"

	"walrus/ledger"
)

// live makes a chain in which the sender sent count transactions, each in a block with one of another's, and got
// some.
func (w *world) live(t testing.TB, count int) {
	t.Helper()
	for i := range count {
		other := w.tx(uint64(i), bob)
		other.Sender, other.Fee = ledger.PublicKey{9}, 8
		in := happening{other, ledger.Result{Op: -1, Fee: 8,
			Events: []ledger.Event{{Kind: ledger.EventTransferred, To: bob}}}}
		if i%2 == 0 {
			in.result.Events[0].To = sender()
		}
		a := ledger.Account{Nonce: uint64(i + 1)}
		w.add(t, blockOf{
			txs:     []happening{in, paid(w.tx(uint64(i), bob))},
			changes: append(give(0), put(ledger.KeyAccount(sender()), a.Marshal())),
		})
	}
	w.grow(t)
}

// all reads the whole history of the sender.
func all(t testing.TB, c *Client, limit int) (entries []Entry, last *History, err error) {
	t.Helper()
	at := &Cursor{}
	for at != nil {
		if last, err = c.History(limited(t), sender(), *at, limit); err != nil {
			return nil, nil, err
		}
		entries = append(entries, last.Entries...)
		at = last.Next
	}
	return entries, last, nil
}

func TestHistory(t *testing.T) {
	w := newWorld(t)
	c := w.asking(t, w.honest)
	if got, _, err := all(t, c, 10); err != nil || len(got) != 0 {
		t.Errorf("history of nobody: %d, %v", len(got), err)
	}
	w.live(t, 20)
	got, last, err := all(t, c, 7)
	if err != nil || len(got) != 30 || last.Oldest != 0 {
		t.Fatalf("%d transactions, %+v, %v", len(got), last, err)
	}
	nonce := uint64(20)
	for _, e := range got {
		if e.Tx.Sender.Address() == sender() {
			if nonce--; e.Tx.Nonce != nonce || e.Receipt.ID != e.Tx.ID() {
				t.Errorf("nonce %d instead of %d", e.Tx.Nonce, nonce)
			}
		}
	}
	w.oldest = 10
	if got, last, err = all(t, c, 32); err != nil || last.Oldest != 11 || len(got) == 0 || len(got) >= 30 {
		t.Errorf("with a node that keeps less: %d, %+v, %v", len(got), last, err)
	}
}

// TestHistoryFree has free transactions, which use no nonce, between others: nothing is missing.
func TestHistoryFree(t *testing.T) {
	w := newWorld(t)
	c := w.asking(t, w.honest)
	free := func() {
		tx := w.tx(0, bob)
		tx.Fee, tx.Ops = 0, []ledger.Op{ledger.DisproveBlob{BlobID: [32]byte{1}, Proof: []byte{2}}}
		w.add(t, blockOf{txs: []happening{{tx,
			ledger.Result{Op: -1, Events: []ledger.Event{{Kind: ledger.EventInvalid, From: sender()}}}}}})
	}
	free()
	w.live(t, 10)
	free()
	w.grow(t)
	got, _, err := all(t, c, 4)
	if err != nil || len(got) != 17 {
		t.Errorf("%d transactions, %v, want 17", len(got), err)
	}
}

// TestHistoryOfAll reads the transactions of all accounts, page by page, and from a position on.
func TestHistoryOfAll(t *testing.T) {
	w := newWorld(t)
	w.live(t, 20)
	c := w.asking(t, w.honest)
	var got []Entry
	for at := (&Cursor{}); at != nil; {
		page, err := c.History(limited(t), ledger.Address{}, *at, 7)
		if err != nil {
			t.Fatal(err)
		}
		got, at = append(got, page.Entries...), page.Next
		if at == nil {
			continue
		}
		next, err := ParseCursor(at.String())
		if err != nil || next != *at {
			t.Fatalf("cursor %+v is read back as %+v, %v", at, next, err)
		}
	}
	for _, bad := range []string{"1", "1.2", "1.2.x", "-1.2.3", " 1.2.3", "1.2.3 ", "1.99999999999.3", "01.2.3"} {
		if c, err := ParseCursor(bad); !errors.Is(err, ErrRequest) {
			t.Errorf("cursor %q: %+v, %v", bad, c, err)
		}
	}
	for height, empty := range map[uint64]bool{2: true, 22: false} { // see live
		h, err := c.Header(limited(t), height)
		if err != nil || h.Height != height || h.Empty != empty || h.Name == "" || h.Signed != h.Voting || h.Voting == 0 {
			t.Errorf("header %d: %+v, %v", height, h, err)
		}
	}
	if len(got) != 40 {
		t.Fatalf("%d transactions of 40", len(got))
	}
	middle := got[11].Receipt
	page, err := c.History(limited(t), ledger.Address{}, Before(Position{middle.Height, middle.Index}), 1)
	if err != nil || len(page.Entries) != 1 || page.Entries[0].Receipt.ID != got[12].Receipt.ID {
		t.Errorf("before %d: %+v, %v", middle.Height, page, err)
	}
	entry, err := c.Transaction(limited(t), middle.ID)
	if err != nil || entry.Tx.ID() != middle.ID || entry.Receipt.Height != middle.Height {
		t.Errorf("transaction %s: %+v, %v", middle.ID, entry, err)
	}
}

func TestHistoryLies(t *testing.T) {
	w := newWorld(t)
	w.live(t, 6)
	tell := func(change func([]Inclusion) []Inclusion) *source {
		s := &source{Source: w.chain}
		s.history = func(ctx ctxt, a ledger.Subject, before Position, limit int) ([]Inclusion, uint64, error) {
			page, oldest, err := w.History(ctx, a, before, limit)
			return change(page), oldest, err
		}
		return s
	}
	of := func(p []Inclusion, own bool) int {
		return slices.IndexFunc(p, func(i Inclusion) bool {
			tx, _ := ledger.UnmarshalTx(i.Tx)
			return (tx.Sender.Address() == sender()) == own
		})
	}
	unrelated, err := w.include(w.blocks[w.height()-1].receipts[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*source{
		"newest withheld": tell(func(p []Inclusion) []Inclusion { i := of(p, true); return slices.Delete(p, i, i+1) }),
		"one withheld":    tell(func(p []Inclusion) []Inclusion { return slices.Delete(p, 3, 4) }),
		"oldest withheld": tell(func(p []Inclusion) []Inclusion { return p[:2] }),
		"all withheld":    tell(func([]Inclusion) []Inclusion { return nil }),
		"unordered":       tell(func(p []Inclusion) []Inclusion { slices.Reverse(p); return p }),
		"twice":           tell(func(p []Inclusion) []Inclusion { return append([]Inclusion{p[0]}, p...) }),
		"one paid twice":  tell(func(p []Inclusion) []Inclusion { i := of(p, false); return slices.Insert(p, i, p[i]) }),
		"another's":       tell(func(p []Inclusion) []Inclusion { return slices.Insert(p, 1, *unrelated) }),
		"forged": tell(func(p []Inclusion) []Inclusion {
			p[of(p, false)].Receipt.Events = []ledger.Event{{Kind: ledger.EventTransferred, To: sender(), Amount: 1 << 40}}
			return p
		}),
	} {
		t.Run(name, func(t *testing.T) {
			w.tale.Store(s)
			if h, err := w.asking(t, w.liar).History(limited(t), sender(), Cursor{}, 32); !errors.Is(err, ErrLied) {
				t.Errorf("history %+v, %v", h, err)
			}
			if h, err := w.asking(t, w.liar, w.honest).History(limited(t), sender(), Cursor{}, 32); err != nil ||
				len(h.Entries) != 9 {
				t.Errorf("with an honest node: %+v, %v", h, err)
			}
		})
	}
}
