package ledger

import (
	"errors"
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
	if _, err := all.At(0); !errors.Is(err, certs.ErrUnknownEpoch) {
		t.Errorf("epoch 0: %v", err)
	}
}
