package p2p

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// TestTurns: a burst, then one a second, and a third of the burst for protected peers.
func TestTurns(t *testing.T) {
	turns := turns{limits: DialLimits{PerSecond: 1, Burst: 150}}
	now := time.Unix(1_800_000_000, 0)
	taken := func(protected bool) (n int) {
		for turns.take(now, protected) == 0 {
			n++
		}
		return n
	}
	if n := taken(false); n != 100 {
		t.Errorf("strangers were dialled %d times at once: want 100", n)
	}
	if n := taken(true); n != 50 {
		t.Errorf("members were dialled %d times after that: want 50", n)
	}
	if wait := turns.take(now, true); wait <= 0 || wait > time.Second {
		t.Errorf("the next member waits %v: want up to a second", wait)
	}
	now = now.Add(10 * time.Second)
	if n := taken(true); n != 10 {
		t.Errorf("%d dials in 10 s: want 10", n)
	}
	now = now.Add(time.Hour)
	if n := taken(true); n != 150 {
		t.Errorf("%d dials after an hour: want 150", n)
	}
	if turns.limits = (DialLimits{}); turns.take(now, false) != 0 {
		t.Error("no limit, but a wait")
	}
}

// TestHomeConnections: a home node holds no more connections than its router bears, and waits for its turn to dial.
func TestHomeConnections(t *testing.T) {
	home := newHost(t, func(c *Config) {
		c.Role, c.Limits = Home, HomeLimits()
		c.Limits.Conns.All, c.Limits.Conns.Low, c.Limits.Conns.High = 6, 6, 6
		c.Limits.Dials = DialLimits{PerSecond: 5, Burst: 6}
	})
	others := make([]*Host, 7)
	for i := range others {
		others[i] = newHost(t, func(c *Config) { c.Listen = c.Listen[:1] })
		home.Protect(others[i].ID(), TagCommittee)
	}
	began := time.Now()
	for i := range 6 {
		connect(t, home, others[i])
	}
	last := peer.AddrInfo{ID: others[6].ID(), Addrs: others[6].Addrs()}
	if err := home.Connect(t.Context(), last); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a seventh connection: %v", err)
	}
	if n := len(home.host.Network().Conns()); n != 6 {
		t.Errorf("%d connections: want 6", n)
	}
	_ = home.host.Network().ClosePeer(others[0].ID()) // the other side closes it, too
	for i := range 10 {
		if err := home.Connect(t.Context(), last); err == nil {
			break
		} else if i == 9 {
			t.Error(err)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	for home.host.(*selfHost).turn("nobody") == 0 { // uses up the turns
	}
	if err := home.Connect(short, peer.AddrInfo{ID: others[0].ID(), Addrs: others[0].Addrs()}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a dial out of turn: %v", err)
	}
	if time.Since(began) > time.Minute {
		t.Error("too slow to tell")
	}
}

// TestPrivateDials: in a public network only the private addresses of own networks are dialled.
func TestPrivateDials(t *testing.T) {
	d := newDoor(DefaultLimits(), true)
	d.nets.list = func() []netip.Prefix {
		return []netip.Prefix{netip.MustParsePrefix("192.168.1.2/24"), netip.MustParsePrefix("127.0.0.1/8")}
	}
	for a, want := range map[string]bool{
		"/ip4/192.168.1.7/tcp/1": true, "/ip4/192.168.2.7/tcp/1": false, "/ip4/10.0.0.1/tcp/1": false, "/ip4/127.0.0.1/tcp/1": false,
		"/ip6/::1/tcp/1": false, "/ip6/fd00::1/tcp/1": false, "/ip4/44.1.0.1/tcp/1": true, "/ip6/2a00::1/udp/1/quic-v1": true, "/dns4/example.org/tcp/1": true,
	} {
		if got := d.InterceptAddrDial("", multiaddr.StringCast(a)); got != want {
			t.Errorf("%s: dialled %v, want %v", a, got, want)
		}
	}
	if !newDoor(DefaultLimits(), false).InterceptAddrDial("", multiaddr.StringCast("/ip4/10.0.0.1/tcp/1")) {
		t.Error("a private network is not dialled")
	}
}
