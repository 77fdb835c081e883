package ledger

// TransferBlob makes To the owner of a blob's record.
type TransferBlob struct {
	Object ObjectID `json:"object"`
	To     Address  `json:"to"`
}

func (TransferBlob) kind() uint8 { return 12 }

func (TransferBlob) work(p *Params) uint64 { return workKey + workRecord + p.workInfo() }

func (o *TransferBlob) form(f *form) {
	f.fixed("object", o.Object[:])
	f.fixed("to", o.To[:])
}
