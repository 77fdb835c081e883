package keeper

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"walrus/certs"
	"walrus/ledger"
	"walrus/p2p"
	"walrus/shards"
	"walrus/store"
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
		{facts{certified: true}, isFresh, p2p.Accept, recordIt},
		{facts{certified: true, err: forged}, isBad, p2p.Reject, refuseIt},
		{facts{known: true, replay: true}, isKnown, p2p.Replay, syncIt},
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

// TestUncounted: while the ledger here cannot be read, a blob is owed, as nobody knows which of its slivers are ours.
func TestUncounted(t *testing.T) {
	params, err := shards.NewParams(4)
	if err != nil {
		t.Fatal(err)
	}
	cfg := store.Default(t.TempDir())
	cfg.Logger = slog.New(slog.DiscardHandler)
	st, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	l := &state{ready: make(chan struct{}), values: map[string][]byte{}}
	k := testKeeper(t, st, l, params)
	if err := k.book.recount(blob(1), 0); err != nil || k.Owed() != 1 {
		t.Errorf("without a ledger: owes %d slivers, %v", k.Owed(), err)
	}
	l.values[string(ledger.KeyEpoch())] = ledger.EpochInfo{Epoch: 3}.Marshal()
	if err := k.book.recount(blob(1), 0); err != nil || k.Owed() != 2 {
		t.Errorf("owes %d slivers, %v, want both of shard 0", k.Owed(), err)
	}
}
