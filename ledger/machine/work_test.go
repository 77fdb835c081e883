package machine

import (
	"fmt"
	"slices"
	"testing"

	"walrus/ledger"
)

// TestFailingSales has a transaction sell storage as often as one can, and then fail: it pays its fee only, so it must
// not take much memory for each pot, and leave nothing behind.
func TestFailingSales(t *testing.T) {
	alice := newWallet("alice")
	n := newNetwork(t, func(g *ledger.Genesis) {
		g.MaxEpochsAhead = ledger.MaxEpochsAhead
		g.Accounts = []ledger.GenesisAccount{{Address: alice.address, Amount: 1_000_000 * ledger.WAL}}
	})
	ops := slices.Repeat([]ledger.Op{ledger.BuyStorage{Bytes: 1, Start: 1, End: 1 + ledger.MaxEpochsAhead}}, ledger.MaxOps)
	ops[len(ops)-1] = ledger.Transfer{} // to nobody
	b := Block{Height: 1, Time: n.time, Txs: [][]byte{n.sign(alice, 0, ops...).Marshal()}}
	var out *Outcome
	allocated := testing.AllocsPerRun(1, func() {
		var err error
		if out, err = n.Apply(b, Options{}); err != nil {
			t.Fatal(err)
		}
	})
	if sold := float64(len(ops) * ledger.MaxEpochsAhead); allocated > sold/10 {
		t.Errorf("%v allocations for %v pots", allocated, sold)
	}
	if r := out.Results[0]; r.Code != ledger.CodeNotFound || r.Op != len(ops)-1 || r.Spent != r.Fee {
		t.Errorf("%+v", r)
	}
	if len(out.Changes) != 2 {
		t.Errorf("%d changes, want those of the sender and the current pot", len(out.Changes))
	}
}

// TestLongSleep works off more epochs with payouts than one block may have events for.
func TestLongSleep(t *testing.T) {
	alice := newWallet("alice")
	n := newNetwork(t, func(g *ledger.Genesis) {
		g.MaxEpochsAhead = ledger.MaxEpochsAhead
		g.Accounts = []ledger.GenesisAccount{{Address: alice.address, Amount: 1_000_000 * ledger.WAL}}
	})
	const epochs = 5 * ledger.MaxEpochsAhead / 2
	buy := ledger.BuyStorage{Bytes: 1, Start: 1, End: 1 + ledger.MaxEpochsAhead}
	n.commit(t, Options{}, n.sign(alice, 0, buy).Marshal())
	n.time += epochs * int64(n.genesis.EpochDuration)
	for range 4 {
		out := n.commit(t, Options{})
		if len(out.Events) >= maxBlockEvents+len(n.genesis.Members)+1 {
			t.Fatalf("%d events in one block", len(out.Events))
		}
	}
	if got := n.epoch(t); got != 1+epochs {
		t.Errorf("epoch %d, want %d", got, 1+epochs)
	}
}

// TestFullBlockOfSales fills a block with sales of a thousand epochs that fail in the end. The proposer takes as many
// as the bound on work allows, and validators refuse more.
func TestFullBlockOfSales(t *testing.T) {
	var wallets []wallet
	for i := range 120 {
		wallets = append(wallets, newWallet(fmt.Sprint("account ", i)))
	}
	n := newNetwork(t, func(g *ledger.Genesis) {
		g.MaxEpochsAhead = ledger.MaxEpochsAhead
		for _, w := range wallets {
			g.Accounts = append(g.Accounts, ledger.GenesisAccount{Address: w.address, Amount: 1_000_000 * ledger.WAL})
		}
	})
	ops := slices.Repeat([]ledger.Op{ledger.BuyStorage{Bytes: 1, Start: 1, End: 1 + ledger.MaxEpochsAhead}}, ledger.MaxOps)
	ops[len(ops)-1] = ledger.Transfer{} // to nobody
	var txs [][]byte
	for _, w := range wallets {
		txs = append(txs, n.sign(w, 0, ops...).Marshal())
	}
	b := Block{Height: 1, Time: n.time, Txs: txs}
	picked, err := n.Propose(b, 512<<10, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if sold := len(picked) * len(ops) * ledger.MaxEpochsAhead; sold == 0 || sold > 12_000_000 {
		t.Errorf("a proposed block of %d transactions sells %d pots: at 60 ns each, at most 12 million in 720 ms",
			len(picked), sold)
	}
	if _, err := n.Check(b, Options{}); err == nil {
		t.Errorf("a block that sells %d pots is accepted", len(txs)*len(ops)*ledger.MaxEpochsAhead)
	}
	b.Txs = picked
	if _, err := n.Check(b, Options{}); err != nil {
		t.Errorf("the proposed block is refused: %v", err)
	}
}
