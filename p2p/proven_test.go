package p2p

import (
	"net/netip"
	"testing"

	"github.com/multiformats/go-multiaddr"
)

// A peer at home tells addresses of its own, relays and those that others have dialled. Where observers have seen it,
// it tells only once somebody got in there.
func TestProvenAddrs(t *testing.T) {
	p := &provenAddrs{own: func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("44.1.0.1")} }}
	const seen = "/ip4/44.2.0.1/tcp/4001"
	told := func(addr string) bool { return p.tell(multiaddr.StringCast(addr)) }
	for _, addr := range []string{
		"/ip4/44.1.0.1/tcp/4001", "/ip4/192.168.1.2/tcp/4001",
		"/ip4/44.3.0.1/tcp/4001/p2p/12D3KooWGZZwuT8ZmRdP1Vsj47BwrXYoqWybQp6BMDJ1yK2HoE7y/p2p-circuit",
	} {
		if !told(addr) {
			t.Errorf("%s is not told", addr)
		}
	}
	if told(seen) {
		t.Errorf("%s is told although nobody has dialled it", seen)
	}
	for verdict, want := range map[ReachVerdict]bool{Punchable: false, Mapped: true, Blocked: false} {
		p.set(Reach{Addrs: []AddrReach{{Addr: multiaddr.StringCast(seen), Verdict: verdict}}})
		if told(seen) != want {
			t.Errorf("%s, which is %s: told %v, want %v", seen, verdict, !want, want)
		}
	}
}
