package machine

import "walrus/ledger"

func declareMergeStorage(x *run, op ledger.MergeStorage) {
	declareStorage(x, op.A, op.B)
}

func applyMergeStorage(x *run, op ledger.MergeStorage) *ledger.OpError {
	if op.A == op.B {
		return refuse(ledger.CodeState, "storage resource %s cannot merge with itself: name two", op.A)
	}
	a, refused := x.ownStorage(op.A)
	if refused != nil {
		return refused
	}
	b, refused := x.ownStorage(op.B)
	if refused != nil {
		return refused
	}
	switch {
	case a.Start == b.Start && a.End == b.End:
		if a.Bytes+b.Bytes < a.Bytes {
			return refuse(ledger.CodeOverflow, "%d + %d bytes exceed 64 bits", a.Bytes, b.Bytes)
		}
		a.Bytes += b.Bytes
	case a.Bytes == b.Bytes && (a.End == b.Start || b.End == a.Start):
		a.Start, a.End = min(a.Start, b.Start), max(a.End, b.End)
	default:
		return refuse(ledger.CodeState, "%d bytes in epochs [%d, %d) and %d bytes in [%d, %d): need the same epochs, or as many bytes in adjacent ones",
			a.Bytes, a.Start, a.End, b.Bytes, b.Start, b.End)
	}
	x.setStorage(op.A, a)
	x.dropStorage(op.B)
	refund(x, x.sender, b.Deposit)
	x.event(ledger.Event{Kind: ledger.EventStorageMerged, From: x.sender, Object: op.A, Other: op.B,
		Bytes: a.Bytes, End: a.End, Deposit: -int64(b.Deposit)})
	return x.count(x.sender, -1, 0)
}
