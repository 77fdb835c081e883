package app

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"time"

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
	return machine.Options{Workers: a.workers(), Verified: a.known.tx, Learned: a.known.learned, Certificates: a.known}
}

// rules runs a block on a state, or for State.Check refuses it.
type rules func(machine.State, machine.Block, machine.Options) (*machine.Outcome, error)

// run runs a block on the newest view. It writes nothing.
func (a *App) run(by rules, hash []byte, height int64, at time.Time, raw [][]byte) (*block, error) {
	v := a.View()
	if uint64(height) != v.Height+1 {
		return nil, fmt.Errorf("run block %d: the ledger is at height %d", height, v.Height)
	}
	b := &block{hash: bytes.Clone(hash), height: uint64(height), time: at.UnixNano(),
		reads: &reads{view: v, seen: make(map[string][]byte)}}
	state := a.state(v)
	state.Values = b.reads
	var err error
	b.outcome, err = by(state, machine.Block{Height: b.height, Time: b.time, Txs: raw}, a.options())
	if err != nil {
		return nil, damage(err)
	}
	if len(b.outcome.Results) != len(raw) {
		return nil, fmt.Errorf("run block %d: %d results for %d transactions", height, len(b.outcome.Results), len(raw))
	}
	b.txs = decode(raw)
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
	var batch badgerdb.Batch
	if err := a.writeState(&batch, b); err != nil {
		return fmt.Errorf("commit block %d: %w", b.height, err)
	}
	a.writeLog(&batch, b)
	kept, err := a.prune(&batch, b.height, b.time)
	if err != nil {
		return fmt.Errorf("commit block %d: prune the log: %w", b.height, err)
	}
	root, keys := b.outcome.Tree.Root(), uint64(b.outcome.Tree.Len())
	head := head{height: b.height, time: b.time, root: root, kept: kept, keys: keys}
	batch.Set(a.space, keyHead, head.marshal())
	source := new(source)
	tree, err := b.outcome.Tree.Save(source, a.disk.cache, a.disk.writePage(&batch))
	if err != nil {
		return fmt.Errorf("commit block %d: %w", b.height, err)
	}

	a.kept.Store(kept) // before the first write: see Blocks
	if err := a.db.Write(&batch); err != nil {
		return fmt.Errorf("commit block %d: %w", b.height, err)
	}
	if err := a.db.Sync(); err != nil {
		return fmt.Errorf("commit block %d: %w", b.height, err)
	}
	if source.snap, err = a.space.Snapshot(); err != nil {
		return fmt.Errorf("commit block %d: %w", b.height, err)
	}
	next := &View{Height: b.height, Time: b.time, snap: source.snap, tree: tree}
	if err := a.show(next, b); err != nil {
		return err
	}
	a.snapshots.add(next, a.cfg.SnapshotEvery)
	return nil
}

// writeState writes the block's changes.
func (a *App) writeState(batch *badgerdb.Batch, b *block) error {
	for _, c := range b.outcome.Changes {
		old, err := b.reads.Get(c.Key)
		if err == nil {
			err = a.disk.writePair(batch, c.Key, old, c.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writePair writes the new value of a key of the state, nil to remove it, and updates the indexes.
func (d *disk) writePair(batch *badgerdb.Batch, key, old, value []byte) error {
	if value == nil {
		batch.Delete(d.space, stateKey(key))
	} else {
		batch.Set(d.space, stateKey(key), record(key, value))
	}
	before, err := listed(key, old)
	if err != nil {
		return err
	}
	after, err := listed(key, value)
	if err != nil {
		return err
	}
	for i := range before {
		if bytes.Equal(before[i], after[i]) {
			continue
		}
		if before[i] != nil {
			batch.Delete(d.space, before[i])
		}
		if after[i] != nil {
			batch.Set(d.space, after[i], key[:1])
		}
	}
	return nil
}

// listed returns the keys of the indexes that list a record of the state: an object under its owner or an offer under
// its receiver, and an object under its end. Nil where no index does.
func listed(key, value []byte) (keys [2][]byte, err error) {
	var list byte
	var a ledger.Address
	end := uint32(0)
	switch {
	case value == nil:
	case key[0] == letterStorage:
		var s ledger.Storage
		s, err = ledger.UnmarshalStorage(value)
		list, a, end = listObjects, s.Owner, s.End
	case key[0] == letterBlob:
		var b ledger.Blob
		b, err = ledger.UnmarshalBlob(value)
		list, a, end = listObjects, b.Owner, b.End
	case key[0] == letterOffer:
		var o ledger.Offer
		o, err = ledger.UnmarshalOffer(value)
		list, a = listOffers, o.To
	}
	if err != nil {
		return keys, err
	}
	if a != (ledger.Address{}) {
		keys[0] = append(listKey(list, a), key[1:]...)
	}
	if end > 0 { // no object ends before the first epoch
		keys[1] = append(endKey(end), key[1:]...)
	}
	return keys, nil
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
		for subject := range result.Subjects(sender) {
			batch.Set(a.space, historyKey(subject, p), nil)
		}
	}
}
