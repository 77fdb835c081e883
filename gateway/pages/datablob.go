package pages

import (
	"time"

	"walrus/ledger"
	"walrus/shards"
)

// Blob is a blob: GET /explorer/api/blobs/{id}.
type Blob struct {
	ID          shards.BlobID `json:"blobId"`
	Status      string        `json:"status"`      // one of the Status constants
	Size        uint64        `json:"size"`        // bytes; of no meaning unless SizeKnown
	SizeKnown   bool          `json:"sizeKnown"`   // some node has the metadata
	EncodedSize uint64        `json:"encodedSize"` // bytes that all nodes keep together
	Time        time.Time     `json:"time"`        // when all this was asked

	Ledger      BlobLedger   `json:"ledger"`
	Certificate *Certificate `json:"certificate,omitempty"`
	Shards      []Shard      `json:"shards"` // in order
	Bad         []BadNode    `json:"unansweredNodes"`

	ContentType string      `json:"contentType,omitempty"` // by attribute, or by the first bytes
	Quilt       []QuiltFile `json:"quilt,omitempty"`       // the files, if it is one
	// Head is the beginning of the content if that is text; the page shows it.
	Head string `json:"-"`
}

// States of a blob.
const (
	StatusCertified  = "certified"  // on the ledger, with a certificate
	StatusRegistered = "registered" // paid for, not certified yet
	StatusUnknown    = "unknown"    // nodes have it; the ledger cannot be asked
)

// BlobLedger is what the ledger says of a blob. All but Error is empty if it could not be asked.
type BlobLedger struct {
	Error          string    `json:"error,omitempty"`
	Epoch          uint32    `json:"epoch"`                    // now
	EndEpoch       uint32    `json:"endEpoch,omitempty"`       // at whose start the last certified registration ends, or if none is certified the last
	EndTime        time.Time `json:"endTime,omitzero"`         // the same, if epochs keep to their time
	CertifiedEpoch uint32    `json:"certifiedEpoch,omitempty"` // of the first certificate
	Permanent      bool      `json:"permanent"`                // nobody can delete it before PermanentEnd
	PermanentEnd   uint32    `json:"permanentEndEpoch,omitempty"`
	Deletable      []Ending  `json:"deletable"` // deletable records, by their end
	Records        []Record  `json:"records"`   // those of this gateway's account
}

// Ending counts the deletable records that end with one epoch.
type Ending struct {
	EndEpoch   uint32    `json:"endEpoch"`
	EndTime    time.Time `json:"endTime,omitzero"`
	Registered uint32    `json:"registered"`
	Certified  uint32    `json:"certified"` // of those
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

// Certificate is the proof that a quorum of shards keeps the blob. It was verified by this gateway.
type Certificate struct {
	Epoch    uint32   `json:"epoch"`
	Weight   int      `json:"signedShards"`
	Quorum   int      `json:"quorumShards"`
	Of       int      `json:"shards"`
	Signers  []Signer `json:"signers"`
	Object   string   `json:"objectId,omitempty"` // the deletable record it speaks of
	Absent   []string `json:"notSigned"`          // names of the members that did not sign
	Verified bool     `json:"verified"`
}

// Signer is a node that signed.
type Signer struct {
	Name   string `json:"name"`
	Peer   string `json:"peer"`
	Shards int    `json:"shards"`
}

// Shard is one shard's part of a blob, as its node tells it.
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

// BadNode is a node that did not answer, or not truthfully.
type BadNode struct {
	Name   string `json:"name"`
	Peer   string `json:"peer"`
	Reason string `json:"reason"`
	Lied   bool   `json:"lied"`
}
