package p2p

import (
	"strings"

	"github.com/multiformats/go-multiaddr"

	"walrus/internal/ipgroup"
)

// IsPublic reports whether one of the multiaddrs is on the Internet: a public IP address, or a name that may lead to
// one. It ignores malformed ones.
func IsPublic(addrs ...string) bool {
	for _, s := range addrs {
		if a, err := multiaddr.NewMultiaddr(s); err == nil && isPublic(a) {
			return true
		}
	}
	return false
}

// localNames end the names that are only known in one network.
var localNames = []string{".local", ".localhost", ".internal", ".lan", ".home.arpa"}

func isPublic(a multiaddr.Multiaddr) bool {
	if ip := ipgroup.IP(a); ip.IsValid() {
		return !ip.IsUnspecified() && reachOf(ip) == ipgroup.Internet
	}
	if len(a) == 0 {
		return false
	}
	name := strings.TrimSuffix(strings.ToLower(a[0].Value()), ".")
	for _, suffix := range localNames {
		if strings.HasSuffix(name, suffix) {
			return false
		}
	}
	return strings.Contains(name, ".") // a name without one is of this network
}

// IsLoopback reports whether an address is of this machine alone.
func IsLoopback(a multiaddr.Multiaddr) bool { return ipgroup.ReachOf(a) == ipgroup.Machine }

// Announceable reports whether others can dial an address: an IP address or a name, with a TCP port, or a UDP port and
// QUIC.
func Announceable(a multiaddr.Multiaddr) bool {
	if len(a) < 2 {
		return false
	}
	switch a[0].Protocol().Code {
	case multiaddr.P_DNS, multiaddr.P_DNS4, multiaddr.P_DNS6:
		return a[0].Value() != "" && hasPort(a[1:])
	}
	return dialable(a)
}

// AnyPort lists the multiaddrs of all interfaces with one port that is free, for Config.Listen. IPv6 is among them if
// an interface has an address of the Internet.
func AnyPort() []string {
	list := []string{"/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"}
	for _, ip := range interfaceAddrs() {
		if ip.Is6() && reachOf(ip) == ipgroup.Internet {
			return append(list, "/ip6/::/tcp/0", "/ip6/::/udp/0/quic-v1")
		}
	}
	return list
}
