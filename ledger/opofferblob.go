package ledger

// OfferBlob offers a blob's record to an account, which becomes its owner if it accepts.
type OfferBlob struct {
	Object ObjectID `json:"object"`
	To     Address  `json:"to"`
	Until  uint32   `json:"untilEpoch"` // first epoch in which it can no longer be accepted
}

func (OfferBlob) kind() uint8 { return 12 }

func (OfferBlob) work(*Params) uint64 { return 2*workKey + workRecord }

func (o *OfferBlob) form(f *form) {
	f.fixed("object", o.Object[:])
	f.fixed("to", o.To[:])
	f.u32("until", &o.Until)
}
