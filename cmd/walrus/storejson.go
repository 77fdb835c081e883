package main

import (
	"errors"

	"walrus/client"
	"walrus/client/jsonform"
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
	NewlyCreated     *newlyCreated           `json:"newlyCreated,omitempty"`
	AlreadyCertified *alreadyCertified       `json:"alreadyCertified,omitempty"`
	MarkedInvalid    *jsonform.MarkedInvalid `json:"markedInvalid,omitempty"`
	Error            *storeError             `json:"error,omitempty"`
}

// newlyCreated is a gateway's description of a stored blob, with more fields.
type newlyCreated struct {
	jsonform.NewlyCreated
	Fee           ledger.Amount `json:"feeFrost"` // of transactions
	EncodedLength int64         `json:"encodedLength"`
}

type alreadyCertified struct {
	BlobID         shards.BlobID    `json:"blobId"`
	Event          *jsonform.Event  `json:"event,omitempty"`  // if another account's record was used
	Object         *ledger.ObjectID `json:"object,omitempty"` // else
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
	Fee           ledger.Amount `json:"feeFrost"`    // upper bound
	Operation     string        `json:"operation"`
	EndEpoch      uint32        `json:"endEpoch"`
	EncodingType  string        `json:"encodingType"`
}

func newDryEntry(path string, r *client.StoreResult) dryEntry {
	return dryEntry{
		Path: path, BlobID: r.BlobID, UnencodedSize: r.Size, EncodedSize: r.EncodedSize,
		StorageCost: r.Cost.Storage + r.Cost.Write,
		Fee:         r.Cost.Fee, Operation: string(r.Operation), EndEpoch: r.EndEpoch, EncodingType: jsonform.EncodingType,
	}
}

type storeError struct {
	BlobID   *shards.BlobID `json:"blobId"` // null if the file was not encoded
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
	var invalid *client.InvalidBlobError
	if errors.As(err, &invalid) {
		e.Result.MarkedInvalid = jsonform.NewInvalid(invalid)
	}
	switch {
	case e.Result.MarkedInvalid != nil:
	case err != nil:
		e.Result.Error = &storeError{ErrorMsg: joined(err)}
		if r != nil {
			e.Result.Error.BlobID = &r.BlobID
		}
	case r.AlreadyCertified:
		e.Result.AlreadyCertified = &alreadyCertified{BlobID: r.BlobID, Object: objectOrNil(r.Object), EndEpoch: r.EndEpoch,
			CertifiedEpoch: r.CertifiedEpoch}
		if r.Object == (ledger.ObjectID{}) {
			e.Result.AlreadyCertified.Event = jsonform.NewCertifying(r)
		}
	default:
		e.Result.NewlyCreated = &newlyCreated{*jsonform.New(r).NewlyCreated, r.Cost.Fee, r.EncodedSize}
	}
	return e
}

func objectOrNil(id ledger.ObjectID) *ledger.ObjectID {
	if id == (ledger.ObjectID{}) {
		return nil
	}
	return &id
}
