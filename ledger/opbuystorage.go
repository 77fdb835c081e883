package ledger

// BuyStorage buys Bytes of encoded size in each epoch of [Start, End).
type BuyStorage struct {
	Bytes uint64 `json:"storageSize"`
	Start uint32 `json:"startEpoch"`
	End   uint32 `json:"endEpoch"`
}

func (BuyStorage) kind() uint8 { return 2 }

func (o BuyStorage) work(p *Params) uint64 {
	if o.End <= o.Start {
		return workKey
	}
	return workKey + p.workSale(o.End-o.Start)
}

func (o BuyStorage) cost(p *Params) (Amount, error) {
	if o.End <= o.Start {
		return 0, nil // the ledger will report the error
	}
	return p.StorageCost(o.Bytes, o.End-o.Start)
}

func (o *BuyStorage) form(f *form) {
	f.u64("bytes", &o.Bytes)
	f.u32("start", &o.Start)
	f.u32("end", &o.End)
}
