package ledger

// AcceptOffer makes the sender the owner of an object that From offers to it.
type AcceptOffer struct {
	Object ObjectID `json:"object"`
	From   Address  `json:"from"`
}

func (AcceptOffer) kind() uint8 { return 20 }

func (AcceptOffer) work(*Params) uint64 { return 3*workKey + workRecord }

func (o *AcceptOffer) form(f *form) {
	f.fixed("object", o.Object[:])
	f.fixed("from", o.From[:])
}
