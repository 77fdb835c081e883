package app

import (
	"encoding/binary"
	"flag"
	"runtime"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"walrus/ledger"
	"walrus/ledger/machine"
	"walrus/shards"
)

var endedCount = flag.Int("ended", 2500, "records of TestEnded; make sim takes a million")

// TestEnded has many certified records end in one epoch. The ledger removes all, a bounded number in each block, gives
// the deposits back, and the index by end is empty afterwards. With -v it states the cost.
func TestEnded(t *testing.T) {
	c := newChain(t, 1)
	dir := t.TempDir()
	a := openApp(t, dir, c.genesis, nil)
	owner, params := ledger.Address{7}, c.genesis.Params()
	deposit := params.BlobDeposit(nil)
	var pairs []machine.Change
	for i := range *endedCount {
		var root [32]byte
		binary.BigEndian.PutUint64(root[:], uint64(i)+1)
		b := ledger.Blob{Owner: owner, BlobID: shards.DeriveBlobID(1000, root), Size: 1000, Root: root, Registered: 1, Certified: 1,
			Start: 1, End: 2, Bytes: 1 << 20, Deposit: deposit}
		info := ledger.BlobInfo{InitialCertified: 1, PermanentEnd: 2, PermanentCertifiedEnd: 2}
		pairs = append(pairs, machine.Change{Key: ledger.KeyBlob(root), Value: b.Marshal()},
			machine.Change{Key: ledger.KeyBlobInfo(b.BlobID), Value: info.Marshal()})
		if len(pairs) >= 20_000 || i == *endedCount-1 {
			putState(t, a, pairs)
			pairs = pairs[:0]
		}
	}
	putState(t, a, []machine.Change{{Key: ledger.KeyAccount(owner), Value: ledger.Account{Blobs: uint32(*endedCount)}.Marshal()}})
	sealState(t, a)
	check(t, a.load())
	before := a.View().Keys()
	block := func(at time.Duration) time.Duration {
		start := time.Now()
		r := &abci.RequestFinalizeBlock{Height: int64(a.View().Height + 1), Time: c.genesis.Time.Add(at)}
		_, err := a.FinalizeBlock(t.Context(), r)
		check(t, err)
		_, err = a.Commit(t.Context(), nil)
		check(t, err)
		return time.Since(start)
	}
	empty := time.Duration(1 << 62)
	for range 5 {
		empty = min(empty, block(time.Second))
	}
	blocks, busiest, total := 0, time.Duration(0), time.Duration(0)
	for left := -1; left != 0; {
		took := block(c.genesis.EpochDuration)
		blocks, busiest, total = blocks+1, max(busiest, took), total+took
		list, err := a.View().Ended(2, 1)
		check(t, err)
		if left = len(list); blocks > *endedCount {
			t.Fatal("the backlog does not end")
		}
	}
	account, err := ledger.ReadAccount(a.View(), owner)
	check(t, err)
	if account.Blobs != 0 || account.Balance != deposit*ledger.Amount(*endedCount) {
		t.Errorf("the owner has %+v, want %d deposits of %v", account, *endedCount, deposit)
	}
	// The pot of epoch 1 was paid out; genesis accounts, parameters, epoch, members and the owner stay.
	if left := a.View().Keys(); before-left < 2**endedCount {
		t.Errorf("%d keys of %d stay", left, before)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Logf("%d records in %d blocks: %v a block, at most %v; an empty block %v, so %.1f times; heap %d MiB",
		*endedCount, blocks, total/time.Duration(blocks), busiest, empty, float64(total)/float64(blocks)/float64(empty),
		m.HeapAlloc>>20)
}
