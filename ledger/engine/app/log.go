package app

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"walrus/ledger"
	"walrus/ledger/engine/badgerdb"
)

// Block holds a block's events and receipts.
type Block struct {
	Height   uint64
	Time     int64            // Unix nanoseconds
	Events   []ledger.Event   // before its transactions: epochs that began, rewards
	Receipts []ledger.Receipt // of all its transactions, in order, those without effect included
}

// marshalBlock encodes the log's record of a block: time i64, then its events, each after its length u32, big-endian.
func marshalBlock(time int64, events []ledger.Event) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(time))
	for _, e := range events {
		raw := e.Marshal()
		b = binary.BigEndian.AppendUint32(b, uint32(len(raw)))
		b = append(b, raw...)
	}
	return b
}

var errRecord = errors.New("the log has a damaged record")

func unmarshalBlock(b []byte) (time int64, events []ledger.Event, err error) {
	if len(b) < 8 {
		return 0, nil, errRecord
	}
	time, b = int64(binary.BigEndian.Uint64(b)), b[8:]
	for len(b) > 0 {
		if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
			return 0, nil, errRecord
		}
		size := binary.BigEndian.Uint32(b)
		e, err := ledger.UnmarshalEvent(b[4:][:size])
		if err != nil {
			return 0, nil, err
		}
		events, b = append(events, e), b[4+size:]
	}
	return time, events, nil
}

// unmarshalRecord decodes the log's record of a transaction.
func unmarshalRecord(b []byte) (sender ledger.Address, r ledger.Receipt, err error) {
	if len(b) < len(sender) {
		return sender, r, errRecord
	}
	r, err = ledger.UnmarshalReceipt(b[copy(sender[:], b):])
	return sender, r, err
}

// Receipt returns the receipt of a transaction that was paid for. ledger.ErrNotFound: no block has the transaction, its
// block has been pruned, or a block included it without effect.
func (a *App) Receipt(id ledger.TxID) (ledger.Receipt, error) {
	at, err := a.space.Get(txKey(id))
	if err != nil {
		return ledger.Receipt{}, fmt.Errorf("read receipt of transaction %s: %w", id, err)
	}
	p, ok := parsePosition(at)
	if !ok || p.Height > a.View().Height { // its block is still being written
		return ledger.Receipt{}, fmt.Errorf("receipt of transaction %s: %w", id, ledger.ErrNotFound)
	}
	r, err := a.receiptAt(p)
	if err != nil {
		return ledger.Receipt{}, fmt.Errorf("read receipt of transaction %s: %w", id, err)
	}
	return r, nil
}

func (a *App) receiptAt(p Position) (ledger.Receipt, error) {
	record, err := a.space.Get(logKey(p.Height, p.Index+1))
	if err != nil {
		return ledger.Receipt{}, err
	}
	if record == nil { // pruned since
		return ledger.Receipt{}, ledger.ErrNotFound
	}
	_, r, err := unmarshalRecord(record)
	return r, err
}

// History returns the receipts of the transactions that concern a subject, as ledger.Result.Subjects has it: newest
// first, at most limit, all before a position. The zero Position starts at the newest.
func (a *App) History(about ledger.Subject, before Position, limit int) ([]ledger.Receipt, error) {
	if head := a.View().Height; before == (Position{}) || before.Height > head {
		before = Position{Height: head + 1}
	}
	r := badgerdb.Range{From: historyOf(about), To: historyKey(about, before), Descending: true, Limit: max(limit, 0),
		MaxBytes: 1 << 20}
	pairs, err := a.space.Scan(r)
	if err != nil {
		return nil, fmt.Errorf("read history of %s: %w", about, err)
	}
	var receipts []ledger.Receipt
	for _, pair := range pairs {
		p, _ := parsePosition(pair.Key)
		receipt, err := a.receiptAt(p)
		if errors.Is(err, ledger.ErrNotFound) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read history of %s: %w", about, err)
		}
		receipts = append(receipts, receipt)
	}
	return receipts, nil
}

// blocksBytes bounds the records that one call of Blocks reads; the block that crosses the bound is read to its end.
const blocksBytes = 4 << 20

// Blocks returns up to limit blocks from a height on, without a gap; none if there is none yet. Errors wrap ErrPruned
// if the first has been pruned.
func (a *App) Blocks(from uint64, limit int) ([]Block, error) {
	from = max(from, 1)
	blocks, err := a.readBlocks(from, limit)
	// Check afterwards: blocks may have been pruned during the read.
	if kept, at, timeErr := a.Kept(); from < kept {
		return nil, errors.Join(fmt.Errorf("read log from height %d: %w: it begins at %s", from, ErrPruned,
			Since(kept, at)), timeErr)
	}
	if err != nil {
		return nil, fmt.Errorf("read log from height %d: %w", from, err)
	}
	return blocks, nil
}

// Since names the first block that is kept, for people.
func Since(height uint64, at time.Time) string {
	if at.IsZero() {
		return fmt.Sprintf("height %d", height)
	}
	return fmt.Sprintf("height %d of %s", height, at.UTC().Format(time.DateTime+" UTC"))
}

func (a *App) readBlocks(from uint64, limit int) (blocks []Block, err error) {
	head := a.View().Height
	at, end, size := logKey(from, 0), logKey(head+1, 0), 0
	for {
		pairs, err := a.space.Scan(badgerdb.Range{From: at, To: end, Limit: 1024, MaxBytes: 1 << 20})
		if err != nil || len(pairs) == 0 {
			return blocks, err
		}
		for _, pair := range pairs {
			p, ok := parsePosition(pair.Key)
			if p.Index == 0 && (len(blocks) >= limit || size >= blocksBytes) {
				return blocks, nil
			}
			if blocks, err = appendRecord(blocks, p, pair.Value); !ok || err != nil {
				return nil, fmt.Errorf("at height %d: %w", p.Height, errors.Join(err, errRecord))
			}
			size += len(pair.Value)
		}
		at = append(pairs[len(pairs)-1].Key, 0)
	}
}

// appendRecord adds a record of the log to its block.
func appendRecord(blocks []Block, p Position, record []byte) ([]Block, error) {
	if p.Index == 0 {
		time, events, err := unmarshalBlock(record)
		return append(blocks, Block{Height: p.Height, Time: time, Events: events}), err
	}
	if len(blocks) == 0 || blocks[len(blocks)-1].Height != p.Height {
		return blocks, errRecord
	}
	_, receipt, err := unmarshalRecord(record)
	last := &blocks[len(blocks)-1]
	last.Receipts = append(last.Receipts, receipt)
	return blocks, err
}
