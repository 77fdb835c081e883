package light

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"

	"walrus/ledger"
	"walrus/ledger/merkle"
)

// ExampleNetwork is a network for examples, with a node that serves its ledger and a host that knows the node.
type ExampleNetwork struct {
	Genesis *ledger.Genesis
	Host    host.Host
	Alice   ledger.Address // has 5 WAL
	end     exampleTB
}

// NewExampleNetwork starts the network. The node's last block, at height 3, has the given age.
func NewExampleNetwork(age time.Duration) *ExampleNetwork {
	t := &exampleTB{}
	keys, node := newKeys(t, 1, 1), newHost(t)
	n := &ExampleNetwork{Genesis: newGenesis(t, "example", 10, keys, node.ID()), Host: newHost(t), Alice: alice}
	c := newChain(t, n.Genesis, keys)
	c.blocks = c.blocks[:1]
	rich := ledger.Account{Balance: 5 * ledger.WAL}
	for i := range 3 {
		at := time.Now().Add(-age + time.Duration(i-2)*time.Second)
		c.add(t, blockOf{time: at, changes: []merkle.Change{{Key: ledger.KeyAccount(alice), Value: rich.Marshal()}}})
	}
	if age > troubledAfter {
		c.trouble = "58 of 100 shards are reachable, 67 needed"
	}
	meet(n.Host, node)
	serve(t, node, n.Genesis, c)
	n.end = *t
	return n
}

// Close stops the node and both hosts.
func (n *ExampleNetwork) Close() {
	for _, f := range slices.Backward(n.end.cleanups) {
		f()
	}
}

// exampleTB stands in for the test that helpers expect.
type exampleTB struct {
	testing.TB
	cleanups []func()
}

func (t *exampleTB) Helper()                  {}
func (t *exampleTB) Context() context.Context { return context.Background() }
func (t *exampleTB) Cleanup(f func())         { t.cleanups = append(t.cleanups, f) }
func (t *exampleTB) Fatal(args ...any)        { panic(fmt.Sprint(args...)) }
func (t *exampleTB) Error(args ...any)        { panic(fmt.Sprint(args...)) }
