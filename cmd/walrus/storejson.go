package main

import (
	"walrus/client"
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
	BlobObject    blobObject `json:"blobObject"`
	EncodedLength int64      `json:"encodedLength"`
}

type blobObject struct {
	BlobID         shards.BlobID `json:"blobId"`
	Size           uint64        `json:"size"`
	EncodingType   string        `json:"encodingType"`
	CertifiedEpoch uint32        `json:"certifiedEpoch"`
	Storage        storagePeriod `json:"storage"`
	Deletable      bool          `json:"deletable"`
}

type storagePeriod struct {
	StartEpoch  uint32 `json:"startEpoch"`
	EndEpoch    uint32 `json:"endEpoch"`
	StorageSize int64  `json:"storageSize"`
}

type alreadyCertified struct {
	BlobID         shards.BlobID `json:"blobId"`
	EndEpoch       uint32        `json:"endEpoch"`
	CertifiedEpoch uint32        `json:"certifiedEpoch"`
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
		e.Result.AlreadyCertified = &alreadyCertified{r.BlobID, r.EndEpoch, r.Certificate.Epoch}
	default:
		e.Result.NewlyCreated = &newlyCreated{EncodedLength: r.EncodedSize, BlobObject: blobObject{
			BlobID: r.BlobID, Size: r.Size, EncodingType: encodingType, CertifiedEpoch: r.Certificate.Epoch,
			Storage: storagePeriod{r.Certificate.Epoch, r.EndEpoch, r.EncodedSize},
		}}
	}
	return e
}
