package pages

import (
	"time"

	"walrus/ledger"
	"walrus/shards"
)

// Block is a block of the ledger, as two thirds of the shards signed it.
type Block struct {
	Height   uint64    `json:"height"`
	Time     time.Time `json:"time"`
	Hash     string    `json:"hash"`
	Empty    bool      `json:"empty"` // it has no transaction
	Proposer string    `json:"proposer"`
	Peer     string    `json:"proposerPeer,omitempty"` // of the proposer
	Signed   int       `json:"signedShards"`           // of those who may vote
	Of       int       `json:"votingShards"`
}

// BlockList is some blocks, the newest first: GET /explorer/api/blocks?before=.
type BlockList struct {
	Blocks []Block `json:"blocks"`
	Next   uint64  `json:"nextBefore,omitempty"` // where the next page begins; 0 after the last
}

// BlockDetail is a block with its transactions: GET /explorer/api/blocks/{height}.
type BlockDetail struct {
	Block
	Head         uint64        `json:"headHeight"` // at least: the newest block that this gateway knows
	Transactions []Transaction `json:"transactions"`
	More         bool          `json:"more"` // there are more
}

// Transaction is a committed one: GET /explorer/api/transactions/{ID}. All of it is proven but Log, the word of a node.
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

// TransactionList is some transactions, the newest first: GET /explorer/api/transactions?before=.
type TransactionList struct {
	Transactions []Transaction `json:"transactions"`
	Next         string        `json:"nextBefore,omitempty"`   // where the next page begins; empty after the last
	Oldest       uint64        `json:"oldestHeight,omitempty"` // on the last page: the node that was asked keeps nothing from before
}

// Owner is what an account has: GET /explorer/api/owners/{address}. It is proven, and so is that nothing is missing.
type Owner struct {
	Address  ledger.Address `json:"address"`
	Balance  ledger.Amount  `json:"balanceFrost"`
	Nonce    uint64         `json:"nonce"`
	Epoch    uint32         `json:"epoch"` // now
	Blobs    []OwnedBlob    `json:"blobs"`
	Storages []OwnedStorage `json:"storages"`
	TransactionList
}

// OwnedBlob is a record.
type OwnedBlob struct {
	Object ledger.ObjectID `json:"objectId"`
	ledger.Blob
}

// OwnedStorage is a storage resource.
type OwnedStorage struct {
	Object ledger.ObjectID `json:"objectId"`
	ledger.Storage
}

// RecordDetail is a record of a blob: GET /explorer/api/records/{object ID}.
type RecordDetail struct {
	OwnedBlob
	Epoch   uint32    `json:"epoch"` // now
	EndTime time.Time `json:"endTime,omitzero"`
}

// QuiltFile is one file of a quilt.
type QuiltFile struct {
	Identifier string            `json:"identifier"`
	PatchID    string            `json:"patchId"`
	Columns    int               `json:"columns"` // that it takes; how many bytes it has its first one says
	Tags       map[string]string `json:"tags,omitempty"`
}

// BlobEvent is a registration or a certificate among the newest transactions.
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

// NodeHistory is how a node was, by its own word.
type NodeHistory struct {
	Told   time.Time      `json:"time"` // when the node told it
	Day    HistorySum     `json:"day"`
	Month  HistorySum     `json:"month"`
	Points []HistoryPoint `json:"points"` // oldest first
}

// HistorySum is what a node did over a time.
type HistorySum struct {
	Span     time.Duration `json:"spanNanos"` // how much of the day or month it remembers
	Up       time.Duration `json:"upNanos"`
	Received uint64        `json:"receivedBytes"`
	Sent     uint64        `json:"sentBytes"`
	Repaired uint64        `json:"repairedSlivers"`
}

// Known says whether the node remembers any of that time.
func (s HistorySum) Known() bool { return s.Span > 0 }

// Percent of the time for which it was up.
func (s HistorySum) Percent() string { return percentText(uint64(min(s.Up, s.Span)), uint64(s.Span)) }

// HistoryPoint is what a node says of a time that ended at End.
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
