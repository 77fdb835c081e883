package dht

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/multiformats/go-multiaddr"
)

// FindPeer returns addresses of id: the address of an open connection, or those found in the network, joined with
// those remembered. Remembered addresses may be stale; Connect finds out. ErrNotFound if there are none.
func (d *DHT) FindPeer(ctx context.Context, id peer.ID) (peer.AddrInfo, error) {
	if err := id.Validate(); err != nil {
		return peer.AddrInfo{}, fmt.Errorf("find peer: %w", err)
	}
	if id == d.host.ID() {
		return d.self(), nil
	}
	var found peer.AddrInfo
	var err error
	if !d.connected(id) {
		found, err = d.kad.FindPeer(ctx, id)
	}
	if d.connected(id) { // connected during the search, which then finds nothing
		d.awaitIdentify(ctx, id)
		found.Addrs = d.provenAddrs(id)
	}
	if ctx.Err() != nil {
		return peer.AddrInfo{}, fmt.Errorf("find peer %s: %w", id, context.Cause(ctx))
	}
	info := peer.AddrInfo{ID: id, Addrs: mergeAddrs(found.Addrs, d.known(id).Addrs)}
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
// negativeTTL after a failure, callers get the same error again, so that a dead peer costs little. ErrNotFound if no
// peer asked knows an address.
func (d *DHT) Connect(ctx context.Context, id peer.ID) error {
	if err := id.Validate(); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if id == d.host.ID() || d.connected(id) {
		return nil
	}
	err := d.dials.do(ctx, id, d.reach)
	if err != nil {
		return fmt.Errorf("connect to peer %s: %w", id, err)
	}
	return nil
}

// reach dials the known addresses and, if that takes longer than headStart, asks the network for newer ones and dials
// those too. The first connection wins.
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

// lookUpAndDial asks the network for addresses of id and dials them.
func (d *DHT) lookUpAndDial(ctx context.Context, id peer.ID) error {
	info, err := d.FindPeer(ctx, id)
	if err != nil {
		return err
	}
	return d.dial(ctx, info)
}

// dial connects to p. It first clears the swarm's memory of failed dials, whose pauses grow to five minutes. Our
// callers pace themselves, and a peer that is back on its old address must not have to wait.
func (d *DHT) dial(ctx context.Context, p peer.AddrInfo) error {
	if s, ok := d.host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(p.ID)
	}
	p.Addrs = p.Addrs[:min(len(p.Addrs), maxPeerAddrs)]
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

// known lists addresses of id without asking the network.
func (d *DHT) known(id peer.ID) peer.AddrInfo {
	addrs := mergeAddrs(d.host.Peerstore().Addrs(id), d.book.addrs(id))
	for _, p := range d.bootstrap {
		if p.ID == id {
			addrs = mergeAddrs(addrs, p.Addrs)
		}
	}
	return peer.AddrInfo{ID: id, Addrs: addrs}
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
