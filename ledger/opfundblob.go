package ledger

// FundBlob adds Amount to the funds of a shared blob.
type FundBlob struct {
	Object ObjectID `json:"object"`
	Amount Amount   `json:"amountFrost"`
}

func (FundBlob) kind() uint8 { return 11 }

func (FundBlob) work(p *Params) uint64 { return workRecord + p.workInfo() }

func (o FundBlob) cost(*Params) (Amount, error) { return o.Amount, nil }
func (o FundBlob) outlay(Address) Amount        { return o.Amount }

func (o *FundBlob) form(f *form) {
	f.fixed("object", o.Object[:])
	f.amount("amount", &o.Amount)
}
