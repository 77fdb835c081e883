package ledger

// DeleteBlob removes a deletable blob's record. The rest of its storage becomes a storage resource of the owner.
type DeleteBlob struct {
	Object ObjectID `json:"object"`
}

func (DeleteBlob) kind() uint8 { return 9 }

func (DeleteBlob) work(p *Params) uint64 { return workKey + workRecord + p.workInfo() }

func (o *DeleteBlob) form(f *form) { f.fixed("object", o.Object[:]) }
