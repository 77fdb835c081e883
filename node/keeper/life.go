package keeper

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"walrus/internal/pause"
)

// States of a node, in the order in which it passes them. In all of them it serves the data it has.
const (
	// Joining: no other node reached yet.
	Joining = "joining"
	// Syncing: learning which blobs are certified and which slivers of them are missing here.
	Syncing = "syncing"
	// Serving: other nodes were heard, and the node knows what it owes, or counts it in the background.
	Serving = "serving"
	// ReadOnly replaces Serving, for others to see, while the node takes no new data.
	ReadOnly = "read-only"
)

// startPatience bounds how long the node waits before it serves: for the ledger, which may stall, for what is in doubt,
// and after an unclean stop for the newest writes to be read back, which may be many.
const startPatience = 3 * time.Second

// mark is an event that happens once. Setting it again changes nothing.
type mark struct {
	once sync.Once
	done chan struct{}
}

func newMark() *mark { return &mark{done: make(chan struct{})} }

func (m *mark) isSet() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

func (m *mark) set() { m.once.Do(func() { close(m.done) }) }

// life tracks a node from start to serving.
type life struct {
	ready    *mark // serving, or Config.Ready is over
	serving  *mark // the state is Serving
	heard    *mark // members with one honest shard among them have answered
	scrubbed *mark // the newest writes before an unclean stop were read back
	reached  *mark // the ledger here is as new as before the last restart
	level    *mark // its events until the start have been processed
	counted  *mark // no blob is in doubt
	log      *slog.Logger

	mu    sync.Mutex
	state string // guarded by mu
}

func newLife(log *slog.Logger) *life {
	return &life{
		log: log, state: Joining,
		ready: newMark(), serving: newMark(), heard: newMark(), scrubbed: newMark(), reached: newMark(), level: newMark(),
		counted: newMark(),
	}
}

func (l *life) now() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// become moves to state and logs it. A serving node stays serving.
func (l *life) become(state string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == state || l.state == Serving {
		return
	}
	l.state = state
	l.log.Info("node is " + state)
	if state == Serving {
		l.serving.set()
	}
}

// runReady closes ready once the node serves, or after patience.
func (l *life) runReady(ctx context.Context, patience time.Duration) error {
	pause.Until(ctx, patience, l.serving.done)
	if ctx.Err() == nil {
		l.ready.set()
	}
	return nil
}

// runServing makes the node serve once enough members have been heard and the node is admitted. For the checks it waits
// startPatience at most, and they go on in the background: the newest writes after an unclean stop, the ledger's events
// while the node was away, and the inventory in doubt. Until they have ended, the node may owe more than it says.
func (l *life) runServing(ctx context.Context, admitted func(context.Context)) error {
	select {
	case <-l.heard.done:
	case <-ctx.Done():
		return nil
	}
	admitted(ctx)
	patience := time.NewTimer(startPatience)
	defer patience.Stop()
	for _, m := range []*mark{l.scrubbed, l.level, l.counted} {
		select {
		case <-m.done:
			continue
		case <-patience.C:
		case <-ctx.Done():
		}
		break
	}
	if ctx.Err() == nil {
		l.become(Serving)
	}
	return nil
}
