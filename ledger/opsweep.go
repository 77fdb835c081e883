package ledger

import "bytes"

// MaxSweep bounds the objects of a Sweep.
const MaxSweep = 100

// Sweep removes the records of expired storage resources and blobs, whoever owns them.
type Sweep struct {
	Objects []ObjectID `json:"objects"` // ascending, 1 to MaxSweep
}

func (Sweep) kind() uint8 { return 15 }

func (o Sweep) work(p *Params) uint64 {
	return uint64(len(o.Objects)) * (2*workKey + workRecord + p.workInfo())
}

func (o *Sweep) form(f *form) {
	list(f, "objects", &o.Objects, MaxSweep, len(ObjectID{}), func(f *form, id *ObjectID) { f.fixed("object", id[:]) })
	f.check(len(o.Objects) > 0, "no objects")
	ascending(f, "objects", o.Objects, func(a, b *ObjectID) bool { return bytes.Compare(a[:], b[:]) < 0 })
}
