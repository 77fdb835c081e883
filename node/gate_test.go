package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// TestGate: who is admitted as a member, and when. Each event is the name of a member that dialled, with "!" if in
// vain, or a pause; the gate must open with the last one.
func TestGate(t *testing.T) {
	for _, tt := range []struct {
		name    string
		private bool
		others  int
		events  []string
		never   bool
	}{
		{name: "three members", others: 9, events: []string{"a", "b!", "c", "b"}},
		{name: "two members are too few", others: 9, events: []string{"a", "b", "c!", "d!", "e!", "f!", "2m"}, never: true},
		{name: "one of three lies", others: 3, events: []string{"a", "c!", "b"}},
		{name: "one is not three", others: 9, events: []string{"a", "a", "a"}, never: true},
		{name: "a small network", others: 2, events: []string{"a", "b"}},
		{name: "only two answer", others: 9, events: []string{"a", "b", "2m"}},
		{name: "only two answer, and not well", others: 9, events: []string{"a!", "b!", "2m"}, never: true},
		{name: "nobody answers", others: 9, events: []string{"1m", "2m"}},
		{name: "all are refused", others: 9, events: []string{"a!", "b!", "c!", "d!", "2m", "1h"}, never: true},
		{name: "alone", others: 0},
		{name: "a private network", private: true, others: 9},
	} {
		now := time.Unix(1_800_000_000, 0)
		g := &gate{public: !tt.private, began: now, heard: map[peer.ID]bool{}}
		err := g.admit(tt.others, now)
		for i, e := range tt.events {
			if err == nil {
				t.Errorf("%s: open before event %d", tt.name, i)
			}
			if d, bad := time.ParseDuration(e); bad == nil {
				now = now.Add(d)
			} else {
				g.hear(peer.ID(e[:1]), len(e) == 1)
			}
			err = g.admit(tt.others, now)
		}
		if (err != nil) != tt.never {
			t.Errorf("%s: %v at the end", tt.name, err)
		}
		g.hear("z", false)
		if err == nil && g.admit(tt.others+9, now) != nil {
			t.Errorf("%s: an open gate closed", tt.name)
		}
	}
}

// TestPublicAddrs: members are asked to dial public addresses, TCP first, few of them.
func TestPublicAddrs(t *testing.T) {
	told := []multiaddr.Multiaddr{
		multiaddr.StringCast("/ip4/44.1.0.1/udp/1/quic-v1"), multiaddr.StringCast("/ip4/44.1.0.1/tcp/1"), multiaddr.StringCast("/ip4/10.0.0.1/tcp/1"),
		multiaddr.StringCast("/ip4/44.1.0.2/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp/p2p-circuit"),
	}
	if got := publicAddrs(t.Context(), told); fmt.Sprint(got) != fmt.Sprint([]multiaddr.Multiaddr{told[1], told[0]}) {
		t.Errorf("got %v", got)
	}
}
