package machine

import (
	"walrus/ledger"
	"walrus/shards"
)

func declareRegisterBlob(x *run, op ledger.RegisterBlob) {
	declareStorage(x, op.Storage)
	declare(x, &x.block.blobs, x.object())
	declare(x, &x.block.infos, op.BlobID)
}

func applyRegisterBlob(x *run, op ledger.RegisterBlob) *ledger.OpError {
	s, refused := x.ownStorage(op.Storage)
	if refused != nil {
		return refused
	}
	if s.Start > x.now() {
		return refuse(ledger.CodeEpoch, "storage resource %s begins in epoch %d, this is epoch %d: wait, or buy another",
			op.Storage, s.Start, x.now())
	}
	if op.Size > shards.MaxLength {
		return refuse(ledger.CodeSize, "the blob has %d bytes: at most %d", op.Size, uint64(shards.MaxLength))
	}
	if id := shards.DeriveBlobID(op.Size, op.Root); id != op.BlobID {
		return refuse(ledger.CodeBlobID, "blob ID %s does not follow from size and root, which make %s", op.BlobID, id)
	}
	if refused := x.checkValid(op.BlobID); refused != nil {
		return refused
	}
	encoded := uint64(x.block.encoding.EncodedSize(op.Size))
	if s.Bytes < encoded {
		return refuse(ledger.CodeSize, "storage resource %s has %d bytes, and the blob of %d bytes needs %d encoded: buy %d more",
			op.Storage, s.Bytes, op.Size, encoded, encoded-s.Bytes)
	}
	b := ledger.Blob{
		Owner: x.sender, BlobID: op.BlobID, Size: op.Size, Root: op.Root, Deletable: op.Deletable,
		Registered: x.now(), Start: s.Start, End: s.End, Bytes: s.Bytes,
	}
	if b.Attributes, refused = mergeAttributes(nil, op.Attributes, nil); refused != nil {
		return refused
	}
	cost, err := x.block.params.WriteCost(encoded)
	if err != nil {
		return refuse(ledger.CodeOverflow, "price of writing %d bytes: %v", encoded, err)
	}
	b.Deposit = x.block.params.BlobDeposit(b.Attributes)
	change, refused := lodge(x, cost, s.Deposit, b.Deposit)
	if refused != nil {
		return refused
	}
	if refused := x.earn(cost); refused != nil {
		return refused
	}
	id := x.object()
	x.dropStorage(op.Storage)
	x.setBlob(id, b)
	x.changeInfo(&b, func(i *ledger.BlobInfo) { addRecord(i, &b) })
	e := x.blobEvent(ledger.EventRegistered, id, &b)
	e.Other, e.Amount, e.Deposit = op.Storage, cost, change
	x.event(e)
	return x.count(x.sender, -1, 1)
}

// announce notes the blob records that x would make, before any transaction declares.
func (k *block) announce(x *run) {
	for i, op := range x.tx.Ops {
		if r, ok := op.(ledger.RegisterBlob); ok {
			id := ledger.NewObjectID(x.sender, x.tx.Nonce, i)
			old, again := k.born[id]
			k.born[id] = birth{r.BlobID, old.mixed || again && old.blob != r.BlobID}
		}
	}
}
