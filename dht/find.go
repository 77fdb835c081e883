package dht

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/multiformats/go-multiaddr"
)

// FindPeer returns addresses of id, proven ones first: from an open connection, the address book, the configuration, or
// a record signed by the peer. Claims of other peers follow. Any of them may be stale: only Connect can tell. If there
// are none, the error is ErrNotFound.
func (d *DHT) FindPeer(ctx context.Context, id peer.ID) (peer.AddrInfo, error) {
	if err := id.Validate(); err != nil {
		return peer.AddrInfo{}, fmt.Errorf("find peer: %w", err)
	}
	if id == d.host.ID() {
		return peer.AddrInfo{ID: id, Addrs: d.host.Addrs()}, nil
	}
	said := d.newClaims()
	var err error
	if !d.connected(id) {
		err = d.search(ctx, id, said)
	}
	if d.connected(id) { // connected during the search, which then finds nothing
		d.awaitIdentify(ctx, id)
		return peer.AddrInfo{ID: id, Addrs: mergeAddrs(dialled(d.host, id), d.known(id).Addrs)}, nil
	}
	if ctx.Err() != nil {
		return peer.AddrInfo{}, fmt.Errorf("find peer %s: %w", id, context.Cause(ctx))
	}
	info := peer.AddrInfo{ID: id, Addrs: mergeAddrs(d.known(id).Addrs, said.best(maxPeerAddrs-maxProven, nil))}
	if len(info.Addrs) > 0 {
		return info, nil
	}
	if err != nil {
		return peer.AddrInfo{}, fmt.Errorf("find peer %s: %w (%s)", id, ErrNotFound, dialError{err})
	}
	return peer.AddrInfo{}, fmt.Errorf("find peer %s: %w", id, ErrNotFound)
}

// awaitIdentify waits until a new connection has identified its peer.
func (d *DHT) awaitIdentify(ctx context.Context, id peer.ID) {
	h, ok := d.host.(interface{ IDService() identify.IDService })
	if !ok {
		return
	}
	for _, c := range d.host.Network().ConnsToPeer(id) {
		select {
		case <-h.IDService().IdentifyWait(c):
		case <-ctx.Done():
		}
	}
}

// Connect returns once there is a connection to id. Concurrent callers for one peer share one attempt. For
// negativeTTL after a failure, callers get the same error again, so that a dead peer costs little. If no peer asked
// knows an address, the error is ErrNotFound.
func (d *DHT) Connect(ctx context.Context, id peer.ID) error {
	if err := id.Validate(); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if id == d.host.ID() || d.connected(id) {
		return nil
	}
	err := d.dials.do(ctx, id, func(ctx context.Context, id peer.ID) error {
		if err := d.reach(ctx, id); err != nil {
			return err
		}
		return awaitDirect(ctx, d, id)
	})
	if err != nil {
		return fmt.Errorf("connect to peer %s: %w", id, err)
	}
	return nil
}

// awaitDirect waits for the hole punch that follows a relayed connection.
func awaitDirect(ctx context.Context, d *DHT, id peer.ID) error {
	if d.host.Network().Connectedness(id) != network.Limited {
		return nil
	}
	ctx, stop := context.WithTimeout(ctx, punchTime)
	defer stop()
	poll := time.NewTicker(tablePoll)
	defer poll.Stop()
	for !d.connected(id) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("only a relayed connection, and no direct one within %v: the routers on both sides let no hole be punched", punchTime)
		case <-poll.C:
		}
	}
	return nil
}

// reach dials the known addresses. If that takes longer than headStart, it also asks the network for newer ones and
// dials them. The first connection wins.
func (d *DHT) reach(ctx context.Context, id peer.ID) error {
	ctx, stop := context.WithCancel(ctx)
	var racers sync.WaitGroup
	defer racers.Wait()
	defer stop()
	outcomes := make(chan error, 2) // room for both, so that the loser can end
	pending := 0
	race := func(dial func() error) {
		pending++
		racers.Go(func() { outcomes <- dial() })
	}
	var headOver <-chan time.Time
	lookUp := func() {
		headOver = nil
		race(func() error { return d.lookUpAndDial(ctx, id) })
	}
	var last error
	if known := d.known(id); len(known.Addrs) > 0 {
		head := time.NewTimer(headStart)
		defer head.Stop()
		headOver = head.C
		race(func() error { return d.dial(ctx, known) })
	} else {
		lookUp()
	}
	for pending > 0 {
		select {
		case <-headOver:
			lookUp()
		case err := <-outcomes:
			pending--
			if err == nil {
				return nil
			}
			last = err
			if headOver != nil {
				lookUp()
			}
		}
	}
	return last
}

// lookUpAndDial asks the network for addresses of id, and dials the best of them while more answers come.
func (d *DHT) lookUpAndDial(ctx context.Context, id peer.ID) error {
	ctx, stop := context.WithCancel(ctx)
	said := d.newClaims()
	searched, dialled := make(chan error, 1), make(chan error, 1)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer stop()
	d.searches.Go(func() { searched <- d.searchToEnd(ctx, id, said) })
	var result error
	var tried []multiaddr.Multiaddr
	running, ended := false, false
	pause := time.NewTimer(claimPause)
	pause.Stop()
	defer pause.Stop()
	for {
		select {
		case <-said.news:
			pause.Reset(claimPause)
			continue
		case <-pause.C:
		case err := <-searched:
			ended, result = true, err
		case err := <-dialled:
			if err == nil || d.connected(id) {
				return nil
			}
			running, result = false, err
		}
		best := said.best(maxDialled, tried)
		switch {
		case d.connected(id):
			return nil
		case !running && len(best) > 0:
			running, tried = true, slices.Concat(tried, best)
			tasks.Go(func() { dialled <- d.dial(ctx, peer.AddrInfo{ID: id, Addrs: best}) })
		case !running && ended && len(tried) == 0:
			return fmt.Errorf("find peer %s: %w (%s)", id, ErrNotFound, dialError{cmp.Or(result, ErrNotFound)})
		case !running && ended:
			return result
		}
	}
}

// dial connects to p. It first clears the swarm's memory of failed dials, which delays the next dial by up to five
// minutes: our callers pace themselves, and a peer that is back on its old address must not have to wait. It also
// removes other addresses of p from the peerstore, because the swarm would dial them too.
func (d *DHT) dial(ctx context.Context, p peer.AddrInfo) error {
	if s, ok := d.host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(p.ID)
	}
	p.Addrs = p.Addrs[:min(len(p.Addrs), maxPeerAddrs)]
	if !d.connected(p.ID) {
		keep := slices.Concat(p.Addrs, d.known(p.ID).Addrs)
		rest := slices.DeleteFunc(d.host.Peerstore().Addrs(p.ID), func(a multiaddr.Multiaddr) bool { return slices.ContainsFunc(keep, a.Equal) })
		d.host.Peerstore().SetAddrs(p.ID, rest, 0)
	}
	if err := d.host.Connect(ctx, p); err != nil {
		return dialError{err}
	}
	return nil
}

// dialError puts an error of the swarm, which lists addresses on many lines, on one line.
type dialError struct{ error }

// Error returns one line of bounded length.
func (e dialError) Error() string {
	s := strings.Join(strings.Fields(e.error.Error()), " ")
	if len(s) > maxErrorBytes {
		s = s[:maxErrorBytes] + "…"
	}
	return s
}

// Unwrap returns the swarm's error.
func (e dialError) Unwrap() error { return e.error }

// known lists addresses of id without asking the network: proven ones, or recent claims of others if there are none.
func (d *DHT) known(id peer.ID) peer.AddrInfo {
	configured := d.bootstrap.addrs(id)
	proven := mergeAddrs(d.book.addrs(id), configured)
	if len(configured) > 0 && len(proven) > maxProven { // half each
		proven = mergeAddrs(proven[:maxProven/2], configured)
	}
	proven = mergeAddrs(proven, d.signed(id))
	if len(proven) == 0 {
		proven = d.host.Peerstore().Addrs(id)
		return peer.AddrInfo{ID: id, Addrs: proven[:min(len(proven), maxDialled)]}
	}
	return peer.AddrInfo{ID: id, Addrs: proven[:min(len(proven), maxProven)]}
}

// mergeAddrs joins two lists without duplicates, the first list first, up to maxPeerAddrs.
func mergeAddrs(a, b []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	var out []multiaddr.Multiaddr
	for _, addr := range slices.Concat(a, b) {
		if len(out) == maxPeerAddrs {
			break
		}
		if !slices.ContainsFunc(out, addr.Equal) {
			out = append(out, addr)
		}
	}
	return out
}
