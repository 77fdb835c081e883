package keeper

import (
	"log/slog"
	"testing"

	"walrus/ledger"
	"walrus/shards"
	"walrus/store"
)

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
