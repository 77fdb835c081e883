package machine

import "walrus/ledger"

func declareSetAttributes(x *run, op ledger.SetAttributes) { declareRecord(x, op.Object) }

func applySetAttributes(x *run, op ledger.SetAttributes) *ledger.OpError {
	b, refused := x.ownBlob(op.Object)
	if refused != nil {
		return refused
	}
	if b.Attributes, refused = mergeAttributes(b.Attributes, op.Set, op.Remove); refused != nil {
		return refused
	}
	x.setBlob(op.Object, b)
	x.event(x.blobEvent(ledger.EventAttributes, op.Object, &b))
	return nil
}
