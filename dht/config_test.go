package dht

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestJoinedExplainsWhatWasTried(t *testing.T) {
	dead := newHost(t, nil)
	addr := fmt.Sprintf("%s/p2p/%s", dead.Addrs()[0], dead.ID())
	dead.Close()
	client := start(t, nil, Config{Bootstrap: []string{addr}})
	eventually(t, "the first dial has ended", func() bool {
		client.bootstrap.mu.Lock()
		defer client.bootstrap.mu.Unlock()
		return len(client.bootstrap.outcomes) == 1
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := client.Joined(ctx)
	if err == nil || !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("error does not explain: %v", err)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error of several lines: %q", err)
	}
	alone := start(t, nil, Config{Server: true})
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := alone.Joined(ctx); err == nil || !strings.Contains(err.Error(), "no bootstrap address") {
		t.Errorf("error does not explain: %v", err)
	}
}

func TestNewRejects(t *testing.T) {
	h := newHost(t, nil)
	id := h.ID().String()
	many := slices.Repeat([]string{"/ip4/127.0.0.1/tcp/1/p2p/" + id}, maxBootstrap+1)
	tests := []struct {
		name, want string
		cfg        Config
	}{
		{"no network", "network name", Config{}},
		{"slash in network", "network name", Config{Network: "a/b"}},
		{"long network", "network name", Config{Network: strings.Repeat("a", 65)}},
		{"no multiaddr", "write it like", Config{Network: "n", Bootstrap: []string{"127.0.0.1:9000"}}},
		{"no peer ID", "ends in /p2p/", Config{Network: "n", Bootstrap: []string{"/ip4/127.0.0.1/tcp/1"}}},
		{"only peer ID", "ends in /p2p/", Config{Network: "n", Bootstrap: []string{"/p2p/" + id}}},
		{"empty", "bootstrap address", Config{Network: "n", Bootstrap: []string{""}}},
		{"too many", "at most", Config{Network: "n", Bootstrap: many}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := New(h, tt.cfg)
			if err == nil {
				d.Close()
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %q does not say %q", err, tt.want)
			}
		})
	}
}

func TestOwnBootstrapAddressIsSkipped(t *testing.T) {
	h := newHost(t, nil)
	own := fmt.Sprintf("%s/p2p/%s", h.Addrs()[0], h.ID())
	d, err := New(h, Config{Network: "n", Bootstrap: []string{own}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if len(d.bootstrap.peers) != 0 {
		t.Fatal("would dial itself")
	}
}

func TestMDNS(t *testing.T) {
	var logs bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&logs, nil))
	name := fmt.Sprintf("mdns%d", time.Now().UnixNano()) // so that no other run on this network answers
	a := start(t, nil, Config{Network: name, Server: true, MDNS: true, Logger: logger})
	b := start(t, nil, Config{Network: name, Server: true, MDNS: true})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := b.Joined(ctx); err != nil {
		a.stop()
		t.Skipf("no multicast here: %v %s", err, &logs)
	}
	if err := b.Connect(within(t, patience), a.host.ID()); err != nil {
		t.Fatal(err)
	}
}

func TestServiceName(t *testing.T) {
	for network, want := range map[string]string{
		"testnet":               "_walrus-testnet._udp",
		"My.Net_1":              "_walrus-my-net-1._udp",
		strings.Repeat("x", 64): "_walrus-" + strings.Repeat("x", 55) + "._udp",
	} {
		if got := serviceName(network); got != want {
			t.Errorf("%s: %s, want %s", network, got, want)
		}
	}
}
