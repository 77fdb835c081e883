package client

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"walrus/certs"
	"walrus/ledger"
	"walrus/shards"
)

// Operation names how a Store gets the right to store its blob. The text is part of the interfaces.
type Operation string

// Operations of a Store.
const (
	// AlreadyCertified: the blob is on record for long enough. Nothing is paid.
	AlreadyCertified Operation = "alreadyCertified"
	// ReuseRegistration: a registration of ours that was never certified is used. Nothing is paid but fees.
	ReuseRegistration Operation = "reuseRegistration"
	// ReuseAndExtend: a certified record of ours ends too early and is extended. Nothing is uploaded.
	ReuseAndExtend Operation = "reuseAndExtend"
	// ReuseAndExtendNonCertified: a registration of ours that was never certified is extended and used.
	ReuseAndExtendNonCertified Operation = "reuseAndExtendNonCertified"
	// ReuseStorage: storage that we own is used, and only writing is paid.
	ReuseStorage Operation = "reuseStorage"
	// RegisterFromScratch: storage is bought.
	RegisterFromScratch Operation = "registerFromScratch"
)

// MaxEpochs as the number of epochs asks Store for as many as the network sells.
const MaxEpochs = math.MaxUint32

// Cost breaks down the price of an operation, planned or paid.
type Cost struct {
	Storage ledger.Amount `json:"storage"` // for storage, all epochs together
	Write   ledger.Amount `json:"write"`   // for writing, once
	Fund    ledger.Amount `json:"fund"`    // given to a shared blob
	Fee     ledger.Amount `json:"fee"`     // of all transactions; in a plan, the most they can be
}

// Total returns everything that leaves the account. Plans whose total overflows are refused.
func (c Cost) Total() ledger.Amount { return c.Storage + c.Write + c.Fund + c.Fee }

// sum is Total with a check for overflow.
func (c Cost) sum() (total ledger.Amount, err error) {
	for _, a := range []ledger.Amount{c.Storage, c.Write, c.Fund, c.Fee} {
		if total, err = total.Add(a); err != nil {
			return 0, err
		}
	}
	return total, nil
}

// want describes what a Store should achieve.
type want struct {
	meta       *shards.Metadata
	id         shards.BlobID
	encoded    uint64 // bytes that all nodes store together
	epochs     uint32 // at least 1, or MaxEpochs
	permanent  bool
	anew       bool // make a record of our own, even if another serves
	noReuse    bool // do not use storage that we own
	share      bool
	fund       ledger.Amount
	sendTo     ledger.Address // zero: we keep the record
	attributes []ledger.Attribute
}

// known is the ledger state that a Store's plan depends on.
type known struct {
	params   ledger.Params
	epoch    uint32
	members  int
	account  ledger.Account
	info     ledger.BlobInfo // all records of the blob
	storages map[ledger.ObjectID]ledger.Storage
	blobs    map[ledger.ObjectID]ledger.Blob
}

// plan lists what a Store will do.
type plan struct {
	operation Operation
	object    ledger.ObjectID // the existing record used; zero if a new one is made, or none is needed
	storage   ledger.ObjectID // our storage resource that is used up; zero for none
	deletable bool            // whether the record is deletable
	start     uint32          // epoch of the registration
	end       uint32          // epoch at whose start storage ends afterwards
	extended  uint32          // epochs added to a record
	certified uint32          // epoch in which the blob was certified before; 0 if it still has to be
	cost      Cost
	// compose makes the operations to run before certification; nil for none. registers is the index of the operation
	// that makes the new record. alone: nodes cannot mistake another record for the new one.
	compose   ledger.Build
	registers int
	alone     bool
}

// decide plans a Store. It is a pure function of the request and the ledger state.
func decide(w *want, k *known) (*plan, error) {
	epochs := w.epochs
	if epochs == MaxEpochs {
		epochs = k.params.MaxEpochsAhead
	}
	if epochs < 1 || epochs > k.params.MaxEpochsAhead {
		return nil, requestError("%d epochs: storage is sold for 1 to %d epochs ahead", epochs, k.params.MaxEpochsAhead)
	}
	if w.share && !w.permanent {
		return nil, requestError("a deletable blob cannot be shared: make it permanent")
	}
	if w.fund > 0 && !w.share {
		return nil, requestError("only a shared blob has funds: share it")
	}
	if w.share && w.sendTo != (ledger.Address{}) {
		return nil, requestError("a shared record has no owner: it cannot also be sent to %s", w.sendTo)
	}
	end := k.epoch + epochs
	p, err := w.reuseRecord(k, end)
	if p == nil && err == nil {
		if p = w.reuseStorage(k, end); p == nil {
			p = w.buy(k, end)
		}
		p.deletable = !w.permanent
		p.alone = p.deletable || k.info.PermanentEnd <= k.epoch // nodes vouch for any permanent record
		p.cost.Write, err = k.params.WriteCost(w.encoded)
	}
	if err == nil && p.operation == RegisterFromScratch {
		p.cost.Storage, err = k.params.StorageCost(w.encoded, epochs)
	}
	if err == nil {
		p.cost.Fund = w.fund
		err = p.addFees(w, k)
	}
	if err != nil {
		return nil, fmt.Errorf("price of %d encoded bytes for %d epochs: %w", w.encoded, epochs, err)
	}
	return p, nil
}

// reuseRecord plans with an existing record, extended if need be: one of ours, or anyone's if the blob is permanent and
// certified. Nil if no record serves.
func (w *want) reuseRecord(k *known, end uint32) (*plan, error) {
	// a record is given away when it is certified, and anew asks for a new one: only an uncertified record can serve
	if w.anew || w.share || w.sendTo != (ledger.Address{}) {
		return w.useRecord(k, end, false)
	}
	if k.info.PermanentCertifiedEnd >= end {
		id, _ := w.longest(k, func(b *ledger.Blob) bool { return !b.Deletable && b.Certified != 0 })
		return &plan{operation: AlreadyCertified, object: id, certified: k.info.InitialCertified,
			end: k.info.PermanentCertifiedEnd, registers: -1}, nil
	}
	certified, b := w.longest(k, func(b *ledger.Blob) bool { return b.Deletable != w.permanent && b.Certified != 0 })
	if b != nil && b.End >= end {
		return &plan{operation: AlreadyCertified, object: certified, deletable: b.Deletable, certified: b.Certified,
			start: b.Registered, end: b.End, registers: -1}, nil
	}
	if p, err := w.useRecord(k, end, false); err != nil || p != nil && (b == nil || p.operation == ReuseRegistration) {
		return p, err
	}
	return w.useRecord(k, end, true)
}

// useRecord plans with our longest record, extended if need be. certified selects certified or uncertified records. Nil
// if there is none.
func (w *want) useRecord(k *known, end uint32, certified bool) (*plan, error) {
	id, b := w.longest(k, func(b *ledger.Blob) bool {
		return b.Deletable != w.permanent &&
			(b.Certified != 0) == certified
	})
	if b == nil {
		return nil, nil
	}
	p := &plan{operation: ReuseRegistration, object: id, deletable: b.Deletable, certified: b.Certified,
		start: b.Registered, end: max(b.End, end), registers: -1}
	var ops []ledger.Op
	if b.End < end {
		p.operation, p.extended = ReuseAndExtendNonCertified, end-b.End
		if certified {
			p.operation = ReuseAndExtend
		}
		ops = append(ops, ledger.ExtendBlob{Object: id, Epochs: p.extended})
		var err error
		if p.cost.Storage, err = k.params.StorageCost(b.Bytes, p.extended); err != nil {
			return nil, err
		}
	}
	if len(w.attributes) > 0 {
		ops = append(ops, ledger.SetAttributes{Object: id, Set: w.attributes})
	}
	if len(ops) > 0 {
		p.compose = ledger.Fixed(ops...)
	}
	return p, nil
}

// longest returns our live record of the blob that ends last and fits; nil if there is none.
func (w *want) longest(k *known, fits func(*ledger.Blob) bool) (id ledger.ObjectID, found *ledger.Blob) {
	for _, o := range sortedIDs(k.blobs) { // in order, so that the plan does not depend on map order
		b := k.blobs[o]
		if b.BlobID == w.id && b.End > k.epoch && fits(&b) && (found == nil || b.End > found.End) {
			id, found = o, &b
		}
	}
	return id, found
}

// reuseStorage finds our smallest storage resource that is big and long enough, and cuts off the rest of it. Nil if
// there is none.
func (w *want) reuseStorage(k *known, end uint32) *plan {
	if w.noReuse {
		return nil
	}
	var from ledger.ObjectID
	var best *ledger.Storage
	for _, o := range sortedIDs(k.storages) {
		s := k.storages[o]
		if s.Start > k.epoch || s.End < end || s.Bytes < w.encoded {
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(s.Bytes, best.Bytes), cmp.Compare(s.End, best.End)) < 0 {
			from, best = o, &s
		}
	}
	if best == nil {
		return nil
	}
	var cuts []ledger.Op
	if best.End > end {
		cuts = append(cuts, ledger.SplitStorage{Storage: from, Epoch: end})
	}
	if best.Bytes > w.encoded {
		cuts = append(cuts, ledger.SplitStorage{Storage: from, Bytes: best.Bytes - w.encoded})
	}
	return &plan{operation: ReuseStorage, storage: from, start: k.epoch, end: end, registers: len(cuts),
		compose: ledger.Fixed(append(cuts, w.register(from))...)}
}

func (w *want) buy(k *known, end uint32) *plan {
	return &plan{operation: RegisterFromScratch, start: k.epoch, end: end, registers: 1,
		compose: func(object func(int) ledger.ObjectID) []ledger.Op {
			return []ledger.Op{ledger.BuyStorage{Bytes: w.encoded, Start: k.epoch, End: end}, w.register(object(0))}
		}}
}

func (w *want) register(storage ledger.ObjectID) ledger.RegisterBlob {
	return ledger.RegisterBlob{
		Storage: storage, BlobID: w.id, Root: w.meta.BlobRoot(), Size: w.meta.Length, Deletable: !w.permanent,
		Attributes: w.attributes,
	}
}

// certify returns the operations that certify a record with an end and, if wanted, share it or offer it to another
// account.
func (w *want) certify(object ledger.ObjectID, end uint32, certificate []byte) []ledger.Op {
	ops := []ledger.Op{ledger.CertifyBlob{Object: object, Certificate: certificate}}
	if w.share {
		ops = append(ops, ledger.ShareBlob{Object: object, Amount: w.fund})
	}
	if w.sendTo != (ledger.Address{}) {
		ops = append(ops, ledger.OfferBlob{Object: object, To: w.sendTo, Until: end})
	}
	return ops
}

func (p *plan) addFees(w *want, k *known) (err error) {
	var txs [][]ledger.Op
	if p.compose != nil {
		txs = append(txs, p.compose(func(int) ledger.ObjectID { return ledger.ObjectID{} }))
	}
	if p.certified == 0 {
		longest := certs.Certificate{Signers: make([]uint16, k.members)}
		txs = append(txs, w.certify(p.object, p.end, longest.Marshal()))
	}
	for _, ops := range txs {
		fee := feeOf(&k.params, ops)
		if p.cost.Fee, err = p.cost.Fee.Add(fee); err != nil {
			return err
		}
	}
	_, err = p.cost.sum()
	return err
}

// feeOf returns the least fee of a transaction of ops.
func feeOf(p *ledger.Params, ops []ledger.Op) ledger.Amount {
	tx := ledger.Tx{Ops: ops}
	return p.MinFee(len(tx.Marshal()), tx.Ops)
}

func sortedIDs[T any](m map[ledger.ObjectID]T) []ledger.ObjectID {
	return slices.SortedFunc(maps.Keys(m), func(a, b ledger.ObjectID) int { return slices.Compare(a[:], b[:]) })
}
