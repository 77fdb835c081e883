package ledgertest

import (
	"context"
	"sync"
	"time"

	"walrus/ledger"
)

// Node is a node's copy of the ledger, which can lag behind.
type Node struct {
	chain *Chain
	ready chan struct{}

	mu    sync.Mutex
	until uint64 // height it has reached; 0: it keeps up; guarded by mu
	open  bool   // ready is closed; guarded by mu
	fatal chan error
}

// Node returns a copy of the ledger for one node.
func (c *Chain) Node() *Node {
	return &Node{chain: c, ready: make(chan struct{}), fatal: make(chan error, 1)}
}

// Lag hides everything newer than height from the node; 0 lets it catch up.
func (n *Node) Lag(height uint64) {
	n.mu.Lock()
	n.until = height
	n.mu.Unlock()
	n.chain.mu.Lock()
	defer n.chain.mu.Unlock()
	n.chain.wake()
}

// Break makes Run end with err.
func (n *Node) Break(err error) { n.fatal <- err }

// Run waits until ctx ends or Break is called.
func (n *Node) Run(ctx context.Context) error {
	for {
		n.chain.mu.Lock()
		changed := n.chain.changed
		n.chain.mu.Unlock()
		n.mu.Lock()
		if n.until == 0 && !n.open {
			n.open = true
			close(n.ready)
		}
		n.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case err := <-n.fatal:
			return err
		case <-changed:
		}
	}
}

// Submit commits a transaction in its own block.
func (n *Node) Submit(ctx context.Context, tx []byte) error {
	read, err := ledger.UnmarshalTx(tx)
	if err != nil {
		return err
	}
	_, err = n.chain.Submit(ctx, read)
	return err
}

// Close does nothing.
func (n *Node) Close() error { return nil }

// Ready returns a channel that is closed when the node has caught up.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// head returns the newest block that the node has, and a channel that is closed at the next change.
func (n *Node) head() (*Block, chan struct{}) {
	n.mu.Lock()
	until := n.until
	n.mu.Unlock()
	n.chain.mu.Lock()
	defer n.chain.mu.Unlock()
	last := n.chain.blocks[len(n.chain.blocks)-1]
	if until > 0 && until < last.Height {
		last = n.chain.blocks[until-1]
	}
	return last, n.chain.changed
}

// State returns the newest state the node has, and its height.
func (n *Node) State() (ledger.Reader, uint64) {
	b, _ := n.head()
	return b, b.Height
}

// Follow calls fn with the events of each block from a height on, in order, until ctx ends or fn fails. If these events
// were pruned, it calls nothing and returns false.
func (n *Node) Follow(ctx context.Context, from uint64,
	fn func(height uint64, events []ledger.Event) error) (kept bool, err error) {
	n.chain.mu.Lock()
	pruned := n.chain.pruned
	n.chain.mu.Unlock()
	if from < pruned {
		return false, nil
	}
	for from = max(from, 1); ; {
		last, changed := n.head()
		for ; from <= last.Height; from++ {
			n.chain.mu.Lock()
			b := n.chain.blocks[from-1]
			n.chain.mu.Unlock()
			if err := fn(b.Height, b.Events); err != nil {
				return true, err
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return true, ctx.Err()
		}
	}
}

// Health returns the node's height, the block's time, and the ledger's problem.
func (n *Node) Health() (height uint64, at time.Time, trouble string) {
	b, _ := n.head()
	n.chain.mu.Lock()
	defer n.chain.mu.Unlock()
	if n.chain.halted != nil {
		trouble = n.chain.halted.Error()
	}
	return b.Height, time.Unix(0, b.Time), trouble
}
