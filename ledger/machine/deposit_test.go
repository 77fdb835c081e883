package machine

import (
	"strings"
	"testing"
	"time"

	"walrus/ledger"
)

// TestDust pays 1 FROST each to 256 new accounts in one transaction.
func TestDust(t *testing.T) {
	rich := newWallet("rich")
	n := newNetwork(t, withDeposits(rich))
	var ops []ledger.Op
	for i := range ledger.MaxOps {
		ops = append(ops, ledger.Transfer{To: ledger.Address{1, byte(i)}, Amount: 1})
	}
	tx := n.sign(rich, 0, ops...)
	r := n.commit(t, Options{}, tx.Marshal()).Results[0]
	t.Logf("%d accounts for %d FROST each", len(ops), uint64(r.Spent)/uint64(len(ops)))
	if r.Code != ledger.CodeLimit || !strings.Contains(r.Log, "an account keeps at least") {
		t.Errorf("256 accounts of 1 FROST: %v %q, want them refused", r.Code, r.Log)
	}
}

// withDeposits makes epochs of an hour, default deposits and a rich account.
func withDeposits(rich wallet) func(*ledger.Genesis) {
	return func(g *ledger.Genesis) {
		g.Treasury, g.EpochDuration, g.DepositPerByte = rich.address, time.Hour, ledger.DefaultDepositPerByte
	}
}

// registrations buys storage for some blobs until an epoch, and registers them.
func registrations(w wallet, nonce uint64, blobs int, end uint32) (ops []ledger.Op) {
	for i := range blobs {
		root, id := testBlob(string(rune('a'+i%26))+string(rune('a'+i/26))+string(rune('a'+nonce)), 1000)
		ops = append(ops, ledger.BuyStorage{Bytes: 1 << 20, Start: end - 1, End: end},
			ledger.RegisterBlob{Storage: ledger.NewObjectID(w.address, nonce, 2*i), BlobID: id, Root: root, Size: 1000,
				Deletable: i%2 == 0})
	}
	return ops
}

// count counts the keys of the state with a letter.
func (n *network) count(letter byte) (count int) {
	for key := range n.values {
		if key[0] == letter {
			count++
		}
	}
	return count
}

// TestEndedGo registers blobs, lets their epoch end, and expects the records to be gone without a transaction.
func TestEndedGo(t *testing.T) {
	rich := newWallet("rich")
	n := newNetwork(t, withDeposits(rich))
	for i := range 20 {
		n.commit(t, Options{}, n.sign(rich, uint64(i), registrations(rich, uint64(i), 60, 2)...).Marshal())
	}
	before := n.count('B')
	n.time += 2 * int64(time.Hour)
	for range 10 {
		n.commit(t, Options{})
	}
	if after := n.count('B'); before != 20*60 || after > 0 {
		t.Errorf("%d of %d expired records stay", after, before)
	}
}
