package pages

import (
	"context"
	"errors"
	"io"
	"time"

	"walrus/ledger"
	"walrus/shards"
)

// ErrNotFound is wrapped by Data's errors for a node, a blob or a record that does not exist.
var ErrNotFound = errors.New("not found")

// Data provides what the pages show of the network and of blobs. Answers, also from Ledger, may be a few seconds
// old; callers must not change them. Errors that wrap ErrNotFound become 404, ErrRange 400, a *Refusal its own status,
// and all others 503: the network does not answer.
type Data interface {
	// Network returns the state of the network and its nodes. If the ledger does not answer, the result says so and
	// contains the nodes' reports.
	Network(ctx context.Context) (*Network, error)
	// Node returns a node of the committee, by peer ID or name.
	Node(ctx context.Context, key string) (*Node, error)
	// Blob returns the reports of ledger and nodes about a blob. An error that wraps ErrNotFound says what is known of
	// it.
	Blob(ctx context.Context, id shards.BlobID) (*Blob, error)
	// Price returns the price of storing size bytes for epochs. ErrRange: the network does not sell so many, or the
	// blob is too large.
	Price(ctx context.Context, size uint64, epochs uint32) (*Price, error)
	// Store stores a blob and pays for it.
	Store(ctx context.Context, u Upload) (*Stored, error)
}

// Ledger reads the ledger's history and accounts: see Data.
type Ledger interface {
	// Record returns a blob's record on the ledger.
	Record(ctx context.Context, object ledger.ObjectID) (*RecordDetail, error)
	// Blocks returns the newest blocks below a height; 0 means the newest of all.
	Blocks(ctx context.Context, before uint64) (*BlockList, error)
	// Block returns the block at a height.
	Block(ctx context.Context, height uint64) (*BlockDetail, error)
	// Transactions returns the newest transactions before a place named by an earlier list; "" means the end.
	Transactions(ctx context.Context, before string) (*TransactionList, error)
	// Transaction returns the transaction with that ID.
	Transaction(ctx context.Context, id ledger.TxID) (*Transaction, error)
	// Owner returns an account and its newest transactions before a place. An account that was never used gives
	// ErrNotFound.
	Owner(ctx context.Context, a ledger.Address, before string) (*Owner, error)
}

// ErrRange is wrapped by Price's errors for numbers that the network does not sell.
var ErrRange = errors.New("not on sale")

// Network is the state of the network: GET /explorer/api/network.
type Network struct {
	ID         string        `json:"networkId"`
	Time       time.Time     `json:"time"` // when the nodes were asked
	OK         bool          `json:"ok"`   // every node serves and holds all its slivers, and the ledger answers
	Epoch      *Epoch        `json:"epoch,omitempty"`
	Prices     *Prices       `json:"prices,omitempty"`
	Capacity   *Capacity     `json:"capacity,omitempty"`
	Supply     *Supply       `json:"supply,omitempty"`
	Committee  Committee     `json:"committee"`
	Ledger     LedgerState   `json:"ledger"`
	Storage    Storage       `json:"storage"`
	Nodes      []NodeSummary `json:"nodes"`      // in committee order
	Throughput []Sample      `json:"throughput"` // of this gateway, oldest first
}

// Epoch describes the current epoch. Epoch, prices, capacity and supply are missing while the ledger does not answer.
type Epoch struct {
	Number   uint32        `json:"number"`
	End      time.Time     `json:"endTime"` // as scheduled
	Duration time.Duration `json:"durationNanos"`
}

// At returns the time at which epoch n begins, if all epochs have their scheduled length.
func (e *Epoch) At(n uint32) time.Time {
	return e.End.Add(time.Duration(int64(n)-int64(e.Number)-1) * e.Duration)
}

// Prices lists storage prices in FROST; a unit is a MiB of encoded size.
type Prices struct {
	Storage   ledger.Amount `json:"storagePerUnitAndEpochFrost"`
	Write     ledger.Amount `json:"writePerUnitFrost"`
	FeeTx     ledger.Amount `json:"feePerTransactionFrost"`
	FeeByte   ledger.Amount `json:"feePerByteFrost"`
	FeeWork   ledger.Amount `json:"feePerWorkFrost"`
	MaxEpochs uint32        `json:"maxEpochsAhead"`
}

// Capacity describes the storage of this epoch, in bytes of encoded size.
type Capacity struct {
	Total uint64 `json:"totalBytes"`
	Sold  uint64 `json:"soldBytes"`
}

// Supply describes the WAL in existence.
type Supply struct {
	Burned  ledger.Amount `json:"burnedFrost"`  // since the beginning
	Rewards ledger.Amount `json:"rewardsFrost"` // paid out at the end of this epoch, so far
}

// Committee lists the committee's thresholds: up to Faulty shards may lie or be lost; Quorum shards confirm a blob.
type Committee struct {
	Members int `json:"members"`
	Shards  int `json:"shards"`
	Faulty  int `json:"maxFaultyShards"`
	Quorum  int `json:"quorumShards"`
}

// LedgerState describes the state of the ledger.
type LedgerState struct {
	Live      bool   `json:"live"`            // it has just proven something
	Error     string `json:"error,omitempty"` // why it is not live
	Height    uint64 `json:"height"`          // reached by nodes of which at least one shard is honest
	Reachable int    `json:"reachableShards"` // shards of nodes that answered
}

// Storage sums up what the nodes report to store.
type Storage struct {
	Blobs     uint64 `json:"blobs"`     // certified blobs known to nodes of which at least one shard is honest
	DiskBytes uint64 `json:"diskBytes"` // of all nodes that answered
	Owed      uint64 `json:"owedSlivers"`
}

// NodeSummary is a node's entry in the list of nodes.
type NodeSummary struct {
	Name      string `json:"name"`
	Peer      string `json:"peer"`
	Shards    int    `json:"shards"`
	Reachable bool   `json:"reachable"`
	OK        bool   `json:"ok"`
	Why       string `json:"why,omitempty"` // why OK is false
	State     string `json:"state,omitempty"`
	Blobs     uint64 `json:"blobs"`
	DiskBytes uint64 `json:"diskBytes"`
	Owed      uint64 `json:"owedSlivers"` // its repair queue
	Epoch     uint32 `json:"epoch"`
	Height    uint64 `json:"ledgerHeight"`
	Version   string `json:"version,omitempty"`
}

// Node describes one node: GET /explorer/api/nodes/{name or peer}.
type Node struct {
	NodeSummary
	Time      time.Time     `json:"time"`     // when it was asked
	ShardIDs  []int         `json:"shardIds"` // assigned by the committee
	Weight    Committee     `json:"committee"`
	Slivers   uint64        `json:"slivers"`
	Corrupt   uint64        `json:"corruptSlivers"` // found damaged and not yet repaired
	Uptime    time.Duration `json:"uptimeNanos"`
	Peers     int           `json:"connectedPeers"`
	Addresses []string      `json:"addresses"`                // reported by the node
	Reach     string        `json:"reach,omitempty"`          // how others reach it, in its own words
	Incidents []string      `json:"incidents"`                // newest first
	Limit     uint64        `json:"diskLimitBytes,omitempty"` // set by its operator; 0: none
	Free      uint64        `json:"diskFreeBytes"`            // free bytes of its file system
	Reserve   uint64        `json:"diskReserveBytes"`         // free bytes that it does not use
	Refuses   string        `json:"refuses,omitempty"`        // why it takes no new data
	Seen      time.Time     `json:"seenTime,omitzero"`        // last answer to this gateway, if it is silent now
	History   *NodeHistory  `json:"history,omitempty"`        // missing if it keeps none, or never sent it to this gateway
	Ledger    string        `json:"ledger,omitempty"`
	Earnings  *Earnings     `json:"earnings,omitempty"` // missing while the ledger does not answer
}

// Earnings estimates a node's reward at the end of this epoch, if nothing more is sold: its share, by shards, of this
// epoch's pot so far, after the burn. Remainders of the last epoch are added.
type Earnings struct {
	Pot      ledger.Amount `json:"potFrost"`
	Burn     ledger.Amount `json:"burnFrost"`
	Share    ledger.Amount `json:"shareFrost"`
	Epoch    uint32        `json:"epoch"`
	EpochEnd time.Time     `json:"epochEndTime"`
}

// Sample records this gateway's traffic in the seconds before Time, and the network's state at Time.
type Sample struct {
	Time   time.Time `json:"time"`
	Stored float64   `json:"storedBytesPerSecond"`
	Read   float64   `json:"readBytesPerSecond"`
	Blobs  uint64    `json:"blobs"`
	Height uint64    `json:"ledgerHeight"`
}

// Price breaks down the price of storing a blob, in FROST.
type Price struct {
	Size        uint64        `json:"size"`
	EncodedSize uint64        `json:"encodedSize"`
	Epochs      uint32        `json:"epochs"`
	Storage     ledger.Amount `json:"storageFrost"`
	Write       ledger.Amount `json:"writeFrost"`
	Fees        ledger.Amount `json:"feesFrost"` // of transactions, estimated
	Total       ledger.Amount `json:"totalFrost"`
	Text        string        `json:"text"` // Total in WAL, for people
	End         time.Time     `json:"endTime"`
	EndText     string        `json:"endText"` // EndTime for people
}

// Upload is a blob to be stored.
type Upload struct {
	File        io.ReaderAt
	Size        uint64
	ContentType string // reported by the browser; may be empty
	Epochs      uint32
	Permanent   bool
}

// Stored is a blob that was stored.
type Stored struct {
	ID   shards.BlobID
	Cost ledger.Amount
}

// StoredWhole returns Stored in whole bytes.
func (s Sample) StoredWhole() uint64 { return uint64(max(0, s.Stored)) }

// ReadWhole returns Read in whole bytes.
func (s Sample) ReadWhole() uint64 { return uint64(max(0, s.Read)) }
