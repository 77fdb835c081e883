package swarmtest

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// backlog bounds the connections that wait to be accepted; more are refused.
const backlog = 128

// hostTransport connects host i to the network, in place of libp2p's TCP transport.
type hostTransport struct {
	net      *Network
	host     int
	upgrader transport.Upgrader
	limits   network.ResourceManager
}

var _ transport.Transport = (*hostTransport)(nil)

// transport returns the constructor that libp2p calls with the results of the other options.
func (n *Network) transport(i int) any {
	return func(u transport.Upgrader, limits network.ResourceManager) (*hostTransport, error) {
		if limits == nil {
			limits = &network.NullResourceManager{}
		}
		return &hostTransport{net: n, host: i, upgrader: u, limits: limits}, nil
	}
}

// CanDial reports whether a is a TCP address.
func (t *hostTransport) CanDial(a multiaddr.Multiaddr) bool {
	return len(a) == 2 && a[0].Protocol().Code == multiaddr.P_IP4 && a[1].Protocol().Code == multiaddr.P_TCP
}

// Protocols returns TCP.
func (t *hostTransport) Protocols() []int { return []int{multiaddr.P_TCP} }

// Proxy returns false: connections are direct.
func (t *hostTransport) Proxy() bool { return false }

// Dial connects to the host at a, which must prove to be p.
func (t *hostTransport) Dial(ctx context.Context, a multiaddr.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	scope, err := t.limits.OpenConnection(network.DirOutbound, true, a)
	if err != nil {
		return nil, err
	}
	c, err := t.dial(ctx, a, p, scope)
	if err != nil {
		scope.Done()
		return nil, err
	}
	return c, nil
}

func (t *hostTransport) dial(ctx context.Context, a multiaddr.Multiaddr, p peer.ID,
	scope network.ConnManagementScope) (transport.CapableConn, error) {
	if err := scope.SetPeer(p); err != nil {
		return nil, err
	}
	raw, err := t.net.dial(ctx, t.host, a)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", a, err)
	}
	return t.upgrader.Upgrade(ctx, t, raw, network.DirOutbound, p, scope)
}

// Listen accepts connections at a, an address of this host; port 0 means any.
func (t *hostTransport) Listen(a multiaddr.Multiaddr) (transport.Listener, error) {
	l, err := t.net.listen(t.host, a)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", a, err)
	}
	return t.upgrader.UpgradeGatedMaListener(t, t.upgrader.GateMaListener(l)), nil
}

func (n *Network) listen(i int, a multiaddr.Multiaddr) (*listener, error) {
	if owner, err := hostOf(a); err != nil {
		return nil, err
	} else if owner != i {
		return nil, fmt.Errorf("address of host %d on host %d: %w", owner, i, syscall.EADDRNOTAVAIL)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if at, err := a.ValueForProtocol(multiaddr.P_TCP); err != nil {
		return nil, err
	} else if at == "0" {
		a = n.ephemeral(i)
	}
	if n.host(i).dead {
		return nil, syscall.ENETDOWN
	}
	if n.listeners[a.String()] != nil {
		return nil, syscall.EADDRINUSE
	}
	l := &listener{net: n, host: i, addr: a, queue: make(chan manet.Conn, backlog), done: make(chan struct{})}
	n.listeners[a.String()] = l
	return l, nil
}

// ephemeral returns an unused address of host i. The caller holds mu.
func (n *Network) ephemeral(i int) multiaddr.Multiaddr {
	n.lastPort++
	return multiaddr.StringCast(fmt.Sprintf("/ip4/%s/tcp/%d", ip(i), 10000+n.lastPort%50000))
}

// dial waits for a round trip, and while the path is cut. Then it connects or is refused.
func (n *Network) dial(ctx context.Context, from int, a multiaddr.Multiaddr) (*conn, error) {
	to, err := hostOf(a)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	trip := 2 * n.latency(from, to)
	n.mu.Unlock()
	handshake := time.NewTimer(trip)
	defer handshake.Stop()
	select {
	case <-handshake.C:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	for {
		c, changed, err := n.connect(from, to, a)
		if c != nil || err != nil {
			return c, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// connect makes a connection, or returns a channel that is closed when a new attempt makes sense.
func (n *Network) connect(from, to int, a multiaddr.Multiaddr) (*conn, <-chan struct{}, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch l := n.listeners[a.String()]; {
	case n.host(from).dead:
		return nil, nil, syscall.ENETDOWN
	case n.isCut(from, to):
		return nil, n.changed, nil
	case n.host(to).dead, l == nil:
		return nil, nil, syscall.ECONNREFUSED
	default:
		dialler, accepted := n.pair(from, to, a)
		select {
		case l.queue <- accepted:
		default:
			return nil, nil, syscall.ECONNREFUSED
		}
		n.conns[dialler], n.conns[accepted] = accepted, dialler
		return dialler, nil, nil
	}
}

// pair makes both ends of a connection. The caller holds mu.
func (n *Network) pair(from, to int, a multiaddr.Multiaddr) (dialler, accepted *conn) {
	local := n.ephemeral(from)
	f, t := n.host(from), n.host(to)
	there := newPipe(n.latency(from, to), &f.up, &t.down, n.counter(from, to), false)
	back := newPipe(n.latency(to, from), &t.up, &f.down, n.counter(to, from), false)
	dialler = &conn{net: n, local: from, in: back, out: there, localAddr: local, remoteAddr: a}
	accepted = &conn{net: n, local: to, in: there, out: back, localAddr: a, remoteAddr: local}
	return dialler, accepted
}

// listener accepts connections to one address of a host.
type listener struct {
	net   *Network
	host  int
	addr  multiaddr.Multiaddr
	queue chan manet.Conn
	done  chan struct{}
	once  sync.Once
}

var _ manet.Listener = (*listener)(nil)

// Accept returns the next connection, or net.ErrClosed after Close or Kill.
func (l *listener) Accept() (manet.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close refuses later dials and closes connections that wait.
func (l *listener) Close() error {
	l.net.mu.Lock()
	if l.net.listeners[l.addr.String()] == l {
		delete(l.net.listeners, l.addr.String())
	}
	l.net.mu.Unlock() // nothing is queued after this
	l.stop()
	for {
		select {
		case c := <-l.queue:
			_ = c.Close()
		default:
			return nil
		}
	}
}

func (l *listener) stop() { l.once.Do(func() { close(l.done) }) }

// Multiaddr returns the listening address.
func (l *listener) Multiaddr() multiaddr.Multiaddr { return l.addr }

// Addr returns the listening address.
func (l *listener) Addr() net.Addr { return netAddr(l.addr) }
