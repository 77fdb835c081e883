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

	"walrus/ledger"
	"walrus/ledger/light"
)

// watch observes the ledger all the time, through all nodes together and through each alone.
type watch struct {
	t         *testing.T
	guest     *guest
	nodes     []*light.Client  // one client per node, which asks only that node
	addresses []ledger.Address // of all accounts that can own anything

	head     atomic.Uint64
	stop     chan struct{}
	workers  sync.WaitGroup
	sums     int // how often all WAL was counted; owned by run
	compared int // blocks served by two nodes or more; owned by run
}

func newWatch(t *testing.T, c *cluster, l *load) *watch {
	t.Helper()
	w := &watch{t: t, guest: c.newGuest("watch", nil), stop: make(chan struct{})}
	for i := range c.node {
		node, err := w.guest.ledgerOf(i)
		if err != nil {
			t.Fatal(err)
		}
		w.nodes = append(w.nodes, node)
	}
	known := map[ledger.Address]bool{}
	add := func(a ledger.Address) {
		if !known[a] {
			known[a] = true
			w.addresses = append(w.addresses, a)
		}
	}
	balances, err := w.guest.genesis.Balances()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range balances {
		add(b.Address)
	}
	for _, m := range w.guest.genesis.Members {
		add(m.Reward)
	}
	for _, a := range l.accounts {
		add(a.address)
	}
	return w
}

func (w *watch) height() uint64 { return w.head.Load() }

// run watches until stop is closed.
func (w *watch) run(rnd *rand.Rand) {
	w.workers.Go(func() {
		pace := time.NewTicker(500 * time.Millisecond)
		defer pace.Stop()
		for round := 0; ; round++ {
			w.look(rnd, round)
			select {
			case <-pace.C:
			case <-w.stop:
				return
			}
		}
	})
}

// look follows the head and, in some rounds, counts all WAL or compares the nodes. It tolerates errors, except lies:
// nodes may be down.
func (w *watch) look(rnd *rand.Rand, round int) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	head, err := w.guest.Chain().Light.Head(ctx)
	if err == nil {
		w.head.Store(max(head.Height, w.head.Load()))
		switch round % 4 {
		case 1:
			if err = w.conserved(ctx); err == nil || errors.Is(err, errMoving) {
				w.sums++
			}
		case 3:
			var n int
			if n, err = w.agree(ctx, 1+rnd.Uint64N(head.Height)); n > 1 {
				w.compared++
			}
		}
	}
	if errors.Is(err, light.ErrLied) || errors.Is(err, errWrong) {
		w.t.Error(err)
	}
}

// errWrong marks impossible states.
var errWrong = errors.New("the ledger is wrong")

// errMoving reports that the state changed while the deposits of all objects were read.
var errMoving = errors.New("the state changes meanwhile")

// conserved checks the sum of all WAL. Deposits are in the objects, which are read one after the other: while the state
// changes, it checks that none was made, and returns errMoving.
func (w *watch) conserved(ctx context.Context) error {
	before, sum, at, err := w.outside(ctx)
	if err != nil {
		return err
	}
	if sum > ledger.TotalSupply {
		return fmt.Errorf("%w: at height %d there are %v, more than %v", errWrong, at, sum, ledger.TotalSupply)
	}
	for _, a := range w.addresses {
		owned, err := w.guest.Chain().Light.Objects(ctx, a)
		if err != nil {
			return err
		}
		for _, s := range owned.Storages {
			sum += s.Deposit
		}
		for _, b := range owned.Blobs {
			sum += b.Deposit
		}
	}
	switch after, _, _, err := w.outside(ctx); {
	case err != nil:
		return err
	case after != before:
		return errMoving
	case sum != ledger.TotalSupply:
		return fmt.Errorf("%w: at height %d there are %v, not %v", errWrong, at, sum, ledger.TotalSupply)
	}
	return nil
}

// outside returns the sum of all WAL that is in no object, at a height, and the values it is made of.
func (w *watch) outside(ctx context.Context) (values string, sum ledger.Amount, at uint64, err error) {
	l := w.guest.Chain().Light
	now, err := l.Epoch(ctx)
	if err != nil {
		return "", 0, 0, err
	}
	first := now.Epoch - min(now.Epoch, 1)
	last := now.Epoch + w.guest.genesis.MaxEpochsAhead + 2 // epochs may end during the count
	keys := [][]byte{ledger.KeyEpoch(), ledger.KeySupply()}
	for e := first; e <= last; e++ {
		keys = append(keys, ledger.KeyPot(e))
	}
	for _, a := range w.addresses {
		keys = append(keys, ledger.KeyAccount(a))
	}
	v, err := l.Get(ctx, 0, keys...)
	if err != nil {
		return "", 0, 0, err
	}
	for _, key := range keys {
		value, err := v.Get(key)
		if err != nil {
			return "", 0, 0, err
		}
		values += fmt.Sprintf("%x ", value)
	}
	sum, err = total(v, first, last, w.addresses)
	return values, sum, v.Height, err
}

// total returns all WAL: of the accounts, in the pots, left over and burned.
func total(r ledger.Reader, first, last uint32, addresses []ledger.Address) (ledger.Amount, error) {
	now, err := ledger.ReadEpoch(r)
	if err != nil {
		return 0, err
	}
	supply, err := ledger.ReadSupply(r)
	if err != nil {
		return 0, err
	}
	sum := now.Leftover + supply.Burned
	for e := first; e <= last; e++ {
		pot, err := ledger.ReadPot(r, e)
		if err != nil {
			return 0, err
		}
		sum += pot.Rewards
	}
	for _, a := range addresses {
		account, err := ledger.ReadAccount(r, a)
		if err != nil {
			return 0, err
		}
		sum += account.Balance
	}
	return sum, nil
}

// agree compares the nodes' blocks at a height, and returns how many served one. Some nodes may be down, and nodes that
// joined by a snapshot have no older blocks.
func (w *watch) agree(ctx context.Context, height uint64) (int, error) {
	type answer struct {
		hash, app []byte
		err       error
	}
	answers := make([]answer, len(w.nodes))
	var asked sync.WaitGroup
	for i, node := range w.nodes {
		asked.Go(func() {
			b, err := node.Block(ctx, height)
			if err != nil {
				answers[i].err = err
				return
			}
			answers[i] = answer{b.Hash(), b.AppHash, nil}
		})
	}
	asked.Wait()
	first, n := -1, 0
	for i, a := range answers {
		switch {
		case errors.Is(a.err, light.ErrLied):
			return n, fmt.Errorf("node %d, block %d: %w", i, height, a.err)
		case a.err != nil:
			continue
		case first < 0:
			first = i
		case !bytes.Equal(a.hash, answers[first].hash) || !bytes.Equal(a.app, answers[first].app):
			return n, fmt.Errorf("%w: block %d is %X with state %X on node %d, and %X with state %X on node %d",
				errWrong, height, answers[first].hash, answers[first].app, first, a.hash, a.app, i)
		}
		n++
	}
	return n, nil
}
