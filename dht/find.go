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

// FindPeer returns today's addresses of id: those of an open connection, else what the network says, joined with what
// we remember. Remembered addresses may be stale; Connect sorts that out. ErrNotFound when there are none.
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
	if d.connected(id) { // maybe only since the search, which then ends with nothing
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

// awaitIdentify lets a new connection get as far as knowing what the peer says of itself.
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

// Connect returns once there is a connection to id. Concurrent callers for one peer share one attempt, and for a moment
// after a failure callers get the same error again, so that a dead peer costs little. ErrNotFound when no address is
// known to anybody.
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

// reach dials the addresses we know and, if that is not quick, asks the network for newer ones and dials those too.
// The first connection wins.
func (d *DHT) reach(ctx context.Context, id peer.ID) error {
	ctx, stop := context.WithCancel(ctx)
	var racers sync.WaitGroup
	defer racers.Wait()
	defer stop()
	outcomes := make(chan error, 2) // room for both, so that the loser can leave
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

// dial connects to p. The swarm's memory of failed dials, which grows to five minutes, is cleared first: our callers
// pace themselves, and a peer that is back on its old address must not have to wait.
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

// dialError is an error of the swarm, which lists addresses on lines of their own, fit for a sentence.
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

// known lists addresses of id without asking anybody.
func (d *DHT) known(id peer.ID) peer.AddrInfo {
	addrs := mergeAddrs(d.host.Peerstore().Addrs(id), d.book.addrs(id))
	for _, p := range d.bootstrap {
		if p.ID == id {
			addrs = mergeAddrs(addrs, p.Addrs)
		}
	}
	return peer.AddrInfo{ID: id, Addrs: addrs}
}

// mergeAddrs joins two lists without repetitions, the first list first, up to maxPeerAddrs.
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
