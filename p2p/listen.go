package p2p

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"syscall"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// openHost opens a libp2p host that listens on every address of cfg.Listen, or reports the first address where it
// cannot.
//
// libp2p alone is not strict enough. It succeeds if it can listen on one address of several. And since hole punching
// needs it, libp2p lets other processes bind its TCP ports too; the system then splits the connections among them. So
// openHost first binds all ports exclusively for a moment. A lock serializes this check among processes that start at
// once.
func openHost(cfg *Config, d *door, relays *relaySource, guests *relayGuests, proven *provenAddrs) (host.Host, error) {
	listen, err := multiaddrs(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("p2p config: %w", err)
	}
	if listen, err = onePort(listen); err != nil {
		return nil, err
	}
	if !cfg.TestTransport {
		unlock, err := lockPorts(ports(listen))
		if err != nil {
			return nil, err
		}
		defer unlock()
		if err := tryListen(listen); err != nil {
			return nil, err
		}
	}
	opts, err := options(cfg, listen, d, relays, guests, proven)
	if err != nil {
		return nil, fmt.Errorf("p2p config: %w", err)
	}
	h, err := libp2p.New(opts...)
	if err != nil {
		return nil, fmt.Errorf("open libp2p host: %w", flat{err})
	}
	if err := listenOnRest(h, listen); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// maxPortTries bounds the search for a port that is free for all addresses.
const maxPortTries = 32

// onePort chooses one free port for all addresses if each has port 0: a router then has one port to open, and a peer
// that knows the one for UDP knows the one for TCP.
func onePort(addrs []multiaddr.Multiaddr) ([]multiaddr.Multiaddr, error) {
	if len(addrs) < 2 || slices.ContainsFunc(addrs, func(a multiaddr.Multiaddr) bool {
		_, _, port := hostPort(a)
		return port != "0"
	}) {
		return addrs, nil
	}
	var err error
	for range maxPortTries {
		var port int
		if port, err = anyPort(addrs[0]); err != nil {
			return nil, listenError(addrs[0], nil, err)
		}
		chosen := make([]multiaddr.Multiaddr, len(addrs))
		for i, a := range addrs {
			chosen[i] = withPort(a, port)
		}
		if err = tryListen(chosen); err == nil {
			return chosen, nil
		}
	}
	return nil, err
}

// anyPort returns a port that is free at an address.
func anyPort(a multiaddr.Multiaddr) (int, error) {
	c, err := bind(a)
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }() // nothing was sent
	switch l := c.(type) {
	case *net.TCPListener:
		return l.Addr().(*net.TCPAddr).Port, nil
	case *net.UDPConn:
		return l.LocalAddr().(*net.UDPAddr).Port, nil
	}
	return 0, fmt.Errorf("%s has no port", a)
}

// withPort returns an address with another port.
func withPort(a multiaddr.Multiaddr, port int) (out multiaddr.Multiaddr) {
	for _, part := range a {
		if code := part.Protocol().Code; code == multiaddr.P_TCP || code == multiaddr.P_UDP {
			c, err := multiaddr.NewComponent(part.Protocol().Name, strconv.Itoa(port))
			if err == nil {
				part = *c
			}
		}
		out = append(out, part)
	}
	return out
}

// ports returns the TCP and UDP port numbers in addresses, each once and ascending. It omits 0: the system chooses a
// port.
func ports(addrs []multiaddr.Multiaddr) []int {
	var list []int
	for _, a := range addrs {
		for _, code := range []int{multiaddr.P_TCP, multiaddr.P_UDP} {
			if text, err := a.ValueForProtocol(code); err == nil {
				if port, err := strconv.Atoi(text); err == nil && port != 0 {
					list = append(list, port)
				}
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// tryListen binds all addresses at once for a moment: this fails if another process has a port, or two addresses share
// one.
func tryListen(addrs []multiaddr.Multiaddr) error {
	var held []io.Closer
	defer func() {
		for _, c := range held {
			_ = c.Close() // nothing was sent
		}
	}()
	for i, a := range addrs {
		c, err := bind(a)
		if err != nil {
			return listenError(a, addrs[:i], err)
		}
		if c != nil {
			held = append(held, c)
		}
	}
	return nil
}

// bind takes the port of an address exclusively. It returns nil for an address of an unknown kind.
func bind(a multiaddr.Multiaddr) (io.Closer, error) {
	network, address, err := manet.DialArgs(a)
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // neither TCP nor UDP: left to libp2p
	}
	switch network {
	case "tcp4", "tcp6":
		at, err := net.ResolveTCPAddr(network, address)
		if err != nil {
			return nil, err
		}
		return net.ListenTCP(network, at)
	case "udp4", "udp6":
		at, err := net.ResolveUDPAddr(network, address)
		if err != nil {
			return nil, err
		}
		return net.ListenUDP(network, at)
	}
	return nil, nil //nolint:nilnil // as above
}

// listenError explains err, from listening on a, and advises what to do. The addresses before a in the list are bound.
func listenError(a multiaddr.Multiaddr, before []multiaddr.Multiaddr, err error) error {
	advice := "%w"
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && overlaps(a, before):
		advice = "an address before it in the list has the same port: remove one of them (%w)"
	case errors.Is(err, syscall.EADDRINUSE):
		advice = "another process listens there, perhaps a second one of this node: end it, or choose another port (%w)"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		advice = "it is not an address of this machine: choose one that is, or 0.0.0.0 for all, and tell others the outer one with announce (%w)"
	case errors.Is(err, syscall.EACCES):
		advice = "the system does not allow it: choose a port above 1023, or run with CAP_NET_BIND_SERVICE (%w)"
	}
	return fmt.Errorf("listen on %s: "+advice, a, err)
}

// overlaps reports whether one of others has the same port as a.
func overlaps(a multiaddr.Multiaddr, others []multiaddr.Multiaddr) bool {
	network, host, port := hostPort(a)
	return slices.ContainsFunc(others, func(o multiaddr.Multiaddr) bool {
		n, h, p := hostPort(o)
		return n == network && p == port && (h.Equal(host) || h.IsUnspecified() || host.IsUnspecified())
	})
}

func hostPort(a multiaddr.Multiaddr) (network string, host net.IP, port string) {
	network, address, err := manet.DialArgs(a)
	if err != nil {
		return "", nil, ""
	}
	name, port, _ := net.SplitHostPort(address) // DialArgs has joined them
	return network, net.ParseIP(name), port
}

// listenOnRest listens on the addresses where libp2p has failed to, which libp2p does not report.
func listenOnRest(h host.Host, addrs []multiaddr.Multiaddr) error {
	have := h.Network().ListenAddresses()
	for _, a := range addrs {
		i := slices.IndexFunc(have, func(b multiaddr.Multiaddr) bool { return sameButPort(a, b) })
		if i >= 0 {
			have = slices.Delete(have, i, i+1) // each matches one address
			continue
		}
		if err := h.Network().Listen(a); err != nil {
			return listenError(a, nil, flat{err})
		}
	}
	return nil
}

// sameButPort reports whether a listener on have satisfies want. Port 0 in want matches any port.
func sameButPort(want, have multiaddr.Multiaddr) bool {
	if len(want) != len(have) {
		return false
	}
	for i := range want {
		w, h := &want[i], &have[i]
		anyPort := (w.Protocol().Code == multiaddr.P_TCP || w.Protocol().Code == multiaddr.P_UDP) && w.Value() == "0"
		if w.Protocol().Code != h.Protocol().Code || !anyPort && w.Value() != h.Value() {
			return false
		}
	}
	return true
}
