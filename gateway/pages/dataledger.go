package pages

import (
	"time"

	"walrus/ledger"
	"walrus/shards"
)

// Block is a block of the ledger, signed by two thirds of the shards.
type Block struct {
	Height   uint64    `json:"height"`
	Time     time.Time `json:"time"`
	Hash     string    `json:"hash"`
	Empty    bool      `json:"empty"` // without transactions
	Proposer string    `json:"proposer"`
	Peer     string    `json:"proposerPeer,omitempty"` // of the proposer
	Signed   int       `json:"signedShards"`           // shards of the validators that signed
	Of       int       `json:"votingShards"`
}

// BlockList lists blocks, the newest first: GET /explorer/api/blocks?before=.
type BlockList struct {
	Blocks []Block `json:"blocks"`
	Next   uint64  `json:"nextBefore,omitempty"` // where the next page begins; 0 after the last
}

// BlockDetail is a block with its transactions: GET /explorer/api/blocks/{height}.
type BlockDetail struct {
	Block
	Head         uint64        `json:"headHeight"` // newest block that this gateway knows; there may be newer ones
	Transactions []Transaction `json:"transactions"`
	More         bool          `json:"more"` // there are more
}

// Transaction is a committed transaction: GET /explorer/api/transactions/{ID}. Everything except Log is proven; Log is
// a node's word.
type Transaction struct {
	ID         ledger.TxID    `json:"txId"`
	Height     uint64         `json:"height"`
	Index      uint32         `json:"index"`
	Time       time.Time      `json:"time"`
	Sender     ledger.Address `json:"sender"`
	Nonce      uint64         `json:"nonce"`
	Operations []string       `json:"operations"`
	Code       string         `json:"code"` // ok, or why it failed
	Log        string         `json:"log,omitempty"`
	Fee        ledger.Amount  `json:"feeFrost"`
	Spent      ledger.Amount  `json:"spentFrost"`
	Events     []ledger.Event `json:"events"`
}

// TransactionList lists transactions, the newest first: GET /explorer/api/transactions?before=.
type TransactionList struct {
	Transactions []Transaction `json:"transactions"`
	Next         string        `json:"nextBefore,omitempty"`   // where the next page begins; empty after the last
	Oldest       uint64        `json:"oldestHeight,omitempty"` // last page: the node keeps nothing older
}

// Owner lists an account's property: GET /explorer/api/owners/{address}. It is proven to be correct and complete.
type Owner struct {
	Address  ledger.Address `json:"address"`
	Balance  ledger.Amount  `json:"balanceFrost"`
	Nonce    uint64         `json:"nonce"`
	Epoch    uint32         `json:"epoch"` // current epoch
	Blobs    []OwnedBlob    `json:"blobs"`
	Storages []OwnedStorage `json:"storages"`
	TransactionList
}

// OwnedBlob is a blob record of an account.
type OwnedBlob struct {
	Object ledger.ObjectID `json:"objectId"`
	ledger.Blob
}

// OwnedStorage is a storage resource of an account.
type OwnedStorage struct {
	Object ledger.ObjectID `json:"objectId"`
	ledger.Storage
}

// RecordDetail is a blob record: GET /explorer/api/records/{object ID}.
type RecordDetail struct {
	OwnedBlob
	Epoch   uint32    `json:"epoch"` // current epoch
	EndTime time.Time `json:"endTime,omitzero"`
}

// QuiltFile is one file of a quilt.
type QuiltFile struct {
	Identifier string            `json:"identifier"`
	PatchID    string            `json:"patchId"`
	Columns    int               `json:"columns"` // columns it takes; the number of bytes is only in the first of them
	Tags       map[string]string `json:"tags,omitempty"`
}

// BlobEvent is a registration or a certification among the newest transactions.
type BlobEvent struct {
	Blob   shards.BlobID
	Object ledger.ObjectID
	Owner  ledger.Address
	What   string
	Size   uint64
	End    uint32
	Time   time.Time
	Tx     ledger.TxID
}

// NodeHistory is a node's own report of its past.
type NodeHistory struct {
	Told   time.Time      `json:"time"` // when the node sent it
	Day    HistorySum     `json:"day"`
	Month  HistorySum     `json:"month"`
	Points []HistoryPoint `json:"points"` // oldest first
}

// HistorySum sums up a node's work over a time span.
type HistorySum struct {
	Span     time.Duration `json:"spanNanos"` // part of the day or month that the node has points for
	Up       time.Duration `json:"upNanos"`
	Received uint64        `json:"receivedBytes"`
	Sent     uint64        `json:"sentBytes"`
	Repaired uint64        `json:"repairedSlivers"`
}

// Known reports whether the node has any points of that time.
func (s HistorySum) Known() bool { return s.Span > 0 }

// Percent returns the share of the time for which the node was up.
func (s HistorySum) Percent() string { return percentText(uint64(min(s.Up, s.Span)), uint64(s.Span)) }

// HistoryPoint is a node's report of a time span that ended at End.
type HistoryPoint struct {
	End      time.Time     `json:"endTime"`
	Length   time.Duration `json:"lengthNanos"`
	Up       time.Duration `json:"upNanos"`
	Disk     uint64        `json:"diskBytes"`
	Owed     uint64        `json:"owedSlivers"`
	Received uint64        `json:"receivedBytes"`
	Sent     uint64        `json:"sentBytes"`
	Repaired uint64        `json:"repairedSlivers"`
}
