package p2p

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"walrus/internal/ipgroup"
)

// TestChooseRelays: no two relays share a network with each other, or with one in use.
func TestChooseRelays(t *testing.T) {
	node := func(id string, addrs ...string) peer.AddrInfo {
		info := peer.AddrInfo{ID: peer.ID(id)}
		for _, a := range addrs {
			info.Addrs = append(info.Addrs, multiaddr.StringCast(a))
		}
		return info
	}
	nodes := []peer.AddrInfo{
		node("a", "/ip4/44.1.0.1/tcp/1", "/ip4/44.9.0.1/tcp/1"), node("b", "/ip4/44.1.0.2/tcp/1"), node("c", "/ip4/44.2.0.1/tcp/1"),
		node("d", "/dns4/example.org/tcp/1"), node("e"), node("f", "/ip4/44.3.0.1/tcp/1"),
		node("g", "/ip4/44.4.0.1/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp/p2p-circuit"),
	}
	as := func(int, func(i, j int)) {} // in the order given
	used := []netip.Prefix{ipgroup.Block(netip.MustParseAddr("44.2.0.77"))}
	got := chooseRelays(nodes, used, 6, as)
	if len(got) != 2 || got[0].ID != "a" || len(got[0].Addrs) != 1 || got[1].ID != "f" {
		t.Errorf("got %v", got)
	}
	if got := chooseRelays(nodes, nil, 1, as); len(got) != 1 {
		t.Errorf("asked for one, got %v", got)
	}
}

// TestRelayGuests: the reservations of one network are bounded, a renewal counts once, and the ones that have left or
// ended make room.
func TestRelayGuests(t *testing.T) {
	g := newRelayGuests()
	now := time.Unix(1_800_000_000, 0)
	at := func(net, i int) multiaddr.Multiaddr {
		return multiaddr.StringCast(fmt.Sprintf("/ip4/44.1.%d.%d/tcp/1", net, i))
	}
	id := func(i int) peer.ID { return peer.ID(fmt.Sprint(i)) }
	for i := range relaysPerNet {
		if !g.admit(id(i), at(1, i), now) || !g.admit(id(i), at(1, i), now) {
			t.Fatalf("reservation %d was refused", i)
		}
	}
	if g.admit("one more", at(1, 200), now) {
		t.Error("one network may reserve without limit")
	}
	if !g.admit("elsewhere", at(2, 1), now) {
		t.Error("another network was refused")
	}
	g.left(id(0))
	if !g.admit("one more", at(1, 200), now) {
		t.Error("a peer that has left takes up room")
	}
	if g.admit("two more", at(1, 201), now) || !g.admit("two more", at(1, 201), now.Add(relayTTL)) {
		t.Error("want room only when the others have ended")
	}
}

// TestPunchAddrs: the TCP sibling of an address over UDP is sent, TCP first; private addresses are not dialled.
func TestPunchAddrs(t *testing.T) {
	addrs := []multiaddr.Multiaddr{
		multiaddr.StringCast("/ip4/44.1.0.1/udp/7/quic-v1"), multiaddr.StringCast("/ip6/2a00::1/udp/7/quic-v1"), multiaddr.StringCast("/ip6/2a00::1/tcp/7"),
	}
	var got []string
	for _, a := range (punchAddrs{tcp: true}).FilterLocal("", addrs) {
		got = append(got, a.String())
	}
	want := []string{"/ip6/2a00::1/tcp/7", "/ip4/44.1.0.1/tcp/7", "/ip4/44.1.0.1/udp/7/quic-v1", "/ip6/2a00::1/udp/7/quic-v1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := (punchAddrs{}).FilterLocal("", addrs); len(got) != 3 {
		t.Errorf("without TCP: %v", got)
	}
	hostile := []multiaddr.Multiaddr{
		multiaddr.StringCast("/ip4/192.168.1.1/tcp/80"), multiaddr.StringCast("/ip4/127.0.0.1/tcp/22"), multiaddr.StringCast("/dns4/printer/tcp/9100"),
		multiaddr.StringCast("/ip4/44.1.0.1/tcp/7"),
	}
	if got := (punchAddrs{}).FilterRemote("", hostile); len(got) != 1 || !got[0].Equal(hostile[3]) {
		t.Errorf("dialled for a peer: %v", got)
	}
}

// TestOnePort: TCP and QUIC listen on one port, chosen once.
func TestOnePort(t *testing.T) {
	h := newHost(t, nil)
	var found []int
	for _, a := range h.host.Network().ListenAddresses() {
		found = append(found, ports([]multiaddr.Multiaddr{a})...)
	}
	if len(found) != 2 || found[0] != found[1] {
		t.Errorf("ports %v: want the same twice", found)
	}
}

// TestTold: what others are told.
func TestTold(t *testing.T) {
	list := func(s ...string) (out []multiaddr.Multiaddr) {
		for _, a := range s {
			out = append(out, multiaddr.StringCast(a))
		}
		return out
	}
	found := list("/ip4/192.168.1.2/tcp/1", "/ip4/44.1.0.1/tcp/1", "/ip6/2a00::1/tcp/1", "/ip4/127.0.0.1/tcp/1")
	announce := list("/dns/node.example.org/tcp/1", "/dns6/node.example.org/tcp/1", "/ip4/44.1.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1")
	for _, tt := range []struct {
		only, public bool
		want         int
	}{{false, false, 7}, {false, true, 5}, {true, false, 4}, {true, true, 4}} {
		if got := told(found, announce, tt.only, tt.public); len(got) != tt.want {
			t.Errorf("only %v, public %v: %v, want %d", tt.only, tt.public, got, tt.want)
		}
	}
}
