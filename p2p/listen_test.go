package p2p

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/multiformats/go-multiaddr"
)

// freePort returns a port of 127.0.0.1 that was free for TCP and UDP a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		tcp, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := tcp.Addr().(*net.TCPAddr).Port
		udp, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			err = udp.Close()
		}
		if err := errors.Join(err, tcp.Close()); err == nil {
			return port
		}
	}
	t.Fatal("no port is free for both TCP and UDP")
	return 0
}

// TestListenAllOrNothing wants a host to listen on all its addresses exclusively, or to name the one that fails and
// leave every port free.
func TestListenAllOrNothing(t *testing.T) {
	taken := freePort(t)
	tcp, quic := fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", taken), fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", taken)
	holder := newHost(t, func(c *Config) { c.Listen = []string{tcp, quic} })
	free := freePort(t)
	good := fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", free)
	for name, tt := range map[string]struct {
		listen []string
		want   error
		say    string
	}{
		"TCP port of another host":     {[]string{good, tcp}, syscall.EADDRINUSE, tcp + ": another process listens there"},
		"UDP port of another host":     {[]string{good, quic}, syscall.EADDRINUSE, quic + ": another process listens there"},
		"all interfaces, one taken":    {[]string{fmt.Sprintf("/ip4/0.0.0.0/tcp/%d", taken)}, syscall.EADDRINUSE, "another process listens there"},
		"address of another machine":   {[]string{good, "/ip4/203.0.113.7/tcp/0"}, syscall.EADDRNOTAVAIL, "/ip4/203.0.113.7/tcp/0: it is not an address of this machine"},
		"QUIC of another machine":      {[]string{"/ip4/203.0.113.7/udp/0/quic-v1", good}, syscall.EADDRNOTAVAIL, "not an address of this machine"},
		"one address twice":            {[]string{good, good}, syscall.EADDRINUSE, "an address before it in the list has the same port"},
		"all interfaces and one":       {[]string{good, fmt.Sprintf("/ip4/0.0.0.0/tcp/%d", free)}, syscall.EADDRINUSE, "an address before it"},
		"transport that we do not run": {[]string{good, "/ip4/127.0.0.1/udp/0/webrtc-direct"}, nil, "/ip4/127.0.0.1/udp/0/webrtc-direct"},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := New(Config{Network: "test", Key: newKey(t), Listen: tt.listen, Logger: quiet})
			if err == nil {
				t.Fatalf("listens on %v", errors.Join(h.Close()))
			}
			if tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.say) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q", err, tt.say)
			}
			if got := newHost(t, func(c *Config) { c.Listen = []string{good} }); got.Close() != nil {
				t.Error("the good address stays taken")
			}
		})
	}
	if err := holder.Close(); err != nil {
		t.Fatal(err)
	}
	back := newHost(t, func(c *Config) { c.Listen = []string{tcp, quic, "/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0"} })
	if got := back.Addrs(); len(got) != 4 {
		t.Errorf("listens on %v", got)
	}
}

// TestListenAtOnce opens hosts on the same TCP port in the same moment: exactly one gets it.
func TestListenAtOnce(t *testing.T) {
	addr := fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", freePort(t))
	const many = 8
	var mu sync.Mutex
	var opened []*Host
	var g sync.WaitGroup
	for range many {
		g.Go(func() {
			h, err := New(Config{Network: "test", Key: newKey(t), Listen: []string{addr}, Logger: quiet})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				opened = append(opened, h)
			} else if !errors.Is(err, syscall.EADDRINUSE) {
				t.Error(err)
			}
		})
	}
	g.Wait()
	if len(opened) != 1 {
		t.Errorf("%d hosts listen on %s", len(opened), addr)
	}
	for _, h := range opened {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestSameButPort matches configured addresses with the addresses of listeners.
func TestSameButPort(t *testing.T) {
	for _, tt := range []struct {
		want, have string
		same       bool
	}{
		{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/4001", true},
		{"/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/tcp/4001", true},
		{"/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/tcp/4002", false},
		{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.2/tcp/4001", false},
		{"/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/udp/4001/quic-v1", true},
		{"/ip4/127.0.0.1/udp/0", "/ip4/127.0.0.1/udp/4001/quic-v1", false},
		{"/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/4001", false},
	} {
		if got := sameButPort(multiaddr.StringCast(tt.want), multiaddr.StringCast(tt.have)); got != tt.same {
			t.Errorf("%s and %s: %v", tt.want, tt.have, got)
		}
	}
}
