package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"walrus/client"
	"walrus/internal/pause"
	"walrus/ledger"
	"walrus/ledger/light"
	"walrus/ledger/wallet"
	"walrus/shards"
)

// fate is a requester's knowledge of its request's outcome.
type fate int

const (
	undone  fate = iota // it has no effect, and never will
	done                // there is a receipt
	unknown             // one or the other
)

// fateOf returns the outcome that an error implies for a transaction.
func fateOf(err error) fate {
	switch {
	case err == nil:
		return done
	case errors.Is(err, wallet.ErrUnknown):
		return unknown
	}
	return undone
}

// expected reports whether nodes that come and go explain an error.
func expected(err error) bool {
	var refused *ledger.OpError
	switch {
	case errors.Is(err, light.ErrLied), errors.Is(err, client.ErrInvalidBlob), errors.Is(err, client.ErrNoFunds),
		errors.Is(err, ledger.ErrFormat):
		return false
	case errors.As(err, &refused):
		switch refused.Code { // the epoch or the record ended, or a transaction that was given up took the nonce
		case ledger.CodeNonce, ledger.CodeExpired, ledger.CodeEpoch, ledger.CodeState, ledger.CodeNotFound,
			ledger.CodeCertificate:
			return true
		}
		return false
	}
	return true
}

// payment is a transfer of a unique amount, so that it can be recognized everywhere.
type payment struct {
	to     ledger.Address
	amount ledger.Amount
	fate   fate
}

// deposit is a blob that was stored, or may have been.
type deposit struct {
	seed   uint64
	size   int
	id     shards.BlobID
	opt    client.StoreOptions
	stored fate
	object ledger.ObjectID // the record; zero while none is known
	end    uint32          // of the record; 0 if an extension may have moved it
	gone   fate            // whether it was deleted
	ended  bool            // its storage has ended
}

// content returns the stored bytes.
func content(seed uint64, size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte(fmt.Appendf(nil, "%032d", seed))).Read(b) // never fails
	return b
}

// account pays and stores. Each of its two workers owns the fields it writes until both have ended.
type account struct {
	*guest
	name     string
	address  ledger.Address
	payments []payment // pay writes this and the next
	receipts []ledger.Receipt
	deposits []*deposit // keep writes this and the next
	byID     map[shards.BlobID]*deposit
	stored   int
	deleted  int
	extended int
	read     int
}

// load runs payments and blob operations all the time.
type load struct {
	t        *testing.T
	accounts []*account
	serial   atomic.Uint64 // the amount of the last payment, in FROST
	mu       sync.Mutex
	failed   map[string]int // number of operations that failed or have an unknown outcome, by reason; guarded by mu
	stop     chan struct{}
	workers  sync.WaitGroup
}

// funds is the initial balance of each account: more than it can spend.
const funds = 10_000 * ledger.WAL

// opTimeout bounds an operation; after it something is wrong: missing nodes come back much sooner.
const opTimeout = 3 * time.Minute

// newLoad makes and funds n accounts.
func newLoad(t *testing.T, c *cluster, n int) *load {
	t.Helper()
	l := &load{t: t, stop: make(chan struct{}), failed: map[string]int{}}
	var ops []ledger.Op
	for i := range n {
		w, err := wallet.New()
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("account-%d", i)
		l.accounts = append(l.accounts, &account{
			guest: c.newGuest(name, w), name: name, address: w.Address(), byID: map[shards.BlobID]*deposit{},
		})
		ops = append(ops, ledger.Transfer{To: w.Address(), Amount: funds})
	}
	rich, err := c.config().LoadWallet()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.newGuest("rich", rich).Chain().Payer.Do(t.Context(), ledger.Fixed(ops...)); err != nil {
		t.Fatalf("fund the accounts: %v", err)
	}
	return l
}

// run starts the load; end stops it and waits for running operations.
func (l *load) run(rnd *rand.Rand) {
	for _, a := range l.accounts {
		for _, work := range []func(*account, *rand.Rand){l.pay, l.keep} {
			own := rand.New(rand.NewPCG(rnd.Uint64(), rnd.Uint64()))
			l.workers.Go(func() {
				pace := time.NewTicker(400 * time.Millisecond) // a higher rate would slow the nodes
				defer pace.Stop()
				for {
					work(a, own)
					select {
					case <-pace.C:
					case <-l.stop:
						return
					}
				}
			})
		}
	}
}

func (l *load) end() {
	close(l.stop)
	l.workers.Wait()
}

// note records an error of an operation.
func (l *load) note(a *account, what string, err error) {
	if err == nil {
		return
	}
	if !expected(err) {
		l.t.Errorf("%s: %s: %v", a.name, what, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed[what+": "+why(err)]++
}

// why returns the kind of an error, for people.
func why(err error) string {
	var refused *ledger.OpError
	var few *client.NotEnoughError
	switch {
	case errors.As(err, &refused):
		return "refused: " + refused.Code.String()
	case errors.As(err, &few):
		return fmt.Sprintf("%d of %d shards %s", few.Have, few.Shards, few.Did)
	}
	for _, kind := range []error{
		wallet.ErrUnknown, client.ErrStalled, client.ErrNotFound, light.ErrUnavailable, light.ErrBusy,
		context.DeadlineExceeded,
	} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	text := oneLine(err.Error())
	return text[:min(len(text), 200)]
}

// pay sends a transaction with some payments.
func (l *load) pay(a *account, rnd *rand.Rand) {
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	var batch []payment
	var ops []ledger.Op
	for range 1 + rnd.IntN(4) {
		to := l.accounts[rnd.IntN(len(l.accounts))]
		if to == a {
			continue
		}
		p := payment{to: to.address, amount: ledger.Amount(l.serial.Add(1))}
		batch, ops = append(batch, p), append(ops, ledger.Transfer{To: p.to, Amount: p.amount})
	}
	if len(ops) == 0 {
		return
	}
	receipt, err := a.Chain().Payer.Do(ctx, ledger.Fixed(ops...))
	l.note(a, "pay", err)
	for i := range batch {
		batch[i].fate = fateOf(err)
	}
	a.payments = append(a.payments, batch...)
	if err == nil {
		a.receipts = append(a.receipts, receipt)
	}
}

// keep does one random operation with blobs.
func (l *load) keep(a *account, rnd *rand.Rand) {
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	if len(a.deposits) > 0 {
		d := a.deposits[rnd.IntN(len(a.deposits))]
		last := a.deposits[len(a.deposits)-1]
		switch choice := rnd.IntN(100); {
		case last.stored != done && choice < 80:
			l.store(ctx, a, last) // a repetition, as users do
			return
		case d.stored != done || d.gone != undone || d.ended:
		case choice < 15 && !d.opt.Permanent:
			l.delete(ctx, a, d)
			return
		case choice < 30:
			l.extend(ctx, a, d)
			return
		case choice < 45:
			l.readBack(ctx, a, d)
			return
		}
	}
	d := &deposit{seed: rnd.Uint64(), size: 1 + rnd.IntN(40<<10)}
	d.opt = client.StoreOptions{Epochs: 1 + rnd.Uint32N(3), Permanent: rnd.IntN(2) == 0}
	a.deposits = append(a.deposits, d)
	l.store(ctx, a, d)
}

func (l *load) store(ctx context.Context, a *account, d *deposit) {
	r, err := a.Client().Store(ctx, bytes.NewReader(content(d.seed, d.size)), uint64(d.size), d.opt)
	l.note(a, "store", err)
	if r != nil && r.BlobID != (shards.BlobID{}) {
		d.id = r.BlobID
		a.byID[d.id] = d
	}
	if err != nil {
		d.stored = unknown
		return
	}
	d.stored, d.object, d.end = done, r.Object, r.EndEpoch
	a.stored++
}

func (l *load) delete(ctx context.Context, a *account, d *deposit) {
	if d.object == (ledger.ObjectID{}) {
		return
	}
	_, err := a.Client().Delete(ctx, d.object)
	if l.hasEnded(ctx, a, d, err) {
		return
	}
	l.note(a, "delete", err)
	if d.gone = fateOf(err); d.gone == done {
		a.deleted++
	}
}

func (l *load) extend(ctx context.Context, a *account, d *deposit) {
	if d.object == (ledger.ObjectID{}) {
		return
	}
	r, err := a.Client().Extend(ctx, d.object, 1, client.ExtendOptions{})
	if l.hasEnded(ctx, a, d, err) {
		return
	}
	l.note(a, "extend", err)
	switch fateOf(err) {
	case done:
		if d.end > 0 {
			d.end = r.EndEpoch
		}
		a.extended++
	case unknown:
		d.end = 0
	}
}

// hasEnded reports whether the end of a blob's storage explains an error.
func (l *load) hasEnded(ctx context.Context, a *account, d *deposit, err error) bool {
	if err == nil || d.end == 0 || fateOf(err) == unknown {
		return false
	}
	epoch, err := epochAfter(ctx, a, time.Now())
	d.ended = err == nil && epoch >= d.end
	return d.ended
}

// epochAfter returns the epoch in a state that is newer than t. An older one, which a late node or a stalled ledger
// gives, may be of the epoch before, while other nodes have begun the next.
func epochAfter(ctx context.Context, a *account, t time.Time) (uint32, error) {
	for {
		v, err := a.Chain().Light.Get(ctx, 0, ledger.KeyEpoch())
		if v != nil && v.Time.After(t) {
			e, err := ledger.ReadEpoch(v)
			return e.Epoch, err
		}
		if !pause.For(ctx, time.Second) {
			return 0, errors.Join(ctx.Err(), err)
		}
	}
}

// readBack reads a blob; all bytes must be right.
func (l *load) readBack(ctx context.Context, a *account, d *deposit) {
	var got bytes.Buffer
	_, err := a.Client().Read(ctx, d.id, &got, client.ReadOptions{})
	if l.hasEnded(ctx, a, d, err) {
		return
	}
	if errors.Is(err, client.ErrNotFound) && d.end > 0 {
		l.t.Errorf("%s: blob %s, kept until epoch %d, is lost: %v", a.name, d.id, d.end, err)
	}
	l.note(a, "read", err)
	switch want := content(d.seed, d.size); {
	case !bytes.HasPrefix(want, got.Bytes()), err == nil && got.Len() != len(want):
		l.t.Errorf("%s: blob %s came back with other bytes", a.name, d.id)
	case err == nil:
		a.read++
	}
}

// count sums up the operations, for people.
func (l *load) count() string {
	var paid, txs, open, stored, deleted, extended, read int
	for _, a := range l.accounts {
		txs += len(a.receipts)
		for _, p := range a.payments {
			switch p.fate {
			case done:
				paid++
			case unknown:
				open++
			}
		}
		stored, deleted, extended, read = stored+a.stored, deleted+a.deleted, extended+a.extended, read+a.read
	}
	return fmt.Sprintf("%d payments in %d transactions (%d more of unknown fate), %d blobs stored, %d extended, %d deleted, %d read; failed: %v",
		paid, txs, open, stored, extended, deleted, read, l.failed)
}
