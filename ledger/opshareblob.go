package ledger

// ShareBlob turns a permanent blob's record into a shared one, which anybody may extend, and puts Amount into its
// funds.
type ShareBlob struct {
	Object ObjectID `json:"object"`
	Amount Amount   `json:"amountFrost"`
}

func (ShareBlob) kind() uint8 { return 10 }

func (ShareBlob) work(p *Params) uint64 { return workRecord + p.workInfo() }

func (o ShareBlob) cost(*Params) (Amount, error) { return o.Amount, nil }
func (o ShareBlob) outlay(Address) Amount        { return o.Amount }

func (o *ShareBlob) form(f *form) {
	f.fixed("object", o.Object[:])
	f.amount("amount", &o.Amount)
}
