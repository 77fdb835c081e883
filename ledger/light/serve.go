package light

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"walrus/ledger"
	"walrus/ledger/merkle"
)

// endpoint describes one kind of request.
type endpoint struct {
	wait    time.Duration // bound on the node's wait
	limit   int           // greatest size of the answer, in bytes
	request func() request
}

// request is a message that a Source answers. It may have a method cost, if its answer needs less memory than the
// endpoint's limit, and a method weight, if it counts as more than one request.
type request interface {
	message
	answer(ctx context.Context, s Source) (message, error)
}

// endpoints maps protocols to endpoints.
var endpoints = map[string]*endpoint{
	blockProtocol:     {0, maxBlock + maxText + 64, func() request { return new(blockRequest) }},
	handoversProtocol: {0, maxHandoversPage, func() request { return new(handoversRequest) }},
	readProtocol:      {readWait, maxReading, func() request { return new(readRequest) }},
	submitProtocol:    {receiptWait, maxInclusion, func() request { return new(submitRequest) }},
	receiptProtocol:   {receiptWait, maxInclusion, func() request { return new(receiptRequest) }},
	historyProtocol:   {0, maxPage, func() request { return new(historyRequest) }},
	aboutProtocol:     {0, maxPage, func() request { return new(aboutRequest) }},
	objectsProtocol:   {0, 4 + MaxObjects*(len(ledger.ObjectID{})+1), func() request { return new(objectsRequest) }},
	snapshotsProtocol: {0, MaxSnapshots*8 + 4, func() request { return new(snapshotsRequest) }},
	rangeProtocol:     {0, MaxRange + merkle.MaxRangeProofSize + 9, func() request { return new(rangeRequest) }},
	clockProtocol:     {0, 8, func() request { return new(clockRequest) }},
}

// smallAnswer bounds most answers, in bytes, with the validators of a hundred nodes.
const smallAnswer = 32 << 10

func (m *blockRequest) cost() int64 { return smallAnswer }

func (m *blockRequest) answer(ctx context.Context, s Source) (message, error) {
	b, err := s.LightBlock(ctx, m.Height)
	if err != nil {
		return nil, err
	}
	return &blockAnswer{b, s.Trouble()}, nil
}

// usualValue is the usual size of a value with its proof, in bytes.
const usualValue = 4 << 10

func (m *readRequest) cost() int64 {
	return smallAnswer + int64(len(m.Keys))*usualValue + 2*sha256.Size<<m.Top
}
func (m *readRequest) weight() float64 {
	return 1 + float64(len(m.Keys))/32 + float64(int(1)<<m.Top)/512
}

func (m *readRequest) answer(ctx context.Context, s Source) (message, error) {
	wait, cancel := context.WithTimeout(ctx, readWait)
	defer cancel()
	r, err := s.Read(wait, m.At, m.Keys)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("%w: %d", ErrBehind, m.Height)
	}
	if err != nil {
		return nil, err
	}
	size := 0
	for i := range r.Items {
		size += len(r.Items[i].Value) + usualValue
	}
	if size > maxReading-maxBlock-merkle.MaxTopSize {
		return nil, fmt.Errorf("%w: the values are too long for one answer: ask for fewer", ErrRequest)
	}
	return &readAnswer{*r, s.Trouble()}, nil
}

func (m *submitRequest) cost() int64     { return smallAnswer + int64(len(m.Tx)) }
func (m *submitRequest) weight() float64 { return 2 }

func (m *submitRequest) answer(ctx context.Context, s Source) (message, error) {
	if err := s.Submit(ctx, m.Tx); err != nil {
		return nil, err
	}
	answer, err := receipt(ctx, s, ledger.HashTx(m.Tx), receiptWait)
	if err != nil && !errors.Is(err, ErrPending) { // the transaction has been accepted all the same
		return nil, fmt.Errorf("%w: %w", ErrPending, err)
	}
	return answer, err
}

func (m *receiptRequest) cost() int64     { return smallAnswer }
func (m *receiptRequest) weight() float64 { return proofWeight }

func (m *receiptRequest) answer(ctx context.Context, s Source) (message, error) {
	if m.Wait {
		return receipt(ctx, s, m.ID, receiptWait)
	}
	return receipt(ctx, s, m.ID, lookTime)
}

// lookTime bounds a node's search for a receipt that it should have.
const lookTime = 200 * time.Millisecond

// troubleTime is the wait for a receipt after which the node checks whether the ledger moves at all.
const troubleTime = time.Second

// receipt waits for a receipt, unless the ledger is stalled.
func receipt(ctx context.Context, s Source, id ledger.TxID, wait time.Duration) (message, error) {
	for wait > 0 {
		some := min(wait, troubleTime)
		wait -= some
		i, err := receiptWithin(ctx, s, id, some)
		if err == nil {
			return i, nil
		}
		if ctx.Err() != nil || !errors.Is(err, ledger.ErrNotFound) && !errors.Is(err, context.DeadlineExceeded) {
			return nil, err
		}
		if trouble := s.Trouble(); trouble != "" {
			return nil, fmt.Errorf("%w: %s", errHeldUp, trouble)
		}
	}
	return nil, ErrPending
}

func receiptWithin(ctx context.Context, s Source, id ledger.TxID, wait time.Duration) (*Inclusion, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return s.Receipt(ctx, id)
}

// proofWeight is the weight of a request that needs proofs from a block: a full block takes some milliseconds to
// read.
const proofWeight = 2

func (m *historyRequest) cost() int64     { return m.any().cost() }
func (m *historyRequest) weight() float64 { return m.any().weight() }

func (m *historyRequest) answer(ctx context.Context, s Source) (message, error) {
	return m.any().answer(ctx, s)
}

func (m *historyRequest) any() *aboutRequest {
	return &aboutRequest{ledger.AboutAccount(m.Account), m.Before, m.Limit}
}

func (m *aboutRequest) cost() int64 {
	return min(maxPage, int64(m.Limit)*(ledger.MaxTxSize+smallAnswer))
}
func (m *aboutRequest) weight() float64 { return 1 + proofWeight*float64(m.Limit) }

// answer returns as much of the page as fits.
func (m *aboutRequest) answer(ctx context.Context, s Source) (message, error) {
	page, oldest, err := s.History(ctx, m.About, m.Before, int(m.Limit))
	if err != nil {
		return nil, err
	}
	a := &historyAnswer{More: len(page) == int(m.Limit), Oldest: oldest}
	for size := 0; len(a.Inclusions) < len(page); {
		i := page[len(a.Inclusions)]
		b, err := encode(&i)
		if err != nil {
			return nil, fmt.Errorf("encode transaction %s: %w", i.Receipt.ID, err)
		}
		if size += len(b); size > maxPage-64 && len(a.Inclusions) > 0 {
			a.More = true
			break
		}
		a.Inclusions = append(a.Inclusions, i)
	}
	return a, nil
}

func (m *objectsRequest) weight() float64 { return 1 + float64(m.Limit)/128 }
func (m *objectsRequest) cost() int64     { return 64 * int64(m.Limit) }

func (m *objectsRequest) answer(ctx context.Context, s Source) (message, error) {
	list, err := s.Objects(ctx, m.Listing, m.After, int(m.Limit))
	if err != nil {
		return nil, err
	}
	return &objectsAnswer{list}, nil
}

func (m *snapshotsRequest) answer(ctx context.Context, s Source) (message, error) {
	list, err := s.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	return &snapshotsAnswer{list}, nil
}

// rangeWeight is the weight of a request for a range, which takes some milliseconds to read. One peer gets 32 MB of the
// state a second.
const rangeWeight = 8

func (m *rangeRequest) weight() float64 { return rangeWeight }

func (m *rangeRequest) answer(ctx context.Context, s Source) (message, error) {
	r, err := s.Range(ctx, m.Height, m.First, m.Last, int(m.Limit))
	if err != nil {
		return nil, err
	}
	return &rangeAnswer{*r}, nil
}
