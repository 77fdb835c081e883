package ledger

// Transfer pays Amount to To.
type Transfer struct {
	To     Address `json:"to"`
	Amount Amount  `json:"amountFrost"`
}

func (Transfer) kind() uint8 { return 1 }

func (Transfer) work(*Params) uint64 { return workKey }

func (o Transfer) cost(*Params) (Amount, error) { return o.Amount, nil }

func (o Transfer) outlay(sender Address) Amount {
	if o.To == sender {
		return 0
	}
	return o.Amount
}

func (o *Transfer) form(f *form) {
	f.fixed("to", o.To[:])
	f.amount("amount", &o.Amount)
}
