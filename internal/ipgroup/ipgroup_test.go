package ipgroup

import (
	"net/netip"
	"testing"

	"github.com/multiformats/go-multiaddr"
)

func TestOf(t *testing.T) {
	for _, tt := range []struct {
		ip, network, block string
		reach              Reach
	}{
		{"127.0.0.1", "127.0.0.0/24", "127.0.0.0/24", Machine},
		{"0.0.0.0", "0.0.0.0/24", "0.0.0.0/24", Machine},
		{"::1", "::/48", "::/32", Machine},
		{"::ffff:127.1.2.3", "127.1.2.0/24", "127.1.2.0/24", Machine},
		{"10.1.2.3", "10.1.2.0/24", "10.1.2.0/24", Site},
		{"172.31.255.1", "172.31.255.0/24", "172.31.255.0/24", Site},
		{"172.32.0.1", "172.32.0.0/24", "172.32.0.0/24", Internet},
		{"100.64.0.1", "100.64.0.0/24", "100.64.0.0/24", Site},
		{"fe80::1%eth0", "fe80::/48", "fe80::/32", Site},
		{"fd00:1:2:3::4", "fd00:1:2::/48", "fd00:1::/32", Site},
		{"8.8.8.8", "8.8.8.0/24", "8.8.8.0/24", Internet},
		{"2001:db8:aaaa:bbbb::1", "2001:db8:aaaa::/48", "2001:db8::/32", Internet},
	} {
		ip := netip.MustParseAddr(tt.ip)
		reach, network := Of(ip)
		if reach != tt.reach || network.String() != tt.network || Block(ip).String() != tt.block {
			t.Errorf("%s: got %v, %v, %v; want %+v", tt.ip, reach, network, Block(ip), tt)
		}
	}
	if reach, network := Of(netip.Addr{}); reach != Internet || network.IsValid() {
		t.Errorf("no address: %v, %v", reach, network)
	}
}

func TestReachOf(t *testing.T) {
	for a, want := range map[string]Reach{
		"/ip4/127.0.0.1/tcp/1": Machine, "/ip6/::1/udp/1/quic-v1": Machine, "/ip4/192.168.1.1/tcp/1": Site,
		"/ip4/1.2.3.4/tcp/1": Internet, "/dns4/localhost/tcp/1": Internet,
	} {
		if got := ReachOf(multiaddr.StringCast(a)); got != want {
			t.Errorf("%s reaches %v, want %v", a, got, want)
		}
	}
	if got := ReachOf(nil); got != Internet {
		t.Errorf("nil reaches %v", got)
	}
}
