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

// openHost opens a libp2p host that listens on every address of the list, or says on which it cannot and why.
//
// libp2p is content with one of them, and binds TCP ports so that other processes can bind them too, which hole punching
// needs: the system then gives each a part of the connections. So before it listens we look whether the ports are free
// without that, and a lock keeps processes that start at the same time from looking at the same time.
func openHost(cfg *Config) (host.Host, error) {
	listen, err := multiaddrs(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("p2p config: %w", err)
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
	opts, err := options(cfg)
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

// ports are the numbers of the TCP and UDP ports in addresses, each once and ascending; 0, which the system chooses, is none.
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

// tryListen binds all addresses for a moment, so that nobody else can have them, and they not each other.
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

// bind takes the port of an address for this process alone; nil if the address has none that we know.
func bind(a multiaddr.Multiaddr) (io.Closer, error) {
	network, address, err := manet.DialArgs(a)
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // not of TCP or UDP: libp2p says what it can do with it
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

// listenError says why nobody can listen on a, and what to do. Those of the list before it are bound.
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

// overlaps reports whether one of others takes the port of a, too.
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

// listenOnRest listens on the addresses on which libp2p did not; it says nothing about them by itself.
func listenOnRest(h host.Host, addrs []multiaddr.Multiaddr) error {
	have := h.Network().ListenAddresses()
	for _, a := range addrs {
		i := slices.IndexFunc(have, func(b multiaddr.Multiaddr) bool { return sameButPort(a, b) })
		if i >= 0 {
			have = slices.Delete(have, i, i+1) // each is good for one
			continue
		}
		if err := h.Network().Listen(a); err != nil {
			return listenError(a, nil, flat{err})
		}
	}
	return nil
}

// sameButPort reports whether a host that was told to listen on want may listen on have: port 0 is any.
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
