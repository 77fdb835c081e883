package ledger

import "walrus/shards"

// DisproveBlob marks a blob ID as invalid for ever, by a proof that every node verifies. Anybody may send it, for
// nothing: see Free.
type DisproveBlob struct {
	BlobID shards.BlobID `json:"blobId"`
	Proof  []byte        `json:"proof"` // binary form of a shards.CellProof
}

func (DisproveBlob) kind() uint8 { return 16 }

func (DisproveBlob) work(p *Params) uint64 { return workProof + workKey + p.workInfo() }

func (o *DisproveBlob) form(f *form) {
	f.fixed("blob ID", o.BlobID[:])
	f.bytes("bytes of proof", &o.Proof, shards.MaxCellProofSize)
}
