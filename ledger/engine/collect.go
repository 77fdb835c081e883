package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/internal/pause"
	"walrus/ledger"
	"walrus/ledger/engine/app"
	"walrus/ledger/light"
	"walrus/ledger/merkle"
)

const (
	// rangesOfPeer is the number of ranges fetched from one peer at the same time.
	rangesOfPeer = 3
	// collectPeers bounds the peers asked at the same time. With rangesOfPeer and light.MaxRange it bounds the memory of
	// ranges on their way: 6 MiB.
	collectPeers = 8
	// minPatience and maxPatience bound the wait for one range; in between it is slowFactor times the usual time of the
	// quickest peer. Before the first range it is maxPatience: 256 KiB at 25 KB/s.
	minPatience, maxPatience, slowFactor = 2 * time.Second, 10 * time.Second, 20
	// maxFailures: a peer that fails this many times in a row is left.
	maxFailures = 2
	// busyTries bounds the requests in a row that a peer refuses as busy, with busyPause between them.
	busyTries, busyPause = 40, 250 * time.Millisecond
)

// ranges fetches verified ranges of one state from a peer: see light.Client.Range.
type ranges func(ctx context.Context, from peer.ID, first, last merkle.Hash) (*light.Range, merkle.Hash, error)

// restoration collects ranges: see app.Restoration.
type restoration interface {
	Left(unit int) (first, last merkle.Hash, ok bool)
	Add(unit int, first, end merkle.Hash, got *light.Range) error
}

// collecting fetches a state from several peers at once. Each takes units that no other peer works on; when none is
// free, it fetches one that another is slow with, so no peer holds up the end.
type collecting struct {
	into  restoration // constant, as are the next two
	fetch ranges
	log   *slog.Logger

	mu      sync.Mutex
	working map[int]map[peer.ID]bool  // who works on a unit now; guarded by mu, as are all below
	spare   []peer.ID                 // not yet asked
	left    map[peer.ID]error         // peers that were left, and why
	failed  map[peer.ID]int           // failures in a row
	usual   map[peer.ID]time.Duration // usual time of a range
	fault   error                     // of the disk
	moved   chan struct{}             // closed when a unit may have become free, or all are complete
}

// collect fetches all that is left from these peers. It returns when everything is there, or no peer is left. It names
// the peers that it has left, with the reasons.
func collect(ctx context.Context, into restoration, peers []peer.ID, fetch ranges, log *slog.Logger) (map[peer.ID]error, error) {
	g := &collecting{into: into, fetch: fetch, log: log, working: make(map[int]map[peer.ID]bool), spare: slices.Clone(peers),
		left: make(map[peer.ID]error), failed: make(map[peer.ID]int),
		usual: make(map[peer.ID]time.Duration), moved: make(chan struct{})}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var work sync.WaitGroup
	for range min(collectPeers, len(peers)) {
		work.Go(func() {
			for ctx.Err() == nil {
				id, ok := g.peer()
				if !ok {
					return
				}
				g.ask(ctx, id)
				if g.complete() {
					stop() // others may still fetch what is there already
				}
			}
		})
	}
	work.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.fault != nil:
		return g.left, g.fault
	case g.complete():
		return g.left, nil
	case ctx.Err() != nil:
		return g.left, context.Cause(ctx)
	}
	return g.left, fmt.Errorf("fetch the state: %w: none of %d peers is left", light.ErrUnavailable, len(peers))
}

// peer takes a peer that was not asked before.
func (g *collecting) peer() (id peer.ID, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.spare) == 0 || g.fault != nil {
		return "", false
	}
	id, g.spare = g.spare[0], g.spare[1:]
	return id, true
}

func (g *collecting) complete() bool {
	for i := range app.RestoreUnits {
		if _, _, ok := g.into.Left(i); ok {
			return false
		}
	}
	return true
}

// ask fetches ranges from a peer until it is left, or everything is there.
func (g *collecting) ask(ctx context.Context, id peer.ID) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var work sync.WaitGroup
	for range rangesOfPeer {
		work.Go(func() {
			defer stop()
			for ctx.Err() == nil {
				unit, moved, ok := g.take(id)
				switch {
				case ok:
					g.unit(ctx, id, unit)
				case moved == nil:
					return
				default:
					select {
					case <-moved:
					case <-ctx.Done():
					}
				}
			}
		})
	}
	work.Wait()
}

// take assigns a unit to a peer: one that nobody works on, or one that a single other peer works on. Without one it
// returns a channel to wait for; nil if nothing is left to do, or to ask this peer.
func (g *collecting) take(id peer.ID) (unit int, moved <-chan struct{}, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.left[id] != nil || g.fault != nil {
		return 0, nil, false
	}
	unit, shared, open := -1, -1, false
	for i := range app.RestoreUnits {
		if _, _, ok := g.into.Left(i); !ok {
			continue
		}
		open = true
		switch who := g.working[i]; {
		case len(who) == 0 && unit < 0:
			unit = i
		case len(who) == 1 && !who[id] && shared < 0:
			shared = i
		}
	}
	if unit < 0 {
		unit = shared
	}
	switch {
	case !open:
		return 0, nil, false
	case unit < 0:
		return 0, g.moved, false
	}
	if g.working[unit] == nil {
		g.working[unit] = make(map[peer.ID]bool)
	}
	g.working[unit][id] = true
	return unit, nil, true
}

// unit fetches the next range of a unit from a peer.
func (g *collecting) unit(ctx context.Context, id peer.ID, unit int) {
	defer g.release(id, unit)
	first, last, ok := g.into.Left(unit)
	if !ok {
		return
	}
	got, end, took, err := g.request(ctx, id, first, last)
	switch {
	case err == nil:
		g.succeeded(id, took)
		if err := g.into.Add(unit, first, end, got); err != nil {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.fault = errors.Join(g.fault, err)
		}
	case ctx.Err() == nil:
		g.judge(id, err)
	}
}

// request fetches a range. It is patient with busy peers, not with slow ones.
func (g *collecting) request(ctx context.Context, id peer.ID, first, last merkle.Hash) (got *light.Range, end merkle.Hash,
	took time.Duration, err error) {
	for range busyTries {
		patience := g.patience()
		limited, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%w within %v", light.ErrUnavailable, patience))
		begin := time.Now()
		got, end, err = g.fetch(limited, id, first, last)
		if limited.Err() != nil && err != nil {
			err = context.Cause(limited)
		}
		cancel()
		took = time.Since(begin)
		if !errors.Is(err, light.ErrBusy) || !pause.For(ctx, busyPause) {
			break
		}
	}
	return got, end, took, err
}

// patience returns how long to wait for a range.
func (g *collecting) patience() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	patience := maxPatience
	for _, usual := range g.usual {
		patience = min(patience, max(slowFactor*usual, minPatience))
	}
	return patience
}

func (g *collecting) succeeded(id peer.ID, took time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failed[id] = 0
	if usual := g.usual[id]; usual == 0 {
		g.usual[id] = took
	} else {
		g.usual[id] += (took - usual) / 4
	}
}

// judge decides whether a peer that failed is left: liars, and peers without the state, at once.
func (g *collecting) judge(id peer.ID, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failed[id]++
	if g.left[id] != nil || g.failed[id] < maxFailures && !errors.Is(err, light.ErrLied) && !errors.Is(err, ledger.ErrNotFound) {
		return
	}
	g.left[id] = err
	delete(g.usual, id)
	g.log.Warn("a node is asked for no more of the ledger's state", "peer", id, "err", err)
}

func (g *collecting) release(id peer.ID, unit int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.working[unit], id)
	close(g.moved)
	g.moved = make(chan struct{})
}
