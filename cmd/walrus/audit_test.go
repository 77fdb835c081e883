package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"walrus/client"
	"walrus/ledger"
	"walrus/ledger/light"
)

// auditLimit bounds a question to nodes that are all well; after it something must be wrong.
const auditLimit = 4 * time.Minute

// ask repeats a question of the audit until it is answered.
func (l *load) ask(what string, fn func(context.Context) error) bool {
	l.t.Helper()
	if err := patiently(context.Background(), auditLimit, fn); err != nil {
		l.t.Errorf("%s: %v", what, err)
		return false
	}
	return true
}

// settle has each account send one more transaction. An earlier transaction that is in no block by then has lost its
// nonce, or comes after this one. It returns a height at which all transactions have settled so.
func (l *load) settle() (height uint64) {
	for _, a := range l.accounts {
		l.ask(a.name+" settles", func(ctx context.Context) error {
			r, err := a.Chain().Payer.Do(ctx, ledger.Fixed(ledger.Transfer{To: a.address, Amount: 1 << 40}))
			if fateOf(err) == done {
				a.receipts = append(a.receipts, r)
				height = max(height, r.Height)
			}
			return err
		})
	}
	return height
}

// book holds all transactions of one account, by ID.
type book map[ledger.TxID]light.Entry

// bookOf reads all transactions of an account from l, and the height from which on they are complete.
func bookOf(ctx context.Context, l *light.Client, a ledger.Address) (book, uint64, error) {
	b := book{}
	for next := (light.Cursor{}); ; {
		var page *light.History
		err := patiently(ctx, auditLimit, func(ctx context.Context) (err error) { // nodes limit questions
			page, err = l.History(ctx, a, next, light.MaxHistory)
			return err
		})
		if err != nil {
			return nil, 0, err
		}
		for _, e := range page.Entries {
			b[e.Receipt.ID] = e
		}
		if page.Next == nil {
			return b, page.Oldest, nil
		}
		next = *page.Next
	}
}

// auditPayments checks that each payment happened exactly once or never, whatever its sender was told, that every
// receipt is on record unchanged, and that the balances follow from them.
func (l *load) auditPayments() []book {
	books := make([]book, len(l.accounts))
	var asked sync.WaitGroup
	for i, a := range l.accounts {
		asked.Go(func() {
			l.ask("history of "+a.name, func(ctx context.Context) error {
				chain := a.Chain().Light
				before, err := chain.Account(ctx, a.address)
				if err != nil {
					return err
				}
				b, oldest, err := bookOf(ctx, chain, a.address)
				if err == nil && oldest > 0 {
					err = fmt.Errorf("the node keeps it from height %d on only", oldest)
				}
				if err != nil {
					return err
				}
				after, err := chain.Account(ctx, a.address)
				if err == nil && before != after {
					err = errors.New("the account changes")
				}
				if err == nil {
					l.checkBook(a, b, after)
					books[i] = b
				}
				return err
			})
		})
	}
	asked.Wait()
	return books
}

// checkBook compares an account and its transactions with the answers it got.
func (l *load) checkBook(a *account, b book, now ledger.Account) {
	var in, out, deposits ledger.Amount
	var sent uint64
	seen := map[ledger.Amount]int{}
	for _, e := range b {
		own := e.Tx.Sender.Address() == a.address
		if own {
			sent++
			out += e.Receipt.Spent
			for _, event := range e.Receipt.Events {
				deposits += ledger.Amount(max(event.Deposit, 0))
			}
		}
		if e.Receipt.Code != ledger.CodeOK {
			continue
		}
		for _, op := range e.Tx.Ops {
			t, ok := op.(ledger.Transfer)
			switch {
			case !ok:
			case own:
				seen[t.Amount]++
			case t.To == a.address:
				in += t.Amount
			}
		}
	}
	// Deposits come back with transactions, and without one when an object ends.
	if sent != now.Nonce || now.Balance < in-out || now.Balance > in-out+deposits {
		l.t.Errorf("%s: %d transactions are on record, %v came in and %v went out: the account has nonce %d and %v", a.name,
			sent, in, out, now.Nonce, now.Balance)
	}
	for _, p := range a.payments {
		n := seen[p.amount]
		if n > 1 || p.fate == done && n != 1 || p.fate == undone && n != 0 {
			l.t.Errorf("%s: payment of %v is on record %d times, its fate was %d", a.name, p.amount, n, p.fate)
		}
	}
	for _, r := range a.receipts {
		if e, ok := b[r.ID]; !ok || e.Receipt.Height != r.Height || e.Receipt.Index != r.Index || e.Receipt.Code != r.Code {
			l.t.Errorf("%s: transaction %s, committed at height %d as number %d, is on record: %t, %+v", a.name, r.ID, r.Height,
				r.Index, ok, e.Receipt)
		}
	}
}

// auditNodes asks each node alone for every receipt, and for every other transaction on record, and returns how many it
// got. A node that joined by a snapshot has nothing from before.
func (l *load) auditNodes(w *watch, books []book) (got int64) {
	all := book{}
	for _, b := range books {
		maps.Copy(all, b)
	}
	var compared atomic.Int64
	var asked sync.WaitGroup
	for i, node := range w.nodes {
		todo := make(chan ledger.Receipt)
		asked.Go(func() {
			defer close(todo)
			for _, e := range all {
				todo <- e.Receipt
			}
		})
		for range 4 {
			asked.Go(func() {
				for want := range todo {
					l.ask(fmt.Sprintf("transaction %s of node %d", want.ID, i), func(ctx context.Context) error {
						r, err := node.Receipt(ctx, want.ID)
						switch {
						case errors.Is(err, light.ErrPruned):
							return nil
						case err == nil && (r.Height != want.Height || r.Index != want.Index || r.Code != want.Code):
							l.t.Errorf("node %d: transaction %s should be number %d at height %d: %+v", i, want.ID,
								want.Index, want.Height, r)
						case err == nil:
							compared.Add(1)
						}
						return err
					})
				}
			})
		}
	}
	asked.Wait()
	return compared.Load()
}

// auditBlobs checks that everything stored has a record, and that every certified blob reads back unchanged. It returns
// the number of blobs read.
func (l *load) auditBlobs() (whole int) {
	for _, a := range l.accounts {
		var owned *light.Owned
		var now ledger.EpochInfo
		if !l.ask("blobs of "+a.name, func(ctx context.Context) (err error) {
			if owned, err = a.Chain().Light.Objects(ctx, a.address); err == nil {
				now, err = a.Chain().Light.Epoch(ctx)
			}
			return err
		}) {
			continue
		}
		records := map[ledger.ObjectID]ledger.Blob{}
		for _, b := range owned.Blobs {
			records[b.ID] = b.Blob
			d := a.byID[b.BlobID]
			switch {
			case d == nil:
				l.t.Errorf("%s: record %s is of blob %s, which was never stored", a.name, b.ID, b.BlobID)
			case b.Certified != 0 && b.End > now.Epoch && l.auditBlob(a, d, b.End):
				whole++
			}
		}
		for _, d := range a.deposits {
			if d.stored != done || d.object == (ledger.ObjectID{}) {
				continue
			}
			r, ok := records[d.object]
			switch {
			case d.gone == done && ok, d.gone == undone && !ok:
				l.t.Errorf("%s: blob %s, whose deletion has fate %d, has a record: %t", a.name, d.id, d.gone, ok)
			case ok && (r.BlobID != d.id || r.Certified == 0 || r.Deletable == d.opt.Permanent || d.end > 0 && r.End != d.end):
				l.t.Errorf("%s: blob %s should end with epoch %d and be permanent %t: its record is %+v", a.name, d.id, d.end,
					d.opt.Permanent, r)
			}
		}
	}
	return whole
}

// auditBlob reads a blob that is kept until an epoch. It returns false if that epoch has come meanwhile.
func (l *load) auditBlob(a *account, d *deposit, end uint32) (whole bool) {
	l.ask("read "+d.id.String(), func(ctx context.Context) error {
		var got bytes.Buffer
		_, err := a.Client().Read(ctx, d.id, &got, client.ReadOptions{})
		if errors.Is(err, client.ErrNotFound) {
			if now, err := a.Chain().Light.Epoch(ctx); err == nil && now.Epoch >= end {
				return nil
			}
		}
		if err != nil {
			return err
		}
		whole = true
		if !bytes.Equal(got.Bytes(), content(d.seed, d.size)) {
			l.t.Errorf("blob %s came back with other bytes", d.id)
		}
		return nil
	})
	return whole
}
