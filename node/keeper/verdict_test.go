package keeper

import (
	"errors"
	"fmt"
	"testing"

	"walrus/certs"
	"walrus/p2p"
)

// TestVerdicts: what is decided on a certificate by gossip and from a client.
func TestVerdicts(t *testing.T) {
	forged := errors.New("the signature does not verify")
	strange := fmt.Errorf("%w: epoch 9: %w", p2p.ErrUnavailable, certs.ErrUnknownEpoch)
	for _, tt := range []struct {
		facts    facts
		finding  finding
		gossip   p2p.Verdict
		handover handover
	}{
		{facts{ours: true}, isKnown, p2p.Accept, syncIt},
		{facts{known: true}, isKnown, p2p.Ignore, syncIt},
		{facts{err: forged}, isBad, p2p.Reject, refuseIt},
		{facts{err: strange}, isStrange, p2p.Ignore, deferIt},
		{facts{}, isIdle, p2p.Ignore, awaitThen},
		{facts{alive: true}, isFresh, p2p.Accept, recordIt},
	} {
		v, why := judgeGossip(tt.facts)
		if h := takeFromClient(tt.facts); v != tt.gossip || why != tt.finding || h != tt.handover {
			t.Errorf("%+v: %v, %s; from a client: %s", tt.facts, v, why, h)
		}
	}
}

// TestOwed: a blob whose slivers are here is still owed while they cannot be checked or would be dropped early.
func TestOwed(t *testing.T) {
	for have, want := range map[stock]int{
		{0, true, true}: 0, {0, false, true}: 1, {0, true, false}: 1, {3, true, true}: 3, {3, false, false}: 3,
	} {
		if got := have.owed(); got != want {
			t.Errorf("%+v: %d owed, want %d", have, got, want)
		}
	}
}
