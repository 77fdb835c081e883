package light

import (
	"testing"

	"walrus/ledger"
)

// TestCatchUp reads from a node that lags behind: after CatchUp the reading is as new as that of the others.
func TestCatchUp(t *testing.T) {
	w := newWorld(t)
	n := len(w.blocks)
	lagging := &chain{genesis: w.genesis, keys: w.chain.keys, grown: make(chan struct{}), blocks: w.blocks[:n:n]}
	w.tale.Store(&source{Source: lagging})
	w.set(t, put(ledger.KeyAccount(alice), ledger.Account{Balance: ledger.WAL}.Marshal()))
	c := w.asking(t, w.liar, w.honest)
	ctx := limited(t)
	if a, err := c.Account(ctx, alice); err != nil || a.Balance != 0 {
		t.Fatalf("the node that lags gives %+v, %v: the test needs an old reading", a, err)
	}
	c.CatchUp(ctx)
	if a, err := c.Account(ctx, alice); err != nil || a.Balance != ledger.WAL {
		t.Errorf("after CatchUp the account has %v, %v", a.Balance, err)
	}
	if c.CatchUp(ctx); c.lowest() != w.height()-1 {
		t.Errorf("floor %d, the chain has %d blocks", c.lowest(), w.height())
	}
}
