package engine

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	dbm "github.com/cometbft/cometbft-db"
	abci "github.com/cometbft/cometbft/abci/types"

	"walrus/ledger"
)

// Evidence of double signing is kept over restarts, once for each block, within its bound.
func TestOffences(t *testing.T) {
	members := []member{{id: "a", name: "node-a", shares: 1, key: ledger.PublicKey{1}}, {id: "b", name: "node-b", shares: 1, key: ledger.PublicKey{2}}}
	db, log := dbm.NewMemDB(), slog.New(slog.DiscardHandler)
	o, err := openOffences(db, members, log)
	if err != nil {
		t.Fatal(err)
	}
	twice := abci.Misbehavior{Type: abci.MisbehaviorType_DUPLICATE_VOTE, Height: 7, Time: time.Unix(9, 0),
		Validator: abci.Validator{Address: consensusAddress(members[1].key), Power: 1}}
	for range 2 { // the block is applied again after a crash
		if err := o.note(9, []abci.Misbehavior{twice}); err != nil {
			t.Fatal(err)
		}
	}
	if o, err = openOffences(db, members, log); err != nil {
		t.Fatal(err)
	}
	want := Offence{"b", "node-b", fmt.Sprintf("%x", twice.Validator.Address), "duplicate vote", 7, time.Unix(9, 0).UTC(), 9}
	if got := o.newest(); len(got) != 1 || got[0] != want {
		t.Fatalf("offences %+v, want %+v", got, want)
	}
	for block := range int64(maxOffences) {
		if err := o.note(10+block, []abci.Misbehavior{twice}); err != nil {
			t.Fatal(err)
		}
	}
	if o, err = openOffences(db, members, log); err != nil || len(o.list) != maxOffences || o.list[0].Block != 10 {
		t.Errorf("%d offences from block %d, %v", len(o.list), o.list[0].Block, err)
	}
	if len(o.newest()) != shownOffences {
		t.Errorf("%d are shown", len(o.newest()))
	}
}
