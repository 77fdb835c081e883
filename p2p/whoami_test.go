package p2p

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"walrus/internal/ipgroup"
	"walrus/p2p/internal/wire"
)

// whoamiServers opens hosts that serve, each a member for the others, all connected.
func whoamiServers(t *testing.T, n int) []*Host {
	t.Helper()
	hosts := make([]*Host, n)
	for i := range hosts {
		hosts[i] = newHost(t, nil)
		if err := hosts[i].Serve(t.Context(), newMemory()); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range hosts {
		for _, b := range hosts {
			a.Protect(b.ID(), TagCommittee)
			if a != b {
				connect(t, a, b)
			}
		}
	}
	return hosts
}

// TestWhoami: a peer learns the address from which it is seen, and whether it can be dialled there.
func TestWhoami(t *testing.T) {
	hosts := whoamiServers(t, 3)
	client := newHost(t, func(c *Config) { c.Role = Home })
	connect(t, client, hosts[0])
	seen, err := client.Outside().Whoami(t.Context(), hosts[0].ID())
	if err != nil {
		t.Fatal(err)
	}
	if seen.String() != client.host.Network().ConnsToPeer(hosts[0].ID())[0].LocalMultiaddr().String() {
		t.Errorf("seen at %s: want the local address of the connection", seen)
	}
	for _, elsewhere := range []bool{false, true} {
		for _, a := range client.Addrs() {
			d, err := client.Outside().DialBack(t.Context(), hosts[0].ID(), a, elsewhere)
			if err != nil || !d.OK || d.Refused {
				t.Fatalf("dial back to %s, elsewhere %v: %+v, %v", a, elsewhere, d, err)
			}
			if (d.By == hosts[0].ID()) == elsewhere {
				t.Errorf("elsewhere %v: %s dialled", elsewhere, d.By)
			}
		}
	}
	wait, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	client.Outside().Watch(wait, func(r Reach) {
		if r.Verdict == Reachable && len(r.Addrs) == 2 && r.DialledBy >= 2 {
			cancel()
		}
	})
	if r := client.Outside().Reach(); r.Verdict != Reachable {
		t.Errorf("verdict: %+v", r)
	}
	closed := multiaddr.StringCast("/ip4/127.0.0.1/tcp/1")
	d, err := client.Outside().DialBack(t.Context(), hosts[0].ID(), closed, false)
	if err != nil || d.OK || d.Refused || !strings.Contains(d.Why, "refused") {
		t.Errorf("dial back to a closed port: %+v, %v", d, err)
	}
}

// TestDialBackAbuse: nobody makes a node dial a third party, or somebody else's peer.
func TestDialBackAbuse(t *testing.T) {
	hosts := whoamiServers(t, 2)
	client := newHost(t, nil)
	connect(t, client, hosts[0])
	for _, a := range []string{"/ip4/127.0.0.2/tcp/4001", "/ip4/192.0.2.1/tcp/4001", "/ip6/::1/tcp/4001"} {
		for _, elsewhere := range []bool{false, true} {
			d, err := client.Outside().DialBack(t.Context(), hosts[0].ID(), multiaddr.StringCast(a), elsewhere)
			if err != nil || !d.Refused || d.OK || d.By != "" {
				t.Errorf("dial back to %s: %+v, %v", a, d, err)
			}
		}
	}
	for _, a := range []string{"/dns4/example.org/tcp/1", "/ip4/127.0.0.1", "/ip4/127.0.0.1/tcp/1/ws", "/ip4/0.0.0.0/tcp/1", "/ip4/127.0.0.1/tcp/0"} {
		if dialable(multiaddr.StringCast(a)) {
			t.Errorf("%s is dialled", a)
		}
	}
	ask := func(from *Host) *Dialled {
		seen, err := from.Outside().ask(t.Context(), hosts[0].ID(), whoamiFor(client.Addrs()[0], client.ID()), whoamiTime)
		if err != nil {
			t.Fatal(err)
		}
		return &Dialled{OK: seen.GetDial() == 1, Refused: seen.GetDial() == 3}
	}
	if d := ask(hosts[1]); !d.OK {
		t.Errorf("a member asks for another peer: %+v", d)
	}
	if d := ask(client); !d.Refused {
		t.Errorf("a stranger asks for another peer: %+v", d)
	}
}

// TestDialBackPrivate: in a public network nobody makes a node dial a private address, though the peer is seen there: it
// may be that of a proxy, with other services on it.
func TestDialBackPrivate(t *testing.T) {
	server := newHost(t, func(c *Config) { c.Public = true })
	if err := server.Serve(t.Context(), newMemory()); err != nil {
		t.Fatal(err)
	}
	client := newHost(t, nil)
	to := peer.AddrInfo{ID: server.ID(), Addrs: server.host.Network().ListenAddresses()} // it tells nobody
	if err := client.host.Connect(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	d, err := client.Outside().DialBack(t.Context(), server.ID(), client.Addrs()[0], false)
	if err != nil || !d.Refused || !strings.Contains(d.Why, "private") {
		t.Errorf("dial back to %s: %+v, %v", client.Addrs()[0], d, err)
	}
}

// TestDialBackNames: a peer that was asked to dial cannot say that another one did.
func TestDialBackNames(t *testing.T) {
	liar, client := newHost(t, nil), newHost(t, nil)
	connect(t, client, liar)
	other := newHost(t, nil).ID()
	liar.host.SetStreamHandler(protocolID(liar.cfg.Network, whoamiProtocol), func(st network.Stream) {
		b, err := wire.AppendHeader(nil, &wire.Seen{
			Observed: st.Conn().RemoteMultiaddr().Bytes(), Dial: wire.DialFailed, Dialler: []byte(other),
		})
		if err == nil {
			_, err = st.Write(b)
		}
		if err != nil {
			t.Error(err)
		}
		_ = st.Close()
	})
	d, err := client.Outside().DialBack(t.Context(), liar.ID(), client.Addrs()[0], false)
	if !errors.Is(err, ErrProtocol) {
		t.Errorf("dial back: %+v, %v", d, err)
	}
}

// TestDialQuota: the dials to one network are few, whoever asks.
func TestDialQuota(t *testing.T) {
	q := dialQuota(false)
	allowed := 0
	for range 200 {
		if q.Allow(ipgroup.IP(multiaddr.StringCast("/ip4/44.1.0.7/tcp/1"))) {
			allowed++
		}
	}
	if allowed < dialBackBurst || allowed > dialBackBurst+2 {
		t.Errorf("%d dials to one network at once: want %d", allowed, dialBackBurst)
	}
	if !q.Allow(ipgroup.IP(multiaddr.StringCast("/ip4/44.1.1.7/tcp/1"))) {
		t.Error("another network has no dial left")
	}
}
