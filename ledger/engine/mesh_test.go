package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	cmtcons "github.com/cometbft/cometbft/proto/tendermint/consensus"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/internal/swarmtest"
	"walrus/ledger"
)

// TestNeighbors: neighbors know each other, there are few of them, and the honest validators stay connected when any
// third is gone.
func TestNeighbors(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 4, maxMesh, maxMesh + 1, 30, 100, 300} {
		ids := make([]peer.ID, n)
		for i := range ids {
			ids[i] = peer.ID(fmt.Sprint("peer ", i))
		}
		near := map[peer.ID]map[peer.ID]bool{}
		for _, id := range ids {
			near[id] = neighbors(certs.NetworkID{7}, ids, id)
			if len(near[id]) > 2*meshRings || n <= maxMesh && len(near[id]) != n-1 || n > maxMesh && len(near[id]) < meshRings || near[id][id] {
				t.Fatalf("%d validators: one has %d neighbors", n, len(near[id]))
			}
		}
		for a, list := range near {
			for b := range list {
				if !near[b][a] {
					t.Fatalf("%d validators: %s is a neighbor of %s, but not the reverse", n, b, a)
				}
			}
		}
		for range 100 {
			gone := map[peer.ID]bool{}
			for _, i := range r.Perm(n)[:(n-1)/3] {
				gone[ids[i]] = true
			}
			first := ids[r.IntN(n)]
			for gone[first] {
				first = ids[r.IntN(n)]
			}
			seen, queue := map[peer.ID]bool{first: true}, []peer.ID{first}
			for ; len(queue) > 0; queue = queue[1:] {
				for id := range near[queue[0]] {
					if !gone[id] && !seen[id] {
						seen[id], queue = true, append(queue, id)
					}
				}
			}
			if len(seen) != n-len(gone) {
				t.Errorf("%d validators without %d: only %d are connected", n, len(gone), len(seen))
			}
		}
	}
}

// TestSpareLinks: a validator that is cut off from most of its neighbors finds others, and all of a committee of more
// than maxMesh say that they reach each other. Those that are gone are named once a block is due.
func TestSpareLinks(t *testing.T) {
	if testing.Short() {
		t.Skip("starts sixteen nodes")
	}
	synctest.Test(t, func(t *testing.T) {
		const n = maxMesh + 3
		net := swarmtest.NewNetwork(1)
		s := newFleet(t, net, n, nil)
		defer s.closeAll()
		s.open(s.all()...)
		for _, n := range s.nodes {
			<-n.Ready()
		}
		s.pay(0, 0, 1)
		near := 0
		for i, other := range s.nodes[1:] {
			if s.nodes[0].chain.sw.links[other.id].distant() {
				continue
			}
			if near++; near > 2 {
				net.Cut(0, i+1)
				for _, c := range s.nodes[0].host.Libp2p().Network().ConnsToPeer(other.id) {
					c.Close()
				}
			}
		}
		if near < meshRings || near > 2*meshRings {
			t.Fatalf("%d neighbors", near)
		}
		time.Sleep(time.Minute)
		if peers := s.nodes[0].chain.sw.Size(); peers < min(fewPeers, n-1-(near-2)) {
			t.Errorf("%d streams after a minute", peers)
		}
		r := s.pay(0, 0, 1)
		s.reach(n-1, r.Height, 5*time.Second)
		if have, total := func() (int, int) { st := s.nodes[1].Status(); return st.Shards() }(); have != total {
			t.Errorf("%d of %d shards are reachable, though all vote", have, total)
		}
	})
}

// TestVoices: who has not voted is silent only after others have for a while.
func TestVoices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		members := []member{{shares: 1, key: ledger.PublicKey{1}}, {shares: 1, key: ledger.PublicKey{2}}, {shares: 1}}
		var v voices
		v.know(members)
		v.begin(5)
		vote := func(m *member, height int64) {
			v.hear(&cmtcons.Vote{Vote: &cmtproto.Vote{Height: height, ValidatorAddress: []byte(m.address())}})
		}
		vote(&members[0], 4)
		v.hear(&cmtcons.Vote{Vote: &cmtproto.Vote{Height: 5, ValidatorAddress: []byte("nobody")}})
		v.hear(&cmtcons.Vote{})
		time.Sleep(time.Hour)
		if v.silent(&members[1], time.Now()) || v.under(time.Now()) != 0 {
			t.Error("silent before anybody has voted")
		}
		vote(&members[0], 5)
		if v.silent(&members[1], time.Now()) {
			t.Error("silent at once")
		}
		time.Sleep(stallGrace)
		if v.silent(&members[0], time.Now()) || !v.silent(&members[1], time.Now()) || v.under(time.Now()) != stallGrace {
			t.Error("the one that has not voted is not silent, or the other is")
		}
		if v.begin(6); v.silent(&members[1], time.Now()) {
			t.Error("silent about the next block")
		}
	})
}
