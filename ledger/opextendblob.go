package ledger

// ExtendBlob prolongs a blob. Without Storage it buys Epochs more, paid by the sender or from the shared blob's funds.
// With Storage the blob lasts until that storage resource ends, and Epochs must be zero.
type ExtendBlob struct {
	Object    ObjectID `json:"object"`
	Epochs    uint32   `json:"epochs,omitempty"`
	FromFunds bool     `json:"fromFunds,omitempty"`
	Storage   ObjectID `json:"storage,omitzero"` // zero: buy
}

func (ExtendBlob) kind() uint8 { return 8 }

func (o ExtendBlob) work(p *Params) uint64 {
	return workKey + workRecord + p.workInfo() + p.workSale(o.Epochs)
}

func (o *ExtendBlob) form(f *form) {
	f.fixed("object", o.Object[:])
	f.u32("epochs", &o.Epochs)
	f.flag("fromFunds", &o.FromFunds)
	f.fixed("storage", o.Storage[:])
}
