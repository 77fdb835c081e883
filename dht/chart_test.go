package dht

import (
	"math/rand/v2"
	"slices"
	"testing"

	kbucket "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/peer"
)

// TestChart: with answers that are right, a chart names the nearest servers of every key, after about as many look-ups
// as there are groups of k servers.
func TestChart(t *testing.T) {
	for _, tt := range []struct{ servers, keys, most int }{{1, 50, 1}, {15, 500, 1}, {20, 500, 4}, {100, 2000, 20}, {1000, 2000, 150}} {
		r := rand.NewChaCha8([32]byte{byte(tt.servers)})
		var network []peer.ID
		for _, key := range randomKeys(r, tt.servers) {
			network = append(network, peer.ID(key[:]))
		}
		m := &chart{k: bucketSize, peers: map[peer.ID]bool{}}
		looks := 0
		for i, key := range randomKeys(r, tt.keys) {
			place := kbucket.ConvertKey(string(key[:]))
			nearest := func(at kbucket.ID) []peer.ID {
				return slices.Clone(kbucket.SortClosestPeers(network, at)[:min(bucketSize, len(network))])
			}
			var got []peer.ID
			for tries := 0; got == nil; tries++ {
				if got = m.nearest(place); got == nil {
					at := m.gap(place)
					m.add(at, nearest(at), tt.servers < bucketSize)
					looks++
				}
				if tries > sweepLooks {
					t.Fatalf("%d servers, key %d: no end of look-ups", tt.servers, i)
				}
			}
			if want := nearest(place); !slices.Equal(got, want) {
				t.Fatalf("%d servers, key %d: %d servers, some of them not the nearest", tt.servers, i, len(got))
			}
		}
		t.Logf("%d servers, %d keys: %d look-ups", tt.servers, tt.keys, looks)
		if looks > tt.most {
			t.Errorf("%d servers: %d look-ups, want at most %d", tt.servers, looks, tt.most)
		}
	}
}
