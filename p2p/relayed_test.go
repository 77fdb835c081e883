package p2p

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/multiformats/go-multiaddr"
)

// TestRelayed: small requests go through a relay; slivers wait for a direct connection, and never go through.
func TestRelayed(t *testing.T) {
	enable := func(c *Config) { c.Libp2p = []libp2p.Option{libp2p.EnableRelay()} }
	relay := newHost(t, func(c *Config) { c.Libp2p = []libp2p.Option{libp2p.EnableRelay(), libp2p.EnableRelayService()} })
	home := newHost(t, enable)
	if err := home.Serve(t.Context(), newMemory()); err != nil {
		t.Fatal(err)
	}
	reader := newHost(t, func(c *Config) { enable(c); c.Limits.OpenTimeout = 2 * time.Second })
	connect(t, home, relay)
	reserve(t, home, relay)
	through := multiaddr.Join(relay.FullAddrs()[0], multiaddr.StringCast("/p2p-circuit"))
	if err := reader.Connect(t.Context(), peer.AddrInfo{ID: home.ID(), Addrs: []multiaddr.Multiaddr{through}}); err != nil {
		t.Fatal(err)
	}
	if c := reader.host.Network().Connectedness(home.ID()); c != network.Limited {
		t.Fatalf("connection is %v: want a relayed one", c)
	}
	if st, err := reader.NodeStatus(t.Context(), home.ID()); err != nil || st.Version != testNodeStatus.Version {
		t.Errorf("status through a relay: %+v, %v", st, err)
	}
	if _, _, err := reader.Certificates(t.Context(), home.ID(), testID, MaxCertificates); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "direct connection") {
		t.Errorf("a long answer through a relay: %v", err)
	}
	_, err := reader.Metadata(t.Context(), home.ID(), testID, 100)
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "relayed") {
		t.Errorf("metadata through a relay: %v", err)
	}
	forced := network.WithAllowLimitedConn(t.Context(), "test")
	for _, name := range []string{sliverProtocol, whoamiProtocol} {
		st, err := reader.host.NewStream(forced, home.ID(), protocolID("test", name))
		if err == nil {
			_, err = st.Write([]byte{0})
		}
		if err == nil {
			_, err = io.ReadAll(st)
		}
		if err == nil {
			t.Errorf("%s is served through a relay", name)
		}
	}
	later := make(chan error, 1)
	time.AfterFunc(100*time.Millisecond, func() { // the hole punch succeeds while a request waits
		direct := network.WithForceDirectDial(context.WithoutCancel(t.Context()), "test")
		later <- reader.host.Connect(direct, peer.AddrInfo{ID: home.ID(), Addrs: home.Addrs()})
	})
	if got, err := reader.Confirm(t.Context(), home.ID(), testID, testPersistence); err != nil || len(got) == 0 {
		t.Errorf("a request that waits for the hole punch: %v", err)
	}
	if err := <-later; err != nil {
		t.Error(err)
	}
}

// reserve reserves a place for a host at a relay, which opens its service a little after it starts.
func reserve(t *testing.T, guest, relay *Host) {
	t.Helper()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for end := time.Now().Add(10 * time.Second); ; <-poll.C {
		_, err := client.Reserve(t.Context(), guest.host, peer.AddrInfo{ID: relay.ID(), Addrs: relay.Addrs()})
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}
