package ledger

// BurnBlob gives up the ownership of a blob's record. The blob stays until its end.
type BurnBlob struct {
	Object ObjectID `json:"object"`
}

func (BurnBlob) kind() uint8 { return 13 }

func (BurnBlob) work(p *Params) uint64 { return workRecord + p.workInfo() }

func (o *BurnBlob) form(f *form) { f.fixed("object", o.Object[:]) }
