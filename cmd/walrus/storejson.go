package main

import (
	"walrus/client"
	"walrus/ledger"
	"walrus/shards"
)

// storeEntry is one file in the JSON output of store.
type storeEntry struct {
	Path   string       `json:"path"`
	Result storeResult  `json:"blobStoreResult"`
	Shards *storeShards `json:"shards,omitempty"`
	Nodes  []storeNode  `json:"nodes,omitempty"`
}

type storeResult struct {
	NewlyCreated     *newlyCreated     `json:"newlyCreated,omitempty"`
	AlreadyCertified *alreadyCertified `json:"alreadyCertified,omitempty"`
	Error            *storeError       `json:"error,omitempty"`
}

type newlyCreated struct {
	BlobObject        blobObject                   `json:"blobObject"`
	ResourceOperation map[string]resourceOperation `json:"resourceOperation"`
	Cost              ledger.Amount                `json:"cost"`     // FROST, fees not included
	Fee               ledger.Amount                `json:"feeFrost"` // of transactions
	SharedBlobObject  *ledger.ObjectID             `json:"sharedBlobObject,omitempty"`
	EncodedLength     int64                        `json:"encodedLength"`
}

// resourceOperation says how the blob came by its storage.
type resourceOperation struct {
	EncodedLength  int64  `json:"encodedLength"`
	EpochsAhead    uint32 `json:"epochsAhead,omitempty"`
	EpochsExtended uint32 `json:"epochsExtended,omitempty"`
}

type blobObject struct {
	ID             ledger.ObjectID `json:"id"`
	Registered     uint32          `json:"registeredEpoch"`
	BlobID         shards.BlobID   `json:"blobId"`
	Size           uint64          `json:"size"`
	EncodingType   string          `json:"encodingType"`
	CertifiedEpoch *uint32         `json:"certifiedEpoch"` // null before
	Storage        storagePeriod   `json:"storage"`
	Deletable      bool            `json:"deletable"`
}

// storagePeriod is the storage in a record; its ID is the record's.
type storagePeriod struct {
	ID          ledger.ObjectID `json:"id"`
	StartEpoch  uint32          `json:"startEpoch"`
	EndEpoch    uint32          `json:"endEpoch"`
	StorageSize uint64          `json:"storageSize"`
}

type alreadyCertified struct {
	BlobID         shards.BlobID    `json:"blobId"`
	Object         *ledger.ObjectID `json:"object,omitempty"` // absent if somebody else's record serves
	EndEpoch       uint32           `json:"endEpoch"`
	CertifiedEpoch uint32           `json:"certifiedEpoch"`
}

// dryEntry is one file in the JSON output of store --dry-run.
type dryEntry struct {
	Path          string        `json:"path"`
	BlobID        shards.BlobID `json:"blobId"`
	UnencodedSize uint64        `json:"unencodedSize"`
	EncodedSize   int64         `json:"encodedSize"`
	StorageCost   ledger.Amount `json:"storageCost"` // FROST, writing included, fees not
	Fee           ledger.Amount `json:"feeFrost"`    // at most
	Operation     string        `json:"operation"`
	EndEpoch      uint32        `json:"endEpoch"`
	EncodingType  string        `json:"encodingType"`
}

func newDryEntry(path string, r *client.StoreResult) dryEntry {
	return dryEntry{
		Path: path, BlobID: r.BlobID, UnencodedSize: r.Size, EncodedSize: r.EncodedSize, StorageCost: r.Cost.Storage + r.Cost.Write,
		Fee: r.Cost.Fee, Operation: string(r.Operation), EndEpoch: r.EndEpoch, EncodingType: encodingType,
	}
}

type storeError struct {
	BlobID   *shards.BlobID `json:"blobId"` // null when it was not even encoded
	ErrorMsg string         `json:"errorMsg"`
}

type storeShards struct {
	Confirmed int `json:"confirmed"`
	Needed    int `json:"needed"`
	Total     int `json:"total"`
}

type storeNode struct {
	Node      string `json:"node"`
	Name      string `json:"name"`
	Shards    []int  `json:"shards"`
	Confirmed bool   `json:"confirmed"`
	Sent      int64  `json:"sent"`
	Error     string `json:"error,omitempty"`
}

func newStoreEntry(path string, r *client.StoreResult, err error) storeEntry {
	e := storeEntry{Path: path}
	if r != nil {
		e.Shards = &storeShards{r.Confirmed, r.Needed, r.Shards}
		for _, n := range r.Nodes {
			node := storeNode{Node: n.Node.String(), Name: n.Name, Shards: n.Shards, Confirmed: n.Confirmed, Sent: n.Sent}
			if n.Err != nil {
				node.Error = n.Why
			}
			e.Nodes = append(e.Nodes, node)
		}
	}
	switch {
	case err != nil:
		e.Result.Error = &storeError{ErrorMsg: oneLine(err.Error())}
		if r != nil {
			e.Result.Error.BlobID = &r.BlobID
		}
	case r.AlreadyCertified:
		e.Result.AlreadyCertified = &alreadyCertified{r.BlobID, objectOrNil(r.Object), r.EndEpoch, r.CertifiedEpoch}
	default:
		e.Result.NewlyCreated = newNewlyCreated(r)
	}
	return e
}

func newNewlyCreated(r *client.StoreResult) *newlyCreated {
	op := resourceOperation{EncodedLength: r.EncodedSize, EpochsExtended: r.EpochsExtended}
	if r.Operation == client.RegisterFromScratch {
		op.EpochsAhead = r.EndEpoch - r.RegisteredEpoch
	}
	n := &newlyCreated{
		BlobObject: blobObject{
			ID: r.Object, Registered: r.RegisteredEpoch, BlobID: r.BlobID, Size: r.Size, EncodingType: encodingType,
			CertifiedEpoch: &r.CertifiedEpoch, Deletable: r.Deletable,
			Storage: storagePeriod{r.Object, r.RegisteredEpoch, r.EndEpoch, uint64(r.EncodedSize)},
		},
		ResourceOperation: map[string]resourceOperation{string(r.Operation): op},
		Cost:              r.Cost.Total() - r.Cost.Fee, Fee: r.Cost.Fee, EncodedLength: r.EncodedSize,
	}
	if r.Shared {
		n.SharedBlobObject = &r.Object
	}
	return n
}

func objectOrNil(id ledger.ObjectID) *ledger.ObjectID {
	if id == (ledger.ObjectID{}) {
		return nil
	}
	return &id
}
