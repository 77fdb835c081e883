package app

import (
	"encoding/binary"
	"errors"
	"time"

	"walrus/ledger/engine/badgerdb"
)

// Retention says which of the oldest blocks may go, with their logs: those older than Time, by the times in blocks, but
// none of the newest Heights. The zero Retention keeps all blocks.
type Retention struct {
	Time    time.Duration
	Heights uint64
}

// ends reports whether the block of a height and time need not be kept when the newest has head and now.
func (r Retention) ends(height uint64, at int64, head uint64, now int64) bool {
	return r.Time > 0 && height+r.Heights <= head && now-at > int64(r.Time)
}

const (
	// prunedHeights bounds the blocks that one commit removes: more than are added in the same time, so that a node
	// which begins to prune catches up, and few enough for the next block not to wait.
	prunedHeights = 64
	// prunedRecords and prunedBytes bound the log records that one commit removes. A full block has fewer.
	prunedRecords, prunedBytes = 20_000, 8 << 20
)

// prune removes log records that are too old at a height and time, and returns the first height whose log is then
// complete.
func (a *App) prune(batch *badgerdb.Batch, head uint64, now int64) (kept uint64, err error) {
	old := a.kept.Load()
	kept = old
	for kept < old+prunedHeights {
		at, err := a.blockTime(kept)
		if err != nil {
			return 0, err
		}
		if at == 0 || !a.cfg.Keep.ends(kept, at, head, now) {
			break
		}
		kept++
	}
	if kept == old {
		return old, nil
	}
	pairs, err := a.space.Scan(badgerdb.Range{
		From: logKey(old-1, 0), To: logKey(kept, 0), Limit: prunedRecords, MaxBytes: prunedBytes,
	})
	if err != nil {
		return 0, err
	}
	for _, p := range pairs {
		if err := a.pruneRecord(batch, p); err != nil {
			return 0, err
		}
	}
	if len(pairs) > 0 && (len(pairs) == prunedRecords || sizeOf(pairs) >= prunedBytes) { // there may be more
		at, _ := parsePosition(pairs[len(pairs)-1].Key)
		kept = at.Height + 1
	}
	return kept, nil
}

// pruneRecord removes a record of the log, and what refers to it.
func (a *App) pruneRecord(batch *badgerdb.Batch, p badgerdb.Pair) error {
	at, ok := parsePosition(p.Key)
	if !ok {
		return errors.New("the log has a key that is too short")
	}
	batch.Delete(a.space, p.Key)
	if at.Index == 0 {
		return nil
	}
	sender, receipt, err := unmarshalRecord(p.Value)
	if err != nil || !receipt.Effective() {
		return err
	}
	batch.Delete(a.space, txKey(receipt.ID))
	for subject := range receipt.Subjects(sender) {
		batch.Delete(a.space, historyKey(subject, Position{at.Height, at.Index - 1}))
	}
	return nil
}

// blockTime returns the time of a block whose log is kept, in Unix nanoseconds; 0 if there is none.
func (a *App) blockTime(height uint64) (int64, error) {
	record, err := a.space.Get(logKey(height, 0))
	if err != nil || record == nil {
		return 0, err
	}
	if len(record) < 8 {
		return 0, errRecord
	}
	return int64(binary.BigEndian.Uint64(record)), nil
}

// Kept returns the first block from which on blocks, receipts and histories are complete, and its time. Before the
// first block of an App its time is zero.
func (a *App) Kept() (height uint64, at time.Time, err error) {
	for {
		height = a.kept.Load()
		nanos, err := a.blockTime(height)
		if err != nil {
			return height, time.Time{}, err
		}
		if nanos != 0 {
			return height, time.Unix(0, nanos), nil
		}
		if height == a.kept.Load() {
			return height, time.Time{}, nil
		}
	}
}

func sizeOf(pairs []badgerdb.Pair) (size int) {
	for _, p := range pairs {
		size += len(p.Key) + len(p.Value)
	}
	return size
}
