package wallet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"walrus/ledger"
)

// swarmChain is a ledger of several nodes, each with its own queue of transactions, which the others learn of a
// little later. So two machines can have transactions with the same nonce in flight.
type swarmChain struct {
	*fakeChain // its mu guards all below

	gossip time.Duration
	pools  [][]*ledger.Tx
	moved  chan struct{} // closed by the next block
}

func newSwarmChain(t testing.TB, nodes int, gossip time.Duration) *swarmChain {
	c := &swarmChain{fakeChain: newChain(t, ledger.WAL), gossip: gossip, pools: make([][]*ledger.Tx, nodes),
		moved: make(chan struct{})}
	return c
}

// at returns the ledger as seen through one node.
func (c *swarmChain) at(node int) Chain { return nodeChain{c, node} }

type nodeChain struct {
	*swarmChain
	node int
}

// Submit gives the node the transaction and waits for its receipt, or until another one has used its nonce.
func (n nodeChain) Submit(ctx context.Context, tx *ledger.Tx) (ledger.Receipt, error) {
	c := n.swarmChain
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent++
	if err := c.takeLocked(n.node, tx); err != nil {
		return ledger.Receipt{}, err
	}
	for other := range c.pools {
		time.AfterFunc(c.gossip, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			_ = c.takeLocked(other, tx) // fails if that node has another one with this nonce
		})
	}
	for {
		if r, ok := c.receipts[tx.ID()]; ok {
			return r, nil
		}
		if c.head.Account.Nonce > tx.Nonce {
			return ledger.Receipt{}, refusedFor(ledger.CodeNonce)
		}
		moved := c.moved
		c.mu.Unlock()
		select {
		case <-moved:
			c.mu.Lock()
		case <-ctx.Done():
			c.mu.Lock()
			return ledger.Receipt{}, ctx.Err()
		}
	}
}

func (c *swarmChain) takeLocked(node int, tx *ledger.Tx) error {
	pool := c.pools[node]
	if slices.ContainsFunc(pool, func(p *ledger.Tx) bool { return p.ID() == tx.ID() }) {
		return nil
	}
	if tx.Nonce != c.head.Account.Nonce+uint64(len(pool)) {
		return refusedFor(ledger.CodeNonce)
	}
	c.pools[node] = append(pool, tx)
	if c.block == nil {
		c.block = make(chan struct{})
		time.AfterFunc(blockTime, c.propose)
	}
	return nil
}

// propose makes a block of the transactions queued on one node. All nodes drop those whose nonce is used or not yet
// due.
func (c *swarmChain) propose() {
	c.mu.Lock()
	c.waiting = c.pools[c.rand.IntN(len(c.pools))]
	c.mu.Unlock()
	c.commit()
	c.mu.Lock()
	defer c.mu.Unlock()
	left := false
	for i, pool := range c.pools {
		c.pools[i] = slices.DeleteFunc(slices.Clone(pool),
			func(tx *ledger.Tx) bool { return tx.Nonce < c.head.Account.Nonce })
		left = left || len(c.pools[i]) > 0
	}
	if left {
		c.block = make(chan struct{})
		time.AfterFunc(blockTime, c.propose)
	}
	close(c.moved)
	c.moved = make(chan struct{})
}

// amounts counts the payments of each amount and the fillers, and adds up the WAL spent.
func (c *fakeChain) amounts() (paid map[ledger.Amount]int, fillers int, spent ledger.Amount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	paid = map[ledger.Amount]int{}
	for _, tx := range c.committed {
		spent += c.receipts[tx.ID()].Spent
		for _, op := range tx.Ops {
			if o := op.(ledger.Transfer); o.To == tx.Sender.Address() && o.Amount == 0 {
				fillers++
			} else {
				paid[o.Amount]++
			}
		}
	}
	return paid, fillers, spent
}

// TestProcesses: twenty processes on two machines pay with one wallet at the same time; every payment is made once.
func TestProcesses(t *testing.T) {
	for _, gossip := range []time.Duration{0, blockTime / 5, 3 * blockTime} {
		t.Run(fmt.Sprint("gossip=", gossip), func(t *testing.T) {
			homes := [2]string{t.TempDir(), t.TempDir()}
			synctest.Test(t, func(t *testing.T) { testProcesses(t, homes, gossip) })
		})
	}
}

func testProcesses(t *testing.T, homes [2]string, gossip time.Duration) {
	const processes, each = 20, 5
	chain := newSwarmChain(t, 2, gossip)
	before := chain.head.Account.Balance
	w := newWallet(t)
	start := time.Now()
	var told sync.Map
	var group sync.WaitGroup
	for i := range processes {
		own := *w
		own.lockPath = filepath.Join(homes[i%2], "wallet.yaml.lock")
		p := NewPayer(&own, chain.at(i%2))
		for j := range each {
			amount := ledger.Amount(1 + i*each + j)
			group.Go(func() {
				if j > 0 {
					time.Sleep(time.Duration(rand.Int64N(int64(4 * blockTime))))
				}
				r, err := p.Do(t.Context(), pay(amount))
				if err != nil {
					t.Error(err)
				}
				told.Store(amount, r.Spent)
			})
		}
	}
	group.Wait()
	paid, fillers, spent := chain.amounts()
	for i := range processes * each {
		if n := paid[ledger.Amount(1+i)]; n != 1 {
			t.Errorf("payment %d took effect %d times", 1+i, n)
		}
	}
	var sum ledger.Amount
	told.Range(func(_, spent any) bool { sum += spent.(ledger.Amount); return true })
	if left := chain.head.Account.Balance; before-left != spent || sum > spent || fillers == 0 && sum != spent {
		t.Errorf("%d left the account, %d by receipts, %d were told, with %d fillers", uint64(before-left), uint64(spent),
			uint64(sum), fillers)
	}
	t.Logf("%d payments in %d transactions and %s: sent %d times, %d gaps filled", processes*each, len(chain.committed),
		time.Since(start), chain.sent, fillers)
}

// withFile makes a payer that notes its nonces in a file.
func withFile(t *testing.T, chain Chain, path string) *Payer {
	w := newWallet(t)
	w.lockPath = path
	return NewPayer(w, chain)
}

// TestTakenAndNeverSent: a process took a nonce and was killed. Transactions after it still get their turn.
func TestTakenAndNeverSent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	synctest.Test(t, func(t *testing.T) {
		chain := newChain(t, ledger.WAL)
		p := withFile(t, chain, path)
		for range 3 {
			turn, err := p.shared.take(t.Context(), chain.head.Network, p.Address())
			if err != nil {
				t.Fatal(err)
			}
			turn.used(turn.nonce(chain.head.Account.Nonce))
			turn.end()
		}
		start := time.Now()
		if _, err := p.Do(t.Context(), pay(7)); err != nil {
			t.Fatal(err)
		}
		paid, fillers, _ := chain.amounts()
		if took := time.Since(start); paid[7] != 1 || fillers != 3 || took > 4*gapPatience {
			t.Errorf("paid %v, %d gaps filled in %s", paid, fillers, took)
		}
	})
}

// TestKeptInSecret: nodes refuse a transaction whose nonce is not yet due, keep it, and submit it once the nonce is
// due. It is not composed again meanwhile.
func TestKeptInSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	synctest.Test(t, func(t *testing.T) {
		chain := newChain(t, ledger.WAL)
		p := withFile(t, chain, path)
		turn, err := p.shared.take(t.Context(), chain.head.Network, p.Address())
		if err != nil {
			t.Fatal(err)
		}
		turn.used(5)
		turn.end()
		var kept *ledger.Tx
		chain.refuse = func(tx *ledger.Tx) error {
			if tx.Nonce == 6 {
				if kept == nil {
					kept = tx
					time.AfterFunc(gapPatience+2*blockTime, func() { _, _ = chain.admit(tx) })
				}
				return refusedFor(ledger.CodeNonce)
			}
			return nil
		}
		time.AfterFunc(gapPatience+blockTime, func() { chain.change(func() { chain.refuse = nil }) })
		if _, err := p.Do(t.Context(), pay(7)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if paid, _, _ := chain.amounts(); paid[7] != 1 || kept == nil {
			t.Errorf("paid %v", paid)
		}
	})
}

// TestLock: a lock file that is unavailable or nonsensical neither causes an error nor a long wait.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	held, err := lockFile(filepath.Join(dir, "held"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	for name, text := range map[string]string{
		"garbage": "\x00\xff", "torn": "0000", "long": string(make([]byte, 1<<16)),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"held", "garbage", "torn", "long", "far", "old", "other", "no/such/folder", "."} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				chain := newChain(t, ledger.WAL)
				p := withFile(t, chain, filepath.Join(dir, name))
				n := note{chain.head.Network, p.Address(), 7, time.Now().UnixNano()}
				switch name {
				case "far":
					n.next = 1 << 60
				case "old":
					n.at = time.Now().Add(-time.Hour).UnixNano()
				case "other":
					n.account = ledger.Address{1}
				}
				if name == "far" || name == "old" || name == "other" {
					if err := os.WriteFile(p.shared.path, []byte(n.String()), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				start := time.Now()
				if _, err := p.Do(t.Context(), pay(1)); err != nil || chain.committed[0].Nonce != 5 {
					t.Errorf("%v: %d in blocks", err, len(chain.committed))
				}
				if took := time.Since(start); took > lockPatience+time.Second {
					t.Errorf("took %s", took)
				}
			})
		})
	}
}

// TestNeverSent: the next transaction uses a nonce that was taken and not used.
func TestNeverSent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	synctest.Test(t, func(t *testing.T) {
		chain := newChain(t, ledger.WAL)
		chain.refuse = once(refusedFor(ledger.CodeSignature))
		p := withFile(t, chain, path)
		if _, err := p.Do(t.Context(), pay(1)); !errors.As(err, new(*ledger.OpError)) {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := p.Do(t.Context(), pay(2)); err != nil || chain.committed[0].Nonce != 5 ||
			time.Since(start) > gapPatience {
			t.Errorf("%v after %s: nonce %d", err, time.Since(start), chain.committed[0].Nonce)
		}
	})
}

// TestOthersAlwaysFaster: a payer tries until its deadline, reports that others took its nonces, and has paid
// nothing.
func TestOthersAlwaysFaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := newChain(t, ledger.WAL)
		chain.refuse = func(*ledger.Tx) error {
			chain.head.Account.Nonce++
			return refusedFor(ledger.CodeNonce)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := NewPayer(newWallet(t), chain).Do(ctx, pay(1))
		var no *ledger.OpError
		if took := time.Since(start); !errors.As(err, &no) || !errors.Is(err, context.DeadlineExceeded) ||
			errors.Is(err, ErrUnknown) || took != time.Minute {
			t.Errorf("%v after %s", err, took)
		}
		if chain.sent < 30 || chain.sent > 200 {
			t.Errorf("sent %d times in a minute", chain.sent)
		}
	})
}
