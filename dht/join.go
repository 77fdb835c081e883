package dht

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"golang.org/x/sync/errgroup"

	"walrus/internal/pause"
)

// Run joins the network and keeps this peer in it until ctx ends: it dials bootstrap and remembered peers, repeatedly
// while it reaches none; announces a server; keeps the address book. It returns nil when ctx ends, or why it could
// not start. By then everything it started has ended.
func (d *DHT) Run(ctx context.Context) error {
	// The bus waits for slow readers, and saving the address book can be slow: hence the large buffer.
	events, err := d.host.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted), eventbus.BufSize(maxEventQueue))
	if err != nil {
		return fmt.Errorf("run dht: watch connections: %w", err)
	}
	defer func() { _ = events.Close() }()
	if d.cfg.MDNS {
		stop, err := d.startMDNS()
		if err != nil {
			// Containers and some clouds have no multicast; the network can be joined without.
			d.log.Warn("peers on the local network are not found by multicast", "err", err)
		} else {
			defer stop()
		}
	}
	d.pins.setAll(d.book.sample(maxBookPeers))
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return d.keepJoined(ctx) })
	tasks.Go(func() error { return d.keepBook(ctx, events) })
	tasks.Go(func() error { return d.dialFound(ctx) })
	if d.cfg.Server {
		tasks.Go(func() error { return d.keepAnnounced(ctx) })
	}
	return tasks.Wait()
}

// Joined waits until at least one server of our network is in the routing table. If ctx ends first, the error lists
// the bootstrap addresses tried and the outcomes.
func (d *DHT) Joined(ctx context.Context) error {
	if d.awaitTable(ctx) {
		return nil
	}
	return fmt.Errorf("join network %q: %w: %s", d.cfg.Network, context.Cause(ctx), d.bootstrap.explain())
}

// awaitTable reports whether the table got its first entry before ctx ended.
func (d *DHT) awaitTable(ctx context.Context) bool {
	poll := time.NewTicker(tablePoll)
	defer poll.Stop()
	for d.TableSize() == 0 {
		select {
		case <-ctx.Done():
			return false
		case <-poll.C:
		}
	}
	return true
}

// keepJoined dials until there is a table, and then bootstrap peers every keepUp. A restarted bootstrap peer knows
// nobody until somebody dials it, and the halves of a network that was cut find each other again through bootstrap
// peers.
func (d *DHT) keepJoined(ctx context.Context) error {
	retry := minRejoin
	for ctx.Err() == nil {
		wasAlone := d.TableSize() == 0
		if reached := d.round(ctx); wasAlone {
			if err := d.kad.Bootstrap(ctx); err != nil { // takes in connections made before
				d.log.Debug("fill routing table", "err", err)
			}
			wait := tableWait
			if !reached {
				wait = tablePoll
			}
			short, stop := context.WithTimeout(ctx, wait)
			d.awaitTable(short)
			stop()
		}
		delay := jitter(keepUp)
		switch alone := d.TableSize() == 0; {
		case alone:
			delay = jitter(retry)
			retry = min(2*retry, maxRejoin)
		case wasAlone:
			d.log.Info("joined the network", "network", d.cfg.Network, "servers", d.TableSize())
			retry = minRejoin
			d.fillTable(ctx)
		}
		pause.For(ctx, delay)
	}
	return nil
}

// round dials every bootstrap peer without a connection and, while we are alone, some remembered ones. It reports
// whether any dial succeeded.
func (d *DHT) round(ctx context.Context) bool {
	targets := slices.Clone(d.bootstrap.peers)
	remembered := len(targets) // index of the first remembered peer
	if d.TableSize() == 0 {
		targets = append(targets, d.book.sample(joinSample)...)
	}
	var reached atomic.Bool
	var dials errgroup.Group
	dials.SetLimit(maxJoinDials)
	for i, p := range targets {
		if i >= remembered && d.TableSize() > 0 {
			break // the dials so far were enough
		}
		if p.ID == d.host.ID() || d.connected(p.ID) {
			continue
		}
		dials.Go(func() error {
			ctx, stop := context.WithTimeout(ctx, dialTimeout)
			defer stop()
			err := d.dial(ctx, p)
			if err == nil {
				reached.Store(true)
			}
			d.bootstrap.tried(p.ID, err)
			return nil
		})
	}
	_ = dials.Wait() // the tasks return nil
	return reached.Load()
}

// fillTable looks for the servers nearest to us, which also makes us known to them. The library's own refresh covers
// the rest of the table.
func (d *DHT) fillTable(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, announceTimeout)
	defer stop()
	if _, err := d.kad.GetClosestPeers(ctx, string(d.host.ID())); err != nil && ctx.Err() == nil {
		d.log.Debug("look for nearest servers", "err", err)
	}
	if !d.cfg.Light {
		_ = d.kad.RefreshRoutingTable() // continues in the background; ends with the table
	}
}

// keepBook remembers every server of our network that connects, and saves the book.
func (d *DHT) keepBook(ctx context.Context, events event.Subscription) error {
	var due <-chan time.Time
	save := func() {
		due = nil
		if err := d.book.save(); err != nil {
			d.log.Warn("cannot save the address book: a restart needs a live bootstrap peer", "err", err)
		}
	}
	defer save()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-due:
			save()
		case e, open := <-events.Out():
			if !open {
				return errors.New("run dht: the host was closed")
			}
			met, ok := e.(event.EvtPeerIdentificationCompleted)
			if !ok || !d.speaksOurs(met.Peer) {
				continue
			}
			proven := d.proven(met)
			d.book.remember(met.Peer, proven, time.Now())
			d.pins.set(met.Peer, proven)
			if due == nil {
				due = time.After(saveDelay)
			}
		}
	}
}

// dialFound dials peers found by multicast.
func (d *DHT) dialFound(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case p := <-d.found:
			if d.connected(p.ID) {
				continue
			}
			short, stop := context.WithTimeout(ctx, dialTimeout)
			if err := d.dial(short, p); err != nil {
				d.log.Debug("dial peer seen on the local network", "peer", p.ID, "err", err)
			}
			stop()
		}
	}
}

// Elsewhere returns the name of the other network that all bootstrap peers say they are of; empty if they do not
// agree or a peer of our network is known. Their addresses contain their peer IDs, so the connections prove that it
// is they who say so.
func (d *DHT) Elsewhere() string {
	if d.TableSize() > 0 {
		return ""
	}
	return d.bootstrap.elsewhere()
}

// jitter spreads a pause by a quarter either way, so that restarted peers do not stay in step.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2)
}
