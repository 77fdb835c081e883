package ledger

import (
	"errors"
	"strings"
	"testing"

	"walrus/certs"
)

func TestCommitteesAt(t *testing.T) {
	g := newTestGenesis(t)
	all, err := g.Committees()
	if err != nil {
		t.Fatal(err)
	}
	for _, epoch := range []uint32{FirstEpoch, FirstEpoch + 1, 1 << 31} {
		c, err := all.At(epoch)
		if err != nil || c.Epoch() != epoch || len(c.Members()) != len(g.Members) {
			t.Errorf("epoch %d: %v, %v", epoch, c, err)
		}
	}
	members := make([]Member, len(g.Members))
	for i, m := range g.Members {
		members[i] = Member{Node: m.Node, Name: m.Name, Key: m.Key, Proof: m.Proof, Shards: m.Shards}
	}
	read, err := g.CommitteesOf(7, members)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := read.At(8); err != nil || c.Epoch() != 8 || c.Network() != g.NetworkID() ||
		len(c.Members()) != len(members) {
		t.Errorf("from the members in epoch 7: %v, %v", c, err)
	}
	if _, err := g.CommitteesOf(7, members[1:]); !errors.Is(err, certs.ErrCommittee) ||
		!strings.Contains(err.Error(), "epoch 7") {
		t.Errorf("without a member: %v", err)
	}
	if _, err := all.At(0); !errors.Is(err, certs.ErrUnknownEpoch) {
		t.Errorf("epoch 0: %v", err)
	}
}
