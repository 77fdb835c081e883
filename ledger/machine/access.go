package machine

import (
	"sync/atomic"

	"walrus/certs"
	"walrus/ledger"
	"walrus/shards"
)

// access is what a transaction may touch, and whom it has to wait for on that account. Owned by plan, but for waits.
type access struct {
	claims []*claim
	sells  bool         // the pots of any epochs
	alone  bool         // everything: it runs by itself
	waits  atomic.Int32 // for how many others, counted down by release
	next   []int        // those that wait for it, by index in the block
}

// birth is the blob record that some transaction of the block would make.
type birth struct {
	blob  shards.BlobID
	mixed bool // two would make it, of different blobs; at most one of them can be valid
}

// plan lets every transaction declare what it may touch, and finds who has to wait for whom. Which blob a record is of
// never changes, so what the state and the block's own registrations say of it now holds when the transaction runs.
func (k *block) plan() error {
	k.born = make(map[ledger.ObjectID]birth)
	for i := range k.runs {
		if x := &k.runs[i]; x.invalid == nil {
			k.announce(x)
		}
	}
	for i := range k.runs {
		x := &k.runs[i]
		if x.invalid != nil {
			continue
		}
		declare(x, &k.accounts, x.sender)
		for op := range x.tx.Ops {
			if err := x.declareOp(op); err != nil {
				return err
			}
		}
	}
	return nil
}

// announce notes the blob records that x would make.
func (k *block) announce(x *run) {
	for i, op := range x.tx.Ops {
		r, ok := op.(ledger.RegisterBlob)
		if !ok {
			continue
		}
		id := ledger.NewObjectID(x.sender, x.tx.Nonce, i)
		old, again := k.born[id]
		k.born[id] = birth{r.BlobID, old.mixed || again && old.blob != r.BlobID}
	}
}

// declare declares one record.
func declare[K comparable, V value](x *run, t *table[K, V], key K) {
	x.take(&t.slot(key).claim)
}

func (x *run) take(c *claim) {
	if c.last == x.position {
		return
	}
	if c.last > 0 {
		before := &x.block.runs[c.last-1]
		before.next = append(before.next, int(x.position)-1)
		x.waits.Add(1)
	}
	c.last = x.position
	x.claims = append(x.claims, c)
}

// declareOp claims what the i-th operation may touch besides the sender's account.
func (x *run) declareOp(i int) error {
	k := x.block
	made := func() ledger.ObjectID { return ledger.NewObjectID(x.sender, x.tx.Nonce, i) }
	switch op := x.tx.Ops[i].(type) {
	case ledger.Transfer:
		declare(x, &k.accounts, op.To)
	case ledger.BuyStorage:
		x.sell()
		declare(x, &k.storages, made())
	case ledger.SplitStorage:
		declare(x, &k.storages, op.Storage)
		declare(x, &k.storages, made())
	case ledger.MergeStorage:
		declare(x, &k.storages, op.A)
		declare(x, &k.storages, op.B)
	case ledger.TransferStorage:
		declare(x, &k.storages, op.Storage)
		declare(x, &k.accounts, op.To)
	case ledger.RegisterBlob:
		declare(x, &k.storages, op.Storage)
		declare(x, &k.blobs, made())
		declare(x, &k.infos, op.BlobID)
	case ledger.CertifyBlob:
		if err := x.declareBlob(op.Object); err != nil {
			return err
		}
		x.foresee(op)
	case ledger.ExtendBlob:
		if op.Storage != (ledger.ObjectID{}) {
			declare(x, &k.storages, op.Storage)
		} else {
			x.sell()
		}
		return x.declareBlob(op.Object)
	case ledger.DeleteBlob:
		declare(x, &k.storages, made())
		return x.declareBlob(op.Object)
	case ledger.BurnBlob:
		return x.declareBlob(op.Object)
	case ledger.ShareBlob:
		declare(x, &k.blobs, op.Object)
	case ledger.FundBlob:
		declare(x, &k.blobs, op.Object)
	case ledger.TransferBlob:
		declare(x, &k.blobs, op.Object)
		declare(x, &k.accounts, op.To)
	case ledger.SetAttributes:
		declare(x, &k.blobs, op.Object)
	case ledger.Sweep:
		x.alone = true // whoever owns the objects by then
	}
	return nil
}

// sell declares the pots of all epochs: which ones may depend on how long a blob lasts by then.
func (x *run) sell() {
	x.take(&x.block.allPots)
	x.sells = true
}

// declareBlob claims a blob's record and what is known of its blob ID.
func (x *run) declareBlob(id ledger.ObjectID) error {
	k := x.block
	declare(x, &k.blobs, id)
	s := k.blobs.slot(id)
	if err := k.blobs.load(id, s); err != nil {
		return err
	}
	if s.present {
		declare(x, &k.infos, s.value.BlobID)
	} else if b, ok := k.born[id]; ok {
		declare(x, &k.infos, b.blob)
		x.alone = x.alone || b.mixed
	}
	return nil
}

// foresee has a certificate verified beforehand that fits its record.
func (x *run) foresee(op ledger.CertifyBlob) {
	k := x.block
	cert, err := certs.UnmarshalCertificate(op.Certificate)
	if err != nil || cert.Persistence.Deletable && cert.Persistence.Object != op.Object {
		return
	}
	if s := k.blobs.slot(op.Object); s.present {
		if s.value.BlobID == cert.Blob && s.value.Certified == 0 {
			k.certificates.expect(op.Certificate, x)
		}
	} else if k.born[op.Object].blob == cert.Blob {
		k.certificates.expect(op.Certificate, x)
	}
}
