package ledger

import (
	"context"
	"errors"
	"testing"

	"walrus/shards"
)

func TestStatic(t *testing.T) {
	g := newTestGenesis(t)
	g.EndEpoch = 50
	s, err := NewStatic(g)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	c, err := s.Committee(ctx)
	if err != nil || c.Params().Shards() != 10 || len(c.Members()) != 3 || c.Network() != g.NetworkID() {
		t.Errorf("committee %+v, %v", c, err)
	}
	if end, err := s.MayStore(ctx, shards.BlobID{1}); err != nil || end != 50 {
		t.Errorf("may store until %d, %v: want 50", end, err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Committee(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("committee after the end: %v", err)
	}
	if _, err := s.MayStore(ended, shards.BlobID{1}); !errors.Is(err, context.Canceled) {
		t.Errorf("may store after the end: %v", err)
	}
	g.Members[0].Proof[50] ^= 1
	if _, err := NewStatic(g); !errors.Is(err, ErrGenesis) {
		t.Errorf("broken proof: %v, want ErrGenesis", err)
	}
}
