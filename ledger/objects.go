package ledger

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/shards"
)

// ObjectID identifies a storage resource or a blob's record.
type ObjectID = certs.ObjectID

// Account is the state of an address. An address that was never paid has the zero Account.
type Account struct {
	Balance  Amount `json:"balanceFrost"`
	Nonce    uint64 `json:"nonce"`    // of its next transaction
	Storages uint32 `json:"storages"` // storage resources owned, expired ones included
	Blobs    uint32 `json:"blobs"`    // blob records owned, expired ones included
}

// Storage is paid room on the network: Bytes of encoded size in each epoch of [Start, End).
type Storage struct {
	Owner Address `json:"owner"`
	Start uint32  `json:"startEpoch"`
	End   uint32  `json:"endEpoch"`
	Bytes uint64  `json:"storageSize"`
}

// Blob is the record of one registration. One blob ID may have many, of any owners; the blob is stored until the last
// ends.
type Blob struct {
	Owner      Address       `json:"owner,omitzero"` // zero if Shared or given up
	Shared     bool          `json:"shared"`         // anyone may fund and extend it
	Funds      Amount        `json:"fundsFrost"`     // of a shared blob, to pay for extensions
	BlobID     shards.BlobID `json:"blobId"`
	Size       uint64        `json:"size"` // bytes of the blob
	Root       [32]byte      `json:"-"`    // Merkle root of all its sliver pairs
	Deletable  bool          `json:"deletable"`
	Registered uint32        `json:"registeredEpoch"`
	Certified  uint32        `json:"certifiedEpoch,omitempty"` // epoch of its certificate; 0 before it has one
	Start      uint32        `json:"startEpoch"`               // of its storage, as are the next two
	End        uint32        `json:"endEpoch"`
	Bytes      uint64        `json:"storageSize"` // encoded size or more
	Attributes []Attribute   `json:"attributes,omitempty"`
}

// Attribute is a key and a value that the owner attached to a blob's record. Keys are unique and ascending.
type Attribute struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// BlobInfo sums up the records of one blob ID for storage nodes. Ends are exclusive; zero means none. Ask
// RegisteredUntil and CertifiedUntil, which know that an invalid blob is neither.
type BlobInfo struct {
	InitialCertified      uint32         `json:"initialCertifiedEpoch"` // epoch of the first certificate
	PermanentEnd          uint32         `json:"permanentEndEpoch"`     // greatest end of permanent records
	PermanentCertifiedEnd uint32         `json:"permanentCertifiedEndEpoch"`
	Deletable             []DeletableEnd `json:"deletable,omitempty"` // ascending by End, none expired when last touched
	Invalid               bool           `json:"invalid,omitempty"`   // for ever; InvalidBlob says why
}

// DeletableEnd counts the deletable records of a blob ID that end at one epoch.
type DeletableEnd struct {
	End        uint32 `json:"endEpoch"`
	Registered uint32 `json:"registered"` // at least 1
	Certified  uint32 `json:"certified"`  // of those
}

// Pot holds an epoch's earnings, paid out at its end, and the amount of storage sold for it.
type Pot struct {
	Rewards Amount
	Sold    uint64 // bytes of encoded size
}

// EpochInfo describes the current epoch.
type EpochInfo struct {
	Epoch    uint32
	Start    int64  // Unix nanoseconds, as scheduled
	Leftover Amount // rest of the last pot that could not be divided; goes into the next
}

// Supply totals the WAL that is not in balances, pots and funds.
type Supply struct {
	Burned Amount
}

// Params are the parameters that may differ between networks; the genesis sets them.
type Params struct {
	Shards         uint32
	StoragePrice   Amount        // per MiB unit and epoch
	WritePrice     Amount        // per MiB unit, once
	FeeTx          Amount        // per transaction
	FeeByte        Amount        // per byte of a transaction's binary form
	Capacity       uint64        // bytes of encoded size for sale in one epoch
	MaxEpochsAhead uint32        // epochs for which storage is sold in advance
	EpochDuration  time.Duration // length of an epoch
	GenesisTime    int64         // Unix nanoseconds: start of FirstEpoch
	BurnBasis      uint32        // basis points of each pot that are burned
	FeePerWork     Amount        // per unit of a transaction's work: see Params.Work
}

// Member is a storage node of the committee, as recorded on the ledger.
type Member struct {
	Node      peer.ID
	Name      string
	Key       certs.PublicKey
	Proof     certs.Signature
	Consensus PublicKey // Ed25519 key of its validator; zero: it follows the ledger and has no vote on blocks
	Reward    Address   // gets its share of the pots
	Shards    []int
}

// Validates reports whether the member has a key for votes on blocks. Whether it votes is said by Genesis.Voters.
func (m *Member) Validates() bool { return m.Consensus != PublicKey{} }
