package ledger

// OfferStorage offers a storage resource to an account, which becomes its owner if it accepts.
type OfferStorage struct {
	Storage ObjectID `json:"storage"`
	To      Address  `json:"to"`
	Until   uint32   `json:"untilEpoch"` // first epoch in which it can no longer be accepted
}

func (OfferStorage) kind() uint8 { return 5 }

func (OfferStorage) work(*Params) uint64 { return 3 * workKey }

func (o *OfferStorage) form(f *form) {
	f.fixed("storage", o.Storage[:])
	f.fixed("to", o.To[:])
	f.u32("until", &o.Until)
}
