package p2p

import (
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// TestRepunches: again after 30 s and 5 minutes and when an address changes, never twice within 30 s, and not for ever.
func TestRepunches(t *testing.T) {
	began := time.Unix(1_800_000_000, 0)
	at := func(s int) time.Time { return began.Add(time.Duration(s) * time.Second) }
	through := multiaddr.StringCast("/ip4/44.1.0.1/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp/p2p-circuit")
	p := repunches{peers: map[peer.ID]*punchState{}}
	p.relayed("a", through, at(0))
	var tries []int
	for s := range 700 {
		if due := p.due(at(s), false); len(due) > 0 {
			tries = append(tries, s)
			p.relayed(due[0].ID, due[0].Addrs[0], at(s)) // dialled anew
		}
	}
	if fmt.Sprint(tries) != "[30 300]" || len(p.peers) != 0 {
		t.Errorf("tried after %v s, %d remembered: want [30 300], 0", tries, len(p.peers))
	}
	p.relayed("a", through, at(0))
	for s, want := range map[int]int{5: 0} {
		if got := len(p.due(at(s), true)); got != want {
			t.Errorf("address changed after %d s: %d tries, want %d", s, got, want)
		}
	}
	if len(p.due(at(31), true)) != 1 || len(p.due(at(32), true)) != 0 || len(p.due(at(62), true)) != 1 {
		t.Error("want a try for each change, 30 s apart")
	}
	p.direct("a")
	if len(p.due(at(1000), true)) != 0 {
		t.Error("a peer with a direct connection is punched")
	}
	for i := range 2 * maxRepunches {
		p.relayed(peer.ID(fmt.Sprint(i)), through, at(0))
	}
	if len(p.peers) != maxRepunches {
		t.Errorf("%d peers remembered: want at most %d", len(p.peers), maxRepunches)
	}
}
