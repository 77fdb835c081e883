package ledger

import "walrus/shards"

// RegisterBlob turns a storage resource into a record: the right to store a blob in it.
type RegisterBlob struct {
	Storage    ObjectID      `json:"storage"`
	BlobID     shards.BlobID `json:"blobId"` // must follow from Size and Root
	Root       [32]byte      `json:"-"`
	Size       uint64        `json:"size"`
	Deletable  bool          `json:"deletable"`
	Attributes []Attribute   `json:"attributes,omitempty"` // ascending by key
}

func (RegisterBlob) kind() uint8 { return 6 }

func (RegisterBlob) work(p *Params) uint64 { return workKey + workRecord + p.workInfo() }

func (o RegisterBlob) cost(p *Params) (Amount, error) {
	coding, err := shards.NewParams(int(p.Shards))
	if err != nil || o.Size > shards.MaxLength {
		return 0, nil // the ledger will report the error
	}
	return p.WriteCost(uint64(coding.EncodedSize(o.Size)))
}

func (o *RegisterBlob) form(f *form) {
	f.fixed("storage", o.Storage[:])
	f.fixed("blob ID", o.BlobID[:])
	f.fixed("root", o.Root[:])
	f.u64("size", &o.Size)
	f.flag("deletable", &o.Deletable)
	attributesForm(f, "attributes", &o.Attributes)
}
