package ledger

import (
	"math"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/shards"
)

// maxDeletableEnds bounds the list of ends of a blob ID's deletable records: one for each epoch that storage is sold
// for.
const maxDeletableEnds = MaxEpochsAhead + 1

// invalidEnd stands last in the form of an invalid blob's ends, so that the form of all others is as it was before
// there were invalid ones. No record ends in the last epoch.
var invalidEnd = DeletableEnd{End: math.MaxUint32, Registered: 1}

func (a *Account) form(f *form) {
	f.amount("balance", &a.Balance)
	f.u64("nonce", &a.Nonce)
	f.u32("storages", &a.Storages)
	f.u32("blobs", &a.Blobs)
}

func (s *Storage) form(f *form) {
	f.fixed("owner", s.Owner[:])
	f.u32("start", &s.Start)
	f.u32("end", &s.End)
	f.u64("bytes", &s.Bytes)
}

func (b *Blob) form(f *form) {
	f.fixed("owner", b.Owner[:])
	f.flag("shared", &b.Shared)
	f.amount("funds", &b.Funds)
	f.fixed("blob ID", b.BlobID[:])
	f.u64("size", &b.Size)
	f.fixed("root", b.Root[:])
	f.flag("deletable", &b.Deletable)
	f.u32("registered", &b.Registered)
	f.u32("certified", &b.Certified)
	f.u32("start", &b.Start)
	f.u32("end", &b.End)
	f.u64("bytes", &b.Bytes)
	attributesForm(f, "attributes", &b.Attributes)
}

func (i *BlobInfo) form(f *form) {
	f.u32("initialCertified", &i.InitialCertified)
	f.u32("permanentEnd", &i.PermanentEnd)
	f.u32("permanentCertifiedEnd", &i.PermanentCertifiedEnd)
	ends := i.Deletable
	if !f.reading && i.Invalid {
		ends = append(slices.Clip(ends), invalidEnd)
	}
	list(f, "ends of deletable records", &ends, maxDeletableEnds+1, 3*4, func(f *form, e *DeletableEnd) {
		f.u32("end", &e.End)
		f.u32("registered", &e.Registered)
		f.u32("certified", &e.Certified)
		f.check(e.Registered > 0 && e.Certified <= e.Registered, "%d of %d deletable records are certified",
			e.Certified, e.Registered)
		f.check(e.End < invalidEnd.End || *e == invalidEnd, "%d deletable records end in epoch %d", e.Registered, e.End)
	})
	ascending(f, "ends of deletable records", ends, func(a, b *DeletableEnd) bool { return a.End < b.End })
	if last := len(ends) - 1; f.reading && last >= 0 && ends[last] == invalidEnd {
		ends, i.Invalid = ends[:last], true
	}
	f.check(len(ends) <= maxDeletableEnds || !f.reading, "%d ends of deletable records: at most %d",
		len(ends), maxDeletableEnds)
	if f.reading && len(ends) > 0 {
		i.Deletable = ends
	}
}

func (p *Pot) form(f *form) {
	f.amount("rewards", &p.Rewards)
	f.u64("sold", &p.Sold)
}

func (e *EpochInfo) form(f *form) {
	f.u32("epoch", &e.Epoch)
	f.i64("start", &e.Start)
	f.amount("leftover", &e.Leftover)
}

func (s *Supply) form(f *form) { f.amount("burned", &s.Burned) }

func (p *Params) form(f *form) {
	f.u32("shards", &p.Shards)
	f.amount("storagePrice", &p.StoragePrice)
	f.amount("writePrice", &p.WritePrice)
	f.amount("feeTx", &p.FeeTx)
	f.amount("feeByte", &p.FeeByte)
	f.u64("capacity", &p.Capacity)
	f.u32("maxEpochsAhead", &p.MaxEpochsAhead)
	f.i64("epochDuration", (*int64)(&p.EpochDuration))
	f.i64("genesisTime", &p.GenesisTime)
	f.u32("burnBasis", &p.BurnBasis)
	f.amount("feePerWork", &p.FeePerWork)
}

func (m *Member) form(f *form) {
	node := []byte(m.Node)
	f.bytes("bytes of peer ID", &node, certs.MaxPeerIDSize)
	if f.reading {
		m.Node = peer.ID(node)
	}
	f.text("name", &m.Name, 0, MaxMemberName)
	f.fixed("key", m.Key[:])
	f.fixed("proof", m.Proof[:])
	f.fixed("consensus key", m.Consensus[:])
	f.fixed("reward address", m.Reward[:])
	list(f, "shards", &m.Shards, shards.MaxShards, 2, func(f *form, s *int) {
		u := uint16(*s)
		f.u16("shard", &u)
		if f.reading {
			*s = int(u)
		}
	})
	ascending(f, "shards", m.Shards, func(a, b *int) bool { return *a < *b })
}

// Marshal returns the binary form.
func (a Account) Marshal() []byte { return marshal(&a, 24) }

// Marshal returns the binary form.
func (s Storage) Marshal() []byte { return marshal(&s, 48) }

// Marshal returns the binary form.
func (b Blob) Marshal() []byte { return marshal(&b, 160) }

// Marshal returns the binary form.
func (i BlobInfo) Marshal() []byte { return marshal(&i, 14+12*len(i.Deletable)) }

// Marshal returns the binary form.
func (p Pot) Marshal() []byte { return marshal(&p, 16) }

// Marshal returns the binary form.
func (e EpochInfo) Marshal() []byte { return marshal(&e, 20) }

// Marshal returns the binary form.
func (s Supply) Marshal() []byte { return marshal(&s, 8) }

// Marshal returns the binary form.
func (p Params) Marshal() []byte { return marshal(&p, 72) }

// Marshal returns the binary form.
func (m Member) Marshal() []byte { return marshal(&m, 512) }

// read decodes a T from its binary form.
func read[T any, P interface {
	*T
	formed
}](what string, b []byte) (T, error) {
	var v T
	if err := unmarshal(what, P(&v), b); err != nil {
		return *new(T), err
	}
	return v, nil
}

// UnmarshalAccount decodes the binary form. Errors of this function and the functions below wrap ErrFormat and name the
// field.
func UnmarshalAccount(b []byte) (Account, error) { return read[Account]("account", b) }

// UnmarshalStorage reads the binary form.
func UnmarshalStorage(b []byte) (Storage, error) { return read[Storage]("storage resource", b) }

// UnmarshalBlob reads the binary form.
func UnmarshalBlob(b []byte) (Blob, error) { return read[Blob]("blob record", b) }

// UnmarshalBlobInfo reads the binary form.
func UnmarshalBlobInfo(b []byte) (BlobInfo, error) { return read[BlobInfo]("blob info", b) }

// UnmarshalPot reads the binary form.
func UnmarshalPot(b []byte) (Pot, error) { return read[Pot]("pot", b) }
