package app

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"walrus/ledger"
	"walrus/ledger/engine/badgerdb"
	"walrus/ledger/machine"
)

// block is a block with the results of running it on the previous view.
type block struct {
	hash    []byte
	height  uint64
	time    int64
	txs     []decoded
	reads   *reads
	outcome *machine.Outcome
}

func (a *App) workers() int {
	if a.cfg.Workers > 0 {
		return a.cfg.Workers
	}
	return runtime.GOMAXPROCS(0)
}

func (a *App) options() machine.Options {
	return machine.Options{Workers: a.workers(), Verified: a.known.tx, Certificates: a.known}
}

// run runs a block on the newest view. It writes nothing.
func (a *App) run(hash []byte, height uint64, time int64, raw [][]byte, txs []decoded) (*block, error) {
	v := a.View()
	if height != v.Height+1 {
		return nil, fmt.Errorf("run block %d: the ledger is at height %d", height, v.Height)
	}
	b := &block{hash: bytes.Clone(hash), height: height, time: time, txs: txs,
		reads: &reads{view: v, seen: make(map[string][]byte)}}
	state := a.state(v)
	state.Values = b.reads
	var err error
	b.outcome, err = state.Apply(machine.Block{Height: height, Time: time, Txs: raw}, a.options())
	if err != nil {
		return nil, err
	}
	if len(b.outcome.Results) != len(raw) {
		return nil, fmt.Errorf("run block %d: %d results for %d transactions", height, len(b.outcome.Results), len(raw))
	}
	return b, nil
}

// reads records the values that a block reads. Most values that the block replaces are among them.
type reads struct {
	view *View
	mu   sync.Mutex
	seen map[string][]byte // guarded by mu
}

// Get implements ledger.Reader.
func (r *reads) Get(key []byte) ([]byte, error) {
	r.mu.Lock()
	value, ok := r.seen[string(key)]
	r.mu.Unlock()
	if ok {
		return value, nil
	}
	value, err := r.view.Get(key)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.seen[string(key)] = value
	r.mu.Unlock()
	return value, nil
}

// commit makes an executed block part of the ledger: after a crash, all of it or none.
func (a *App) commit(b *block) error {
	v := a.View()
	if b.reads.view != v {
		return fmt.Errorf("commit block %d: the ledger is at height %d", b.height, v.Height)
	}
	next := &View{Height: b.height, Time: b.time, space: a.space, tree: b.outcome.Tree, replaced: make(map[string][]byte)}
	var batch badgerdb.Batch
	if err := a.writeState(&batch, next, b); err != nil {
		return fmt.Errorf("commit block %d: %w", b.height, err)
	}
	a.writeLog(&batch, b)
	kept, err := a.prune(&batch, b.height)
	if err != nil {
		return fmt.Errorf("commit block %d: prune the log: %w", b.height, err)
	}
	head := head{height: b.height, time: b.time, root: next.Root(), kept: kept}
	batch.Set(a.space, keyHead, head.marshal())

	v.later.Store(next) // before the first write: see View
	a.kept.Store(kept)  // likewise: see Blocks
	if err := a.db.Write(&batch); err != nil {
		return fmt.Errorf("commit block %d: %w", b.height, err)
	}
	if err := a.db.Sync(); err != nil {
		return fmt.Errorf("commit block %d: %w", b.height, err)
	}
	if err := a.show(next, b); err != nil {
		return err
	}
	if next.Height%a.cfg.SnapshotEvery == 0 {
		a.snapshots.make(next)
	}
	return nil
}

// writeState writes the block's changes, and updates the index of objects by owner.
func (a *App) writeState(batch *badgerdb.Batch, next *View, b *block) error {
	set := func(key, old, value []byte) {
		next.replaced[string(key)] = old
		if value == nil {
			batch.Delete(a.space, key)
		} else {
			batch.Set(a.space, key, value)
		}
	}
	for _, c := range b.outcome.Changes {
		old, err := b.reads.Get(c.Key)
		if err != nil {
			return err
		}
		set(stateKey(c.Key), old, c.Value)
		before, after, err := owners(c.Key, old, c.Value)
		if err != nil {
			return err
		}
		if before == after {
			continue
		}
		var id ledger.ObjectID
		copy(id[:], c.Key[1:])
		if before != (ledger.Address{}) {
			set(objectKey(before, id), c.Key[:1], nil)
		}
		if after != (ledger.Address{}) {
			set(objectKey(after, id), nil, c.Key[:1])
		}
	}
	return nil
}

// owners returns the old and the new owner of the object at a key of the state; the zero address if there is no
// object.
func owners(key, old, value []byte) (before, after ledger.Address, err error) {
	if before, err = ownerOf(key, old); err == nil {
		after, err = ownerOf(key, value)
	}
	return before, after, err
}

func ownerOf(key, value []byte) (ledger.Address, error) {
	switch {
	case value == nil:
		return ledger.Address{}, nil
	case key[0] == letterStorage:
		s, err := ledger.UnmarshalStorage(value)
		return s.Owner, err
	case key[0] == letterBlob:
		b, err := ledger.UnmarshalBlob(value)
		return b.Owner, err
	}
	return ledger.Address{}, nil
}

// writeLog writes the block's events and receipts.
func (a *App) writeLog(batch *badgerdb.Batch, b *block) {
	batch.Set(a.space, logKey(b.height, 0), marshalBlock(b.time, b.outcome.Events))
	for i, tx := range b.txs {
		result := b.outcome.Results[i]
		p := Position{b.height, uint32(i)}
		sender := ledger.Address{}
		if tx.tx != nil {
			sender = tx.tx.Sender.Address()
		}
		receipt := ledger.Receipt{ID: tx.id, Height: p.Height, Index: p.Index, Time: b.time, Result: result}
		batch.Set(a.space, logKey(p.Height, p.Index+1), append(sender[:], receipt.Marshal()...))
		if !result.Effective() {
			continue // a later block may include it; perhaps its sender never signed it
		}
		batch.Set(a.space, txKey(tx.id), position(nil, p.Height, p.Index))
		for account := range concerns(sender, result) {
			batch.Set(a.space, historyKey(account, p), nil)
		}
	}
}

// concerns returns the accounts whose history lists an effective transaction. The zero address, which nobody owns,
// stands for all accounts: its history lists every effective transaction.
func concerns(sender ledger.Address, r ledger.Result) map[ledger.Address]bool {
	accounts := map[ledger.Address]bool{sender: true, {}: true}
	for _, e := range r.Events {
		accounts[e.From], accounts[e.To] = true, true
	}
	return accounts
}

// prunedAtOnce bounds the log records that one commit removes. A full block has fewer.
const prunedAtOnce = 20_000

// prune removes log records that are too old at a height, and returns the first height whose log is then complete.
func (a *App) prune(batch *badgerdb.Batch, height uint64) (kept uint64, err error) {
	old := a.kept.Load()
	if a.cfg.Keep == 0 || height < a.cfg.Keep+old {
		return old, nil
	}
	kept = height - a.cfg.Keep + 1
	pairs, err := a.space.Scan(badgerdb.Range{
		From: logKey(old-1, 0), To: logKey(kept, 0), Limit: prunedAtOnce, MaxBytes: 8 << 20,
	})
	if err != nil {
		return 0, err
	}
	for _, p := range pairs {
		at, ok := parsePosition(p.Key)
		if !ok {
			return 0, errors.New("the log has a key that is too short")
		}
		batch.Delete(a.space, p.Key)
		if at.Index == 0 {
			continue
		}
		sender, receipt, err := unmarshalRecord(p.Value)
		if err != nil {
			return 0, err
		}
		if !receipt.Effective() {
			continue
		}
		batch.Delete(a.space, txKey(receipt.ID))
		for account := range concerns(sender, receipt.Result) {
			batch.Delete(a.space, historyKey(account, Position{at.Height, at.Index - 1}))
		}
	}
	if len(pairs) > 0 && (len(pairs) == prunedAtOnce || sizeOf(pairs) >= 8<<20) { // there may be more
		at, _ := parsePosition(pairs[len(pairs)-1].Key)
		kept = at.Height + 1
	}
	return kept, nil
}

func sizeOf(pairs []badgerdb.Pair) (size int) {
	for _, p := range pairs {
		size += len(p.Key) + len(p.Value)
	}
	return size
}
