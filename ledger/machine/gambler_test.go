package machine

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/crypto/blake2b"

	"walrus/certs"
	"walrus/ledger"
	"walrus/shards"
)

// transaction makes one and applies it to the model.
func (g *gambler) transaction(t *testing.T) ([]byte, ledger.Result) {
	if g.IntN(25) == 0 {
		tx := g.free(t)
		raw, signed := tx.Marshal(), g.IntN(20) > 0
		if !signed {
			tx.Signature[g.IntN(64)] ^= 1 << g.IntN(8)
			raw = tx.Marshal()
		}
		g.ops++
		var r ledger.Result
		r.Code, r.Op, r.Fee, r.Spent = g.m.apply(tx, len(raw), signed)
		return raw, r
	}
	w := g.wallets[g.IntN(len(g.wallets))]
	nonce := g.m.accounts[w.address].Nonce
	tx := &ledger.Tx{Network: g.m.network, Nonce: nonce, Expiry: g.m.height + uint64(g.IntN(100))}
	for range 1 + min(g.IntN(5), g.IntN(5)) {
		tx.Ops = append(tx.Ops, g.op(t, w, tx))
	}
	size := len(tx.Marshal())
	least := g.m.params.FeeTx + g.m.params.FeeByte*ledger.Amount(size) + g.m.params.FeePerWork*g.m.work(tx, size)
	tx.Fee = least + ledger.Amount(g.IntN(3)*g.IntN(1000))
	signed := true
	switch g.IntN(100) {
	case 0:
		tx.Nonce += uint64(g.IntN(5)) - 2
	case 1:
		tx.Expiry = g.m.height - uint64(g.IntN(2))
	case 2:
		tx.Expiry = g.m.height + ledger.MaxExpiry + uint64(g.IntN(2))
	case 3:
		tx.Network[g.IntN(32)] ^= 1
	case 4:
		tx.Fee = least - ledger.Amount(g.IntN(2))
	case 5:
		tx.Fee = g.m.accounts[w.address].Balance + ledger.Amount(g.IntN(2))
	case 6:
		signed = false
	}
	tx.Sign(w.key)
	if !signed {
		tx.Signature[g.IntN(64)] ^= 1 << g.IntN(8)
	}
	raw := tx.Marshal()
	g.ops += len(tx.Ops)
	if g.IntN(200) == 0 {
		raw = slices.Delete(raw, 10, 11+g.IntN(50))
		return raw, ledger.Result{Code: ledger.CodeFormat, Op: -1}
	}
	var r ledger.Result
	r.Code, r.Op, r.Fee, r.Spent = g.m.apply(tx, len(raw), signed)
	return raw, r
}

var blobSizes = []uint64{0, 1, 1000, 100_000, 300_000, 1_000_000}

// blobName is one of some blobs: several records of the same are wanted.
func (g *gambler) blobName() (root [32]byte, id shards.BlobID, size uint64) {
	size = blobSizes[g.IntN(len(blobSizes))]
	root, id = testBlob(fmt.Sprint("blob ", g.IntN(3)), size)
	return root, id, size
}

func (g *gambler) address() ledger.Address {
	if g.IntN(50) == 0 {
		return ledger.Address{}
	}
	return g.wallets[g.IntN(len(g.wallets))].address
}

// madeBy is an object that an operation before of the same transaction makes, if there is one of the kinds.
func (g *gambler) madeBy(w wallet, tx *ledger.Tx, kinds ...string) (ledger.ObjectID, bool) {
	for i, op := range tx.Ops {
		if slices.Contains(kinds, ledger.OpName(op)) && g.IntN(2) == 0 {
			return ledger.NewObjectID(w.address, tx.Nonce, i), true
		}
	}
	return ledger.ObjectID{}, false
}

// storage of the sender that fits, mostly; made by an operation before of the same transaction, or anyone's, or none.
func (g *gambler) storage(w wallet, tx *ledger.Tx, fits func(s ledger.Storage) bool) ledger.ObjectID {
	if id, ok := g.madeBy(w, tx, "buyStorage", "splitStorage", "deleteBlob"); ok {
		return id
	}
	for range 20 {
		if len(g.storages) == 0 {
			break
		}
		id := g.storages[g.IntN(len(g.storages))]
		if s := g.m.storages[id]; g.IntN(200) == 0 || s.Owner == w.address && s.End > g.m.now && fits(s) {
			return id
		}
	}
	g.missed = true
	return ledger.ObjectID{1}
}

// blob is a record that fits, mostly.
func (g *gambler) blob(w wallet, tx *ledger.Tx, fits func(b ledger.Blob) bool) ledger.ObjectID {
	if id, ok := g.madeBy(w, tx, "registerBlob"); ok {
		return id
	}
	for range 20 {
		if len(g.blobs) == 0 {
			break
		}
		id := g.blobs[g.IntN(len(g.blobs))]
		if b := g.m.blobs[id]; g.IntN(200) == 0 || b.End > g.m.now && fits(b) {
			return id
		}
	}
	g.missed = true
	return ledger.ObjectID{1}
}

func (g *gambler) amount(w wallet) ledger.Amount {
	switch balance := g.m.accounts[w.address].Balance; g.IntN(60) {
	case 0:
		return balance
	case 1:
		return ledger.Amount(g.Uint64())
	case 2:
		return 0
	default:
		return min(balance, 100_000_000) * ledger.Amount(g.IntN(100)) / 400
	}
}

// op is one that is likely to be possible.
func (g *gambler) op(t *testing.T, w wallet, tx *ledger.Tx) (op ledger.Op) {
	for range 5 {
		g.missed = false
		if op = g.anyOp(t, w, tx); !g.missed {
			break
		}
	}
	return op
}

func (g *gambler) anyOp(t *testing.T, w wallet, tx *ledger.Tx) ledger.Op {
	now := g.m.now
	any := func(ledger.Storage) bool { return true }
	mine := func(b ledger.Blob) bool { return b.Owner == w.address }
	switch g.IntN(39) {
	case 0, 1, 2:
		return ledger.Transfer{To: g.address(), Amount: g.amount(w)}
	case 3, 4, 5, 6, 7:
		start := now + uint32(max(0, g.IntN(8)-5))
		if g.IntN(40) == 0 {
			start -= 1
		}
		return ledger.BuyStorage{Bytes: uint64(min(g.IntN(30), 2) * g.IntN(1<<20)), Start: start,
			End: start + uint32(min(g.IntN(30), 1+g.IntN(4)))}
	case 8:
		return ledger.SplitStorage{Storage: g.storage(w, tx, any), Bytes: uint64(g.IntN(1 << 20))}
	case 9:
		return ledger.SplitStorage{Storage: g.storage(w, tx, func(s ledger.Storage) bool { return s.End > s.Start+1 }),
			Epoch: now + uint32(g.IntN(4))}
	case 10:
		a := g.storage(w, tx, any)
		return ledger.MergeStorage{A: a, B: g.storage(w, tx, func(s ledger.Storage) bool {
			return s.Bytes == g.m.storages[a].Bytes || s.Start == g.m.storages[a].Start && s.End == g.m.storages[a].End
		})}
	case 11:
		return ledger.OfferStorage{Storage: g.storage(w, tx, any), To: g.address(), Until: g.until()}
	case 12, 13, 14, 15, 16:
		op := ledger.RegisterBlob{Storage: g.storage(w, tx, func(s ledger.Storage) bool { return s.Start <= now }),
			Deletable: g.IntN(2) == 0}
		op.Root, op.BlobID, op.Size = g.blobName()
		if i := g.IntN(3); i < 2 { // one that fits, most likely
			op.Size = blobSizes[i]
			op.Root, op.BlobID = testBlob(fmt.Sprint("blob ", g.IntN(3)), op.Size)
		}
		if g.IntN(4) == 0 {
			e := g.wrongBlob(t)
			op.Root, op.BlobID, op.Size = e.Meta.BlobRoot(), e.ID, e.Meta.Length
		}
		if g.IntN(50) == 0 {
			op.Size++
		}
		return op
	case 17, 18, 19, 20:
		id := g.blob(w, tx, func(b ledger.Blob) bool { return b.Certified == 0 })
		return ledger.CertifyBlob{Object: id, Certificate: g.certificate(t, id, tx)}
	case 21, 22:
		op := ledger.ExtendBlob{Object: g.blob(w, tx, func(b ledger.Blob) bool { return b.Shared || mine(b) }),
			Epochs: uint32(min(g.IntN(20), 1+g.IntN(3))), FromFunds: g.IntN(6) == 0}
		if g.IntN(4) == 0 {
			op.Storage, op.Epochs, op.FromFunds = g.storage(w, tx, any), uint32(g.IntN(20)/19), false
		}
		return op
	case 23:
		return ledger.DeleteBlob{Object: g.blob(w, tx, func(b ledger.Blob) bool { return mine(b) && b.Deletable })}
	case 24:
		return ledger.ShareBlob{Object: g.blob(w, tx, func(b ledger.Blob) bool { return mine(b) && !b.Deletable }),
			Amount: g.amount(w)}
	case 25:
		return ledger.FundBlob{Object: g.blob(w, tx, func(b ledger.Blob) bool { return b.Shared }), Amount: g.amount(w)}
	case 26:
		return ledger.OfferBlob{Object: g.blob(w, tx, mine), To: g.address(), Until: g.until()}
	case 27:
		return ledger.BurnBlob{Object: g.blob(w, tx, mine)}
	case 28:
		return g.attributes(w, tx)
	case 29:
		return g.mark(t)
	case 30, 31, 32:
		return g.bond(w)
	case 35, 36:
		return ledger.OfferBlob{Object: g.blob(w, tx, mine), To: g.address(), Until: g.until()}
	case 37, 38:
		return g.answer(w)
	case 33:
		return g.unbond(w)
	default:
		return g.sweep()
	}
}

func (g *gambler) attributes(w wallet, tx *ledger.Tx) ledger.Op {
	op := ledger.SetAttributes{Object: g.blob(w, tx, func(b ledger.Blob) bool { return b.Owner == w.address })}
	value := string(bytes.Repeat([]byte("v"), g.IntN(1+g.IntN(2)*ledger.MaxAttributeValue)))
	for key := range g.IntN(12) {
		switch g.IntN(4) {
		case 0, 1:
			op.Set = append(op.Set, ledger.Attribute{Key: fmt.Sprintf("key %02d %d", key, g.IntN(6)), Value: value})
		case 2:
			if g.IntN(4) == 0 {
				op.Remove = append(op.Remove, fmt.Sprintf("key %02d %d", key, g.IntN(6)))
			}
		}
	}
	return op
}

// sweep is mostly of what has expired.
func (g *gambler) sweep() ledger.Op {
	var op ledger.Sweep
	for _, id := range slices.Concat(g.storages, g.blobs) {
		expired := g.m.storages[id].End <= g.m.now && g.m.blobs[id].End <= g.m.now
		if expired && g.IntN(2) == 0 || g.IntN(2000) == 0 {
			op.Objects = append(op.Objects, id)
		}
	}
	slices.SortFunc(op.Objects, compareIDs)
	op.Objects = slices.Compact(op.Objects)
	op.Objects = op.Objects[:min(len(op.Objects), ledger.MaxSweep)]
	if len(op.Objects) == 0 {
		op.Objects = []ledger.ObjectID{{1}}
	}
	return op
}

// certificate for a record, or for what an operation of the transaction will register; sometimes one that does not do.
func (g *gambler) certificate(t *testing.T, id ledger.ObjectID, tx *ledger.Tx) []byte {
	of := certificateOf{epoch: g.m.now}
	b, ok := g.m.blobs[id]
	for i, op := range tx.Ops {
		if r, is := op.(ledger.RegisterBlob); is && ledger.NewObjectID(tx.Sender.Address(), tx.Nonce, i) == id {
			b.BlobID, b.Deletable, ok = r.BlobID, r.Deletable, true
		}
	}
	if !ok {
		_, b.BlobID, _ = g.blobName()
	}
	of.blob = b.BlobID
	if b.Deletable {
		of.Persistence = certs.Persistence{Deletable: true, Object: id}
	}
	switch g.IntN(60) {
	case 0:
		_, of.blob, _ = g.blobName()
	case 1:
		of.Persistence = certs.Persistence{Deletable: true, Object: id}
	case 2:
		of.Persistence = certs.Persistence{}
	case 3:
		of.epoch += uint32(g.IntN(3)) - 1
	case 4:
		raw := bytes.Clone(g.certificateOf(t, of))
		raw[g.IntN(len(raw))] ^= 1 << g.IntN(8)
		return raw
	}
	return g.certificateOf(t, of)
}

// certificateOf makes each certificate once, some of them real.
func (g *gambler) certificateOf(t *testing.T, of certificateOf) []byte {
	if raw, ok := g.made[of]; ok {
		return raw
	}
	var cert *certs.Certificate
	real := !of.Deletable && g.IntN(8) == 0 || g.IntN(200) == 0
	if real = real && of.epoch >= ledger.FirstEpoch; real {
		committee, err := g.n.Committees.At(of.epoch)
		if err != nil {
			t.Fatal(err)
		}
		var confs []certs.Confirmation
		for i := range 3 {
			confs = append(confs, committee.Sign(g.n.keys[i], committee.Members()[i].Node, of.blob, of.Persistence))
		}
		if cert, _, err = committee.Aggregate(of.blob, of.Persistence, confs); err != nil {
			t.Fatal(err)
		}
	} else {
		cert = &certs.Certificate{Epoch: of.epoch, Blob: of.blob, Persistence: of.Persistence, Signers: []uint16{0, 1, 2}}
	}
	raw := cert.Marshal()
	g.made[of] = raw
	g.m.good[string(raw)] = true
	if !real {
		g.vouched[CertificateKey{of.epoch, blake2b.Sum256(raw)}] = true
	}
	return raw
}
