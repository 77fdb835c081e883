package ledger

// Offer is an owner's offer of a storage resource or a blob's record, under the ID of that object. It never outlives
// the object, nor the ownership of From.
type Offer struct {
	From  Address `json:"from"`       // owner of the object
	To    Address `json:"to"`         // may accept
	Until uint32  `json:"untilEpoch"` // first epoch in which it can no longer be accepted
}

func (o *Offer) form(f *form) {
	f.fixed("from", o.From[:])
	f.fixed("to", o.To[:])
	f.u32("until", &o.Until)
}

// Marshal returns the binary form.
func (o Offer) Marshal() []byte { return marshal(&o, offerSize) }

// UnmarshalOffer reads the binary form.
func UnmarshalOffer(b []byte) (Offer, error) { return read[Offer]("offer", b) }

// ReadOffer reads the offer of an object, or fails with ErrNotFound.
func ReadOffer(r Reader, id ObjectID) (Offer, error) {
	return readKey[Offer](r, KeyOffer(id), "offer of", id)
}
