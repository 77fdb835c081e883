package client

import (
	"testing"

	"walrus/certs"
)

// TestNextCommittee: after an epoch that moved shards, nodes count with the shards they then hold, and only
// confirmations of that epoch count.
func TestNextCommittee(t *testing.T) {
	f, _ := newFake(t, 4, 8) // two shards each
	was := f.com.Members()
	next, err := certs.NewCommittee("fake", f.com.Network(), 2, 8, []certs.Member{
		{Node: was[2].Node, Key: was[2].Key, Proof: was[2].Proof, Shards: []int{0, 1, 2, 3, 4}},
		{Node: was[0].Node, Key: was[0].Key, Proof: was[0].Proof, Shards: []int{5, 6, 7}},
	})
	if err != nil {
		t.Fatal(err)
	}
	u := &upload{com: f.com, now: f.com, nodes: make([]nodeState, 4)}
	for i := range u.nodes {
		u.nodes[i].conf = &certs.Confirmation{Epoch: uint32(1 + i/2)}
	}
	if w := u.weight(); w != 4 {
		t.Errorf("in the first epoch two nodes confirmed %d shards, want 4", w)
	}
	if u.now = next; u.weight() != 5 {
		t.Errorf("in the second epoch %d shards are confirmed, want 5: one node holds five, one none", u.weight())
	}
}
