package pages

import (
	"context"
	"errors"
	"io"
	"time"

	"walrus/ledger"
	"walrus/shards"
)

// ErrNotFound is what Data wraps for a node, a blob or a record that there is not.
var ErrNotFound = errors.New("not found")

// Data answers what the pages show. Answers may be a few seconds old; callers must not change them. Errors that wrap
// ErrNotFound become 404, all others 503: the network could not say.
type Data interface {
	// Network is where the network is and how its nodes are. If the ledger cannot be asked, it says so and has what the
	// nodes tell.
	Network(ctx context.Context) (*Network, error)
	// Node is one node of the committee, by peer ID or by name.
	Node(ctx context.Context, key string) (*Node, error)
	// Blob is what ledger and nodes say of a blob. An error that wraps ErrNotFound says what is known of it.
	Blob(ctx context.Context, id shards.BlobID) (*Blob, error)
	// Record is a record of a blob on the ledger.
	Record(ctx context.Context, object ledger.ObjectID) (*RecordDetail, error)
	// Blocks are the newest blocks below a height; at 0 the newest of all.
	Blocks(ctx context.Context, before uint64) (*BlockList, error)
	// Block is one block.
	Block(ctx context.Context, height uint64) (*BlockDetail, error)
	// Transactions are the newest ones before a place that a list gave; "" is the end.
	Transactions(ctx context.Context, before string) (*TransactionList, error)
	// Transaction is one transaction.
	Transaction(ctx context.Context, id ledger.TxID) (*Transaction, error)
	// Owner is an account, with its newest transactions before a place. One that never had anything is ErrNotFound.
	Owner(ctx context.Context, a ledger.Address, before string) (*Owner, error)
	// Price of storing size bytes for epochs. ErrRange for epochs that are not sold or a blob that is too large.
	Price(ctx context.Context, size uint64, epochs uint32) (*Price, error)
	// Store stores and pays.
	Store(ctx context.Context, u Upload) (*Stored, error)
}

// ErrRange is what Price wraps for numbers that the network does not sell.
var ErrRange = errors.New("not on sale")

// Network is the network as a whole: GET /explorer/api/network.
type Network struct {
	ID         string        `json:"networkId"`
	Time       time.Time     `json:"time"` // when all this was asked
	OK         bool          `json:"ok"`   // every node serves and holds all it owes, and the ledger answers
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

// Epoch is the current epoch. It, prices, capacity and supply are missing while the ledger cannot be asked.
type Epoch struct {
	Number   uint32        `json:"number"`
	End      time.Time     `json:"endTime"` // as scheduled
	Duration time.Duration `json:"durationNanos"`
}

// At is when epoch n begins if all epochs keep to their time.
func (e *Epoch) At(n uint32) time.Time {
	return e.End.Add(time.Duration(int64(n)-int64(e.Number)-1) * e.Duration)
}

// Prices are what storing costs, in FROST; a unit is a MiB of encoded size.
type Prices struct {
	Storage   ledger.Amount `json:"storagePerUnitAndEpochFrost"`
	Write     ledger.Amount `json:"writePerUnitFrost"`
	FeeTx     ledger.Amount `json:"feePerTransactionFrost"`
	FeeByte   ledger.Amount `json:"feePerByteFrost"`
	MaxEpochs uint32        `json:"maxEpochsAhead"`
}

// Capacity is storage in this epoch, in bytes of encoded size.
type Capacity struct {
	Total uint64 `json:"totalBytes"`
	Sold  uint64 `json:"soldBytes"`
}

// Supply is where WAL is.
type Supply struct {
	Burned  ledger.Amount `json:"burnedFrost"`  // since the beginning
	Rewards ledger.Amount `json:"rewardsFrost"` // that this epoch pays out at its end, so far
}

// Committee are the numbers that decide: up to Faulty shards may lie or be lost, Quorum confirm a blob.
type Committee struct {
	Members int `json:"members"`
	Shards  int `json:"shards"`
	Faulty  int `json:"maxFaultyShards"`
	Quorum  int `json:"quorumShards"`
}

// LedgerState is how the ledger is.
type LedgerState struct {
	Live      bool   `json:"live"`            // it proved something just now
	Error     string `json:"error,omitempty"` // why not
	Height    uint64 `json:"height"`          // that nodes with an honest shard among them have reached
	Reachable int    `json:"reachableShards"` // of nodes that answered
}

// Storage is what the nodes say they keep, together.
type Storage struct {
	Blobs     uint64 `json:"blobs"`     // certified ones that nodes with an honest shard among them know
	DiskBytes uint64 `json:"diskBytes"` // of all nodes that answered
	Owed      uint64 `json:"owedSlivers"`
}

// NodeSummary is one node in the list of all.
type NodeSummary struct {
	Name      string `json:"name"`
	Peer      string `json:"peer"`
	Shards    int    `json:"shards"`
	Reachable bool   `json:"reachable"`
	OK        bool   `json:"ok"`
	Why       string `json:"why,omitempty"` // why it is not OK
	State     string `json:"state,omitempty"`
	Blobs     uint64 `json:"blobs"`
	DiskBytes uint64 `json:"diskBytes"`
	Owed      uint64 `json:"owedSlivers"` // its repair queue
	Epoch     uint32 `json:"epoch"`
	Height    uint64 `json:"ledgerHeight"`
	Version   string `json:"version,omitempty"`
}

// Node is one node: GET /explorer/api/nodes/{name or peer}.
type Node struct {
	NodeSummary
	Time      time.Time     `json:"time"`     // when it was asked
	ShardIDs  []int         `json:"shardIds"` // by the committee
	Weight    Committee     `json:"committee"`
	Slivers   uint64        `json:"slivers"`
	Corrupt   uint64        `json:"corruptSlivers"` // found damaged and not yet repaired
	Uptime    time.Duration `json:"uptimeNanos"`
	Peers     int           `json:"connectedPeers"`
	Addresses []string      `json:"addresses"`                // as it says
	Incidents []string      `json:"incidents"`                // newest first
	Limit     uint64        `json:"diskLimitBytes,omitempty"` // that its operator set; 0: none
	Free      uint64        `json:"diskFreeBytes"`            // of its file system
	Reserve   uint64        `json:"diskReserveBytes"`         // of those it leaves alone
	Refuses   string        `json:"refuses,omitempty"`        // why it takes no new data
	Seen      time.Time     `json:"seenTime,omitzero"`        // when it last answered this gateway, if it does not now
	History   *NodeHistory  `json:"history,omitempty"`        // missing if it keeps none, or never told this gateway
	Ledger    string        `json:"ledger,omitempty"`
	Earnings  *Earnings     `json:"earnings,omitempty"` // missing while the ledger cannot be asked
}

// Earnings is what a node gets at the end of this epoch if nothing more were sold: its
// part, by shards, of what this epoch's pot holds so far, after the burn. What did not divide in the last epoch comes on
// top.
type Earnings struct {
	Pot      ledger.Amount `json:"potFrost"`
	Burn     ledger.Amount `json:"burnFrost"`
	Share    ledger.Amount `json:"shareFrost"`
	Epoch    uint32        `json:"epoch"`
	EpochEnd time.Time     `json:"epochEndTime"`
}

// Sample is what this gateway did in the seconds before Time, and where the network was.
type Sample struct {
	Time   time.Time `json:"time"`
	Stored float64   `json:"storedBytesPerSecond"`
	Read   float64   `json:"readBytesPerSecond"`
	Blobs  uint64    `json:"blobs"`
	Height uint64    `json:"ledgerHeight"`
}

// Price of storing a blob, in FROST.
type Price struct {
	Size        uint64        `json:"size"`
	EncodedSize uint64        `json:"encodedSize"`
	Epochs      uint32        `json:"epochs"`
	Storage     ledger.Amount `json:"storageFrost"`
	Write       ledger.Amount `json:"writeFrost"`
	Fees        ledger.Amount `json:"feesFrost"` // of transactions, about
	Total       ledger.Amount `json:"totalFrost"`
	Text        string        `json:"text"` // Total in WAL, for people
	End         time.Time     `json:"endTime"`
	EndText     string        `json:"endText"` // the same for people
}

// Upload is a blob to store.
type Upload struct {
	File        io.ReaderAt
	Size        uint64
	ContentType string // of the file as the browser says; may be empty
	Epochs      uint32
	Permanent   bool
}

// Stored is a blob that was stored.
type Stored struct {
	ID   shards.BlobID
	Cost ledger.Amount
}

// StoredWhole is Stored in whole bytes.
func (s Sample) StoredWhole() uint64 { return uint64(max(0, s.Stored)) }

// ReadWhole is Read in whole bytes.
func (s Sample) ReadWhole() uint64 { return uint64(max(0, s.Read)) }
