package light

import (
	"fmt"
	"time"

	"walrus/certs"
	"walrus/ledger"
	"walrus/ledger/merkle"
)

// Limits of the protocols. All implementations must have the same.
const (
	// MaxKeys bounds the keys of one read: it fits a committee of a hundred, or a page of records.
	MaxKeys = 128
	// MaxKeySize bounds a key of the state, in bytes; the longest keys have 33.
	MaxKeySize = 64
	// MaxHistory bounds the transactions of a page of history.
	MaxHistory = 32
	// MaxHandovers bounds a page of hand-overs: some 600 KiB with a hundred validators.
	MaxHandovers = 32
	// MaxObjects bounds a page of objects: of 50,000 there are 7 pages, read while a node keeps a state.
	MaxObjects = 8192
	// MaxSnapshots bounds the heights whose state a node offers to joining nodes.
	MaxSnapshots = 8
	// MaxRange bounds the pairs of one range of the state, in bytes: the greatest pair fits, usually 2000 do.
	MaxRange = 256 << 10

	// maxRequest bounds a request, in bytes: a transaction and the fields around it.
	maxRequest = ledger.MaxTxSize + 64<<10
	// maxBlock bounds a header with its signatures and validators, in bytes: some 200 for each of the largest
	// committee.
	maxBlock = 16<<10 + 256*certs.MaxMembers
	// maxHandoversPage bounds a page of hand-overs, in bytes; a node sends a shorter page rather than a larger one.
	maxHandoversPage = 1<<20 + maxBlock
	// maxPages bounds the pages followed to one block. Each hand-over is verified before the next page is fetched.
	maxPages = 128
	// maxValue bounds a value of the state, in bytes: the longest is a member that holds all shards of the largest
	// network.
	maxValue = 128 << 10
	// maxReading bounds the answer to a read. Values are seldom longer than 200 bytes, proofs seldom longer than 1 KiB.
	maxReading = maxBlock + 4<<20 + maxTop
	// maxTop bounds the top of a tree in it, in bytes.
	maxTop = 136 << 10
	// maxAunts bounds the hashes in the proof of a transaction or a result: enough for 2³² in a block.
	maxAunts = 32
	// maxInclusion bounds a transaction with receipt and proofs, in bytes.
	maxInclusion = maxBlock + maxHeader + ledger.MaxTxSize + ledger.MaxReceiptSize + 2*(16+32*maxAunts) + 64
	// maxHeader bounds a header alone, in bytes.
	maxHeader = 4 << 10
	// maxPage bounds a page of history, in bytes; a node sends a shorter page rather than a larger one.
	maxPage = maxInclusion + 2<<20
	// maxText bounds a node's texts for people, in bytes.
	maxText = 512
)

// A pair must fit into a range.
var _ [MaxRange - maxValue - MaxKeySize - 8]struct{}

// A proof must fit beside a value, and the top of a tree into its room.
var (
	_ [maxReading - maxBlock - maxValue - merkle.MaxProofSize]struct{}
	_ [maxTop - merkle.MaxTopSize]struct{}
)

const (
	// readWait bounds a node's wait for a height that is about to come, before it answers that it is behind.
	readWait = 3 * time.Second
	// receiptWait bounds a node's wait for a transaction to be committed.
	receiptWait = 10 * time.Second
	// answerTime bounds a request without the node's wait.
	answerTime = 10 * time.Second
	// requestTime bounds a node's wait for the request on a new stream.
	requestTime = 5 * time.Second
	// connectTime bounds finding and dialing a node.
	connectTime = 10 * time.Second
	// liarTime: a node that lied is not asked again for this long.
	liarTime = 10 * time.Minute
)

// Limits bound the use of a node by peers. Start from DefaultLimits.
type Limits struct {
	// Requests served or waiting at the same time, in all and for one peer; beyond that the answer is ErrBusy.
	Requests, RequestsPerPeer int
	// Bytes of memory that their answers may hold, likewise. Each counts with its greatest possible size.
	Bytes, BytesPerPeer int64
	// Rate of requests of one peer per second, and Burst, the requests that it may send at once after a pause. A read
	// of many keys counts more than one.
	Rate, Burst float64
	// Peers that are remembered. If all of them are busy, others are refused.
	Peers int
}

// DefaultLimits suit a storage node with 2 GiB of memory or more.
func DefaultLimits() Limits {
	return Limits{
		Requests: 2048, RequestsPerPeer: 256, // most of them wait for a receipt
		Bytes: 256 << 20, BytesPerPeer: 64 << 20,
		Rate: 1000, Burst: 2000,
		Peers: 4096,
	}
}

// Validate checks that every limit is positive and that no limit for one peer exceeds the one for all.
func (l Limits) Validate() error {
	for _, v := range []struct {
		name  string
		value float64
	}{
		{"requests", float64(l.Requests)}, {"requests per peer", float64(l.RequestsPerPeer)},
		{"bytes", float64(l.Bytes)}, {"bytes per peer", float64(l.BytesPerPeer)},
		{"rate", l.Rate}, {"burst", l.Burst}, {"peers", float64(l.Peers)},
	} {
		if !(v.value > 0) {
			return fmt.Errorf("limits: %s is %v: must be positive", v.name, v.value)
		}
	}
	if l.RequestsPerPeer > l.Requests || l.BytesPerPeer > l.Bytes {
		return fmt.Errorf("limits: a limit for one peer is above the limit for all")
	}
	return nil
}
