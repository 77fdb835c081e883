package node

import (
	"context"
	"sync"
	"time"
)

// States of a node, in the order in which it passes them.
const (
	// Joining: no other node reached yet.
	Joining = "joining"
	// Syncing: learning which blobs are certified and which slivers of them are missing here.
	Syncing = "syncing"
	// Serving: knows what it owes. It serves what it has in every state.
	Serving = "serving"
)

// scrubPatience bounds how long the node waits for its first scrub and for the ledger before it serves. A scrub of a
// large store takes hours, and the ledger may stand still.
const scrubPatience = 10 * time.Second

// life tracks a node from start to serving.
type life struct {
	started  time.Time
	ready    chan struct{} // closed once serving, or after Config.Ready
	serving  chan struct{} // closed when the state becomes Serving
	heard    chan struct{} // closed when enough other members were heard
	scrubbed chan struct{} // closed after the first scrub
	compared chan struct{} // closed once the store has been compared with the ledger
	enough   sync.Once     // guards the closing of heard
	once     sync.Once     // guards the closing of compared

	mu    sync.Mutex
	state string // guarded by mu
}

func newLife() *life {
	return &life{
		started: time.Now(), state: Joining,
		ready: make(chan struct{}), serving: make(chan struct{}), heard: make(chan struct{}), scrubbed: make(chan struct{}), compared: make(chan struct{}),
	}
}

// hearEnough notes that members with one honest shard among them have answered.
func (l *life) hearEnough() { l.enough.Do(func() { close(l.heard) }) }

// compare notes that the store has been compared with the ledger.
func (l *life) compare() { l.once.Do(func() { close(l.compared) }) }

func (l *life) now() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// setState moves to state and logs it. A serving node stays serving.
func (n *Node) setState(state string) {
	l := n.life
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == state || l.state == Serving {
		return
	}
	l.state = state
	n.log.Info("node is "+state, "name", n.cfg.Name)
	if state == Serving {
		close(l.serving)
	}
}

// runReady closes ready once the node serves, or after Config.Ready.
func (n *Node) runReady(ctx context.Context) error {
	waitTimer(ctx, n.cfg.Ready, n.life.serving)
	if ctx.Err() == nil {
		close(n.life.ready)
	}
	return nil
}

// runServing makes the node serve once enough members have been heard, the disk has been scrubbed and the store has
// been compared with the ledger. For the scrub and the comparison it waits scrubPatience at most; until they end,
// damaged and ended slivers are not counted right.
func (n *Node) runServing(ctx context.Context) error {
	select {
	case <-n.life.heard:
	case <-ctx.Done():
		return nil
	}
	patience := time.NewTimer(scrubPatience)
	defer patience.Stop()
	for _, done := range []chan struct{}{n.life.scrubbed, n.life.compared} {
		select {
		case <-done:
			continue
		case <-patience.C:
		case <-ctx.Done():
		}
		break
	}
	if ctx.Err() == nil {
		n.setState(Serving)
	}
	return nil
}
