package pages

import (
	"time"

	"walrus/ledger"
	"walrus/shards"
)

// Blob describes a blob: GET /explorer/api/blobs/{id}.
type Blob struct {
	ID          shards.BlobID `json:"blobId"`
	Status      string        `json:"status"`           // one of the Status constants
	Reason      string        `json:"reason,omitempty"` // why a blob that is only pinned is not stored
	Size        uint64        `json:"size"`             // bytes; valid only if SizeKnown
	SizeKnown   bool          `json:"sizeKnown"`        // some node has the metadata
	EncodedSize uint64        `json:"encodedSize"`      // bytes that all nodes store together
	Time        time.Time     `json:"time"`             // when ledger and nodes were asked

	Ledger      BlobLedger   `json:"ledger"`
	Certificate *Certificate `json:"certificate,omitempty"`
	Invalid     *Invalid     `json:"invalid,omitempty"`
	Shards      []Shard      `json:"shards"` // in order
	Bad         []BadNode    `json:"unansweredNodes"`
	Pinners     []Pinner     `json:"pinners"` // hints: nobody has checked them

	ContentType string      `json:"contentType,omitempty"` // by attribute, or guessed from the first bytes
	Quilt       []QuiltFile `json:"quilt,omitempty"`       // the files, if it is one
	// Head is the beginning of the content if it is text; the page shows it.
	Head string `json:"-"`
}

// States of a blob.
const (
	StatusCertified  = "certified"  // on the ledger, with a certificate
	StatusRegistered = "registered" // paid for, not certified yet
	StatusUnknown    = "unknown"    // nodes have it; the ledger does not answer
	StatusInvalid    = "invalid"    // on the ledger, as encoded wrongly: it has no content
	StatusPinned     = "pinned"     // nothing on the ledger, or no longer, but peers keep copies
)

// BlobLedger is the ledger's report about a blob. If the ledger did not answer, only Error is set.
type BlobLedger struct {
	Error          string    `json:"error,omitempty"`
	Epoch          uint32    `json:"epoch"`                    // current epoch
	EndEpoch       uint32    `json:"endEpoch,omitempty"`       // end of the last certified registration, or of the last
	EndTime        time.Time `json:"endTime,omitzero"`         // time of EndEpoch, if epochs have their scheduled length
	CertifiedEpoch uint32    `json:"certifiedEpoch,omitempty"` // of the first certificate
	Permanent      bool      `json:"permanent"`                // nobody can delete it before PermanentEnd
	PermanentEnd   uint32    `json:"permanentEndEpoch,omitempty"`
	Deletable      []Ending  `json:"deletable"` // deletable records, by end
	Records        []Record  `json:"records"`   // records of this gateway's account
}

// Invalid says why a blob has no content: the ledger has marked it for ever.
type Invalid struct {
	Epoch       uint32   `json:"epoch"`
	Height      uint64   `json:"height"`
	Tx          string   `json:"txId"`
	Reason      string   `json:"reason"`
	Explanation []string `json:"explanation"`
}

// Ending counts the deletable records that end with one epoch.
type Ending struct {
	EndEpoch   uint32    `json:"endEpoch"`
	EndTime    time.Time `json:"endTime,omitzero"`
	Registered uint32    `json:"registered"`
	Certified  uint32    `json:"certified"` // how many of them are certified
}

// Record is one registration of a blob.
type Record struct {
	Object     string             `json:"objectId"`
	Owner      string             `json:"owner,omitempty"`
	Deletable  bool               `json:"deletable"`
	Shared     bool               `json:"shared"`
	Registered uint32             `json:"registeredEpoch"`
	Certified  uint32             `json:"certifiedEpoch,omitempty"`
	EndEpoch   uint32             `json:"endEpoch"`
	EndTime    time.Time          `json:"endTime,omitzero"`
	Attributes []ledger.Attribute `json:"attributes"`
}

// Certificate is the proof that a quorum of shards stores the blob. This gateway has verified it.
type Certificate struct {
	Epoch    uint32   `json:"epoch"`
	Weight   int      `json:"signedShards"`
	Quorum   int      `json:"quorumShards"`
	Of       int      `json:"shards"`
	Signers  []Signer `json:"signers"`
	Object   string   `json:"objectId,omitempty"` // the deletable record that it certifies
	Absent   []string `json:"notSigned"`          // names of the members that did not sign
	Verified bool     `json:"verified"`
}

// Signer is a node that signed.
type Signer struct {
	Name   string `json:"name"`
	Peer   string `json:"peer"`
	Shards int    `json:"shards"`
}

// Shard is one shard's part of a blob, as reported by its node.
type Shard struct {
	Index     int    `json:"shard"`
	Pair      int    `json:"pair"`
	Name      string `json:"node"`
	Peer      string `json:"peer"`
	Primary   State  `json:"primary"`
	Secondary State  `json:"secondary"`
}

// State of a sliver.
type State string

// States of slivers, the best first.
const (
	SliverStored State = "stored"
	Repairing    State = "repairing"
	Missing      State = "missing"
	Corrupt      State = "corrupt"
	Unreachable  State = "unreachable"
)

// BadNode is a node that did not answer, or lied.
type BadNode struct {
	Name   string `json:"name"`
	Peer   string `json:"peer"`
	Reason string `json:"reason"`
	Lied   bool   `json:"lied"`
}
