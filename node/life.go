package node

import (
	"context"
	"sync"
	"time"
)

// States of a node, in the order in which it goes through them.
const (
	// Joining: no other node reached yet.
	Joining = "joining"
	// Syncing: learning which blobs are certified and which slivers of them are missing here.
	Syncing = "syncing"
	// Serving: knows what it owes. It serves what it has in every state.
	Serving = "serving"
)

// scrubPatience is how long the node waits for its first scrub, which takes hours on a great store, and for the ledger,
// which may stand still, before it serves.
const scrubPatience = 10 * time.Second

// life is how far a node is on its way from start to serving.
type life struct {
	started  time.Time
	ready    chan struct{} // closed when the state is Serving, or the time for that has passed
	serving  chan struct{} // closed when the state becomes Serving
	heard    chan struct{} // closed when enough other members were heard
	scrubbed chan struct{} // closed after the first scrub
	compared chan struct{} // closed when what is stored has been compared with the ledger
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

// hearEnough notes that others with one honest shard among them were heard.
func (l *life) hearEnough() { l.enough.Do(func() { close(l.heard) }) }

// compare notes that what is stored was compared with the ledger.
func (l *life) compare() { l.once.Do(func() { close(l.compared) }) }

func (l *life) now() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// setState moves on to state; Serving is reached once.
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

// runReady closes ready.
func (n *Node) runReady(ctx context.Context) error {
	waitTimer(ctx, n.cfg.Ready, n.life.serving)
	if ctx.Err() == nil {
		close(n.life.ready)
	}
	return nil
}

// runServing makes the node serve once it has heard of what is certified, has looked through its disk and compared it
// with the ledger: unless that takes long, for what it does not know to be damaged, or to have ended, it does not know to
// be owed or not.
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
