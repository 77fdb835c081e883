package ledger

// WithdrawOffer ends an offer that the sender made.
type WithdrawOffer struct {
	Object ObjectID `json:"object"`
}

func (WithdrawOffer) kind() uint8 { return 21 }

func (WithdrawOffer) work(*Params) uint64 { return workKey }

func (o *WithdrawOffer) form(f *form) { f.fixed("object", o.Object[:]) }
