package app

import (
	"encoding/binary"
	"errors"
	"fmt"

	"walrus/ledger"
	"walrus/ledger/engine/badgerdb"
)

// Block is what happened in a block.
type Block struct {
	Height   uint64
	Time     int64            // Unix nanoseconds
	Events   []ledger.Event   // of the block itself, before its transactions: epochs that began, rewards
	Receipts []ledger.Receipt // of its transactions, in order, those without effect included
}

// marshalBlock makes the log's record of a block: time i64, then its events, each after its length u32, big-endian.
func marshalBlock(time int64, events []ledger.Event) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(time))
	for _, e := range events {
		raw := e.Marshal()
		b = binary.BigEndian.AppendUint32(b, uint32(len(raw)))
		b = append(b, raw...)
	}
	return b
}

var errRecord = errors.New("a record of the log is damaged")

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

// unmarshalRecord reads the log's record of a transaction.
func unmarshalRecord(b []byte) (sender ledger.Address, r ledger.Receipt, err error) {
	if len(b) < len(sender) {
		return sender, r, errRecord
	}
	r, err = ledger.UnmarshalReceipt(b[copy(sender[:], b):])
	return sender, r, err
}

// Receipt is what became of a transaction that was paid for, or ledger.ErrNotFound if it is in no block, or in one that is
// kept no more. In a block it may also be without effect, as if it were not there: then it is not found either.
func (a *App) Receipt(id ledger.TxID) (ledger.Receipt, error) {
	at, err := a.space.Get(txKey(id))
	if err != nil {
		return ledger.Receipt{}, fmt.Errorf("read receipt of transaction %s: %w", id, err)
	}
	p, ok := parsePosition(at)
	if !ok || p.Height > a.View().Height { // of a block that is being written
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
	if record == nil { // pruned in this moment
		return ledger.Receipt{}, ledger.ErrNotFound
	}
	_, r, err := unmarshalRecord(record)
	return r, err
}

// History is the receipts of an account, at most limit, the newest first: of what it sent and paid for, and of what paid
// it or gave it something. That of the zero address is everybody's. They are before a position; the zero Position is behind all.
func (a *App) History(account ledger.Address, before Position, limit int) ([]ledger.Receipt, error) {
	if head := a.View().Height; before == (Position{}) || before.Height > head {
		before = Position{Height: head + 1}
	}
	r := badgerdb.Range{From: append([]byte{'h'}, account[:]...), To: historyKey(account, before), Descending: true,
		Limit: max(limit, 0), MaxBytes: 1 << 20}
	pairs, err := a.space.Scan(r)
	if err != nil {
		return nil, fmt.Errorf("read history of %s: %w", account, err)
	}
	var receipts []ledger.Receipt
	for _, pair := range pairs {
		p, _ := parsePosition(pair.Key)
		receipt, err := a.receiptAt(p)
		if errors.Is(err, ledger.ErrNotFound) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read history of %s: %w", account, err)
		}
		receipts = append(receipts, receipt)
	}
	return receipts, nil
}

// blocksBytes bounds the records that one call of Blocks reads, but for the block with which it reaches it.
const blocksBytes = 4 << 20

// Blocks are the blocks from a height on, at most limit, without a gap; none if there is none yet. Errors wrap ErrPruned
// if the first is kept no more.
func (a *App) Blocks(from uint64, limit int) ([]Block, error) {
	from = max(from, 1)
	blocks, err := a.readBlocks(from, limit)
	// Now, because while it was read some may have been removed.
	if kept := a.kept.Load(); from < kept {
		return nil, fmt.Errorf("read log from height %d: %w: the first is %d", from, ErrPruned, kept)
	}
	if err != nil {
		return nil, fmt.Errorf("read log from height %d: %w", from, err)
	}
	return blocks, nil
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

// appendRecord adds a record of the log to the blocks it is about.
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
