package machine

import (
	"walrus/ledger"
	"walrus/shards"
)

func declareDisproveBlob(x *run, op ledger.DisproveBlob) { declareMark(x, op.BlobID) }

// applyDisproveBlob marks a blob ID as invalid by a cell proof, which takes some 10 µs to verify.
func applyDisproveBlob(x *run, op ledger.DisproveBlob) *ledger.OpError {
	info := x.info(op.BlobID)
	if refused := checkMarkable(&info, op.BlobID, x.now()); refused != nil {
		return refused
	}
	if refused := checkProof(x.block.encoding, op); refused != nil {
		return refused
	}
	mark(x, op.BlobID, ledger.InvalidBlob{Proof: op.Proof})
	return nil
}

// checkProof refuses a proof that proves nothing. The state does not matter.
func checkProof(p shards.Params, op ledger.DisproveBlob) *ledger.OpError {
	proof, err := shards.UnmarshalCellProof(p, op.Proof)
	if err == nil {
		err = proof.Verify(p, op.BlobID)
	}
	if err != nil {
		return refuse(ledger.CodeProof, "%v", err)
	}
	return nil
}

// declareMark claims what marking a blob ID touches.
func declareMark(x *run, id shards.BlobID) {
	declare(x, &x.block.infos, id)
	declare(x, &x.block.marks, id)
}

// checkMarkable refuses a blob ID that is not registered, because marks stay for ever and nobody should make them for
// nothing, and one that is marked already.
func checkMarkable(info *ledger.BlobInfo, id shards.BlobID, now uint32) *ledger.OpError {
	switch {
	case info.Invalid:
		return refuse(ledger.CodeInvalidBlob, "blob %s is already marked invalid", id)
	case info.RegisteredUntil(now) == 0:
		return refuse(ledger.CodeNotFound, "blob %s is not registered: only registered blobs are marked", id)
	}
	return nil
}

// mark records that a blob ID is invalid.
func mark(x *run, id shards.BlobID, why ledger.InvalidBlob) {
	why.Epoch, why.Height, why.Tx, why.Event = x.now(), x.block.height, x.id, uint16(len(x.result.Events))
	set(x, &x.block.marks, id, why, true)
	info := x.info(id)
	info.Trim(x.now())
	info.Invalid = true
	x.setInfo(id, info)
	x.event(ledger.Event{Kind: ledger.EventInvalid, From: x.sender, Blob: id})
}

// checkValid refuses a blob ID that is marked.
func (x *run) checkValid(id shards.BlobID) *ledger.OpError {
	if x.info(id).Invalid {
		return refuse(ledger.CodeInvalidBlob, "blob %s is marked invalid: its writer encoded it wrongly, and it has no content", id)
	}
	return nil
}
