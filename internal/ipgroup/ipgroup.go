// Package ipgroup tells from where an IP address can be reached, and groups public addresses that probably have one
// owner. A limit per address alone does not bind an owner of many addresses. Start with Of.
package ipgroup

import (
	"net/netip"

	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Reach tells from where an address can be dialled. A greater reach includes the smaller ones.
type Reach int

const (
	// Machine means from the machine itself.
	Machine Reach = iota
	// Site means from within a private network.
	Site
	// Internet means from everywhere. Names count as such.
	Internet
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

var (
	machine = prefixes("127.0.0.0/8", "0.0.0.0/8", "::1/128", "::/128")
	site    = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16",
		"fc00::/7", "fe80::/10")
)

// Private lists the prefixes whose addresses do not reach the Internet. Packets from outside cannot have them.
func Private() []netip.Prefix { return append(append([]netip.Prefix(nil), machine...), site...) }

// Of returns how far ip reaches, and the network that limits count it for: a /24 of IPv4 or a /48 of IPv6.
func Of(ip netip.Addr) (Reach, netip.Prefix) {
	ip = ip.Unmap().WithZone("")
	bits := 48
	if ip.Is4() {
		bits = 24
	}
	network, _ := ip.Prefix(bits) // of a valid address it has no error; of the zero one, it is zero
	switch {
	case within(machine, ip):
		return Machine, network
	case within(site, ip):
		return Site, network
	}
	return Internet, network
}

// Block returns the network that one owner can rent at little cost: a /24 of IPv4 or a /32 of IPv6.
func Block(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	bits := 32
	if ip.Is4() {
		bits = 24
	}
	block, _ := ip.Prefix(bits) // as in Of
	return block
}

func within(list []netip.Prefix, ip netip.Addr) bool {
	for _, p := range list {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// IP returns the IP address with which a begins; of a relayed address, the relay's. The zero Addr if it has none.
func IP(a multiaddr.Multiaddr) netip.Addr {
	if a == nil {
		return netip.Addr{}
	}
	ip, err := manet.ToIP(a)
	if err != nil {
		return netip.Addr{}
	}
	addr, _ := netip.AddrFromSlice(ip) // ToIP returns 4 or 16 bytes
	return addr.Unmap()
}

// ReachOf returns how far a multiaddr reaches.
func ReachOf(a multiaddr.Multiaddr) Reach {
	ip := IP(a)
	if !ip.IsValid() {
		return Internet
	}
	reach, _ := Of(ip)
	return reach
}
