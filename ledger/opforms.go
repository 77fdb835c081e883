package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"walrus/certs"
)

// opCodec is how one kind of operation is written and read.
type opCodec struct {
	name string
	// form writes op, or reads and returns one.
	form func(f *form, op Op) Op
}

func codecOf[T Op, P interface {
	*T
	formed
}](name string) opCodec {
	return opCodec{name, func(f *form, op Op) Op {
		var v T
		switch o := op.(type) { // nil when reading
		case T:
			v = o
		case P:
			v = *o
		}
		P(&v).form(f)
		return v
	}}
}

// opCodecs by kind.
var opCodecs = [...]opCodec{
	kindTransfer:        codecOf[Transfer]("transfer"),
	kindBuyStorage:      codecOf[BuyStorage]("buyStorage"),
	kindSplitStorage:    codecOf[SplitStorage]("splitStorage"),
	kindMergeStorage:    codecOf[MergeStorage]("mergeStorage"),
	kindTransferStorage: codecOf[TransferStorage]("transferStorage"),
	kindRegisterBlob:    codecOf[RegisterBlob]("registerBlob"),
	kindCertifyBlob:     codecOf[CertifyBlob]("certifyBlob"),
	kindExtendBlob:      codecOf[ExtendBlob]("extendBlob"),
	kindDeleteBlob:      codecOf[DeleteBlob]("deleteBlob"),
	kindShareBlob:       codecOf[ShareBlob]("shareBlob"),
	kindFundBlob:        codecOf[FundBlob]("fundBlob"),
	kindTransferBlob:    codecOf[TransferBlob]("transferBlob"),
	kindBurnBlob:        codecOf[BurnBlob]("burnBlob"),
	kindSetAttributes:   codecOf[SetAttributes]("setAttributes"),
	kindSweep:           codecOf[Sweep]("sweep"),
}

// OpName is the name of op's kind for people and JSON, like "buyStorage".
func OpName(op Op) string { return opCodecs[op.kind()].name }

// opForm is one operation after its kind.
func opForm(f *form, op *Op) {
	var kind uint8
	f.op, f.opName = f.op+1, ""
	if !f.reading {
		kind = uint8((*op).kind())
	}
	f.u8("kind of operation", &kind)
	if f.err != nil && f.reading {
		return
	}
	if kind == 0 || int(kind) >= len(opCodecs) {
		f.fail("there is no operation of kind %d", kind)
		return
	}
	f.opName = opCodecs[kind].name
	if v := opCodecs[kind].form(f, *op); f.reading {
		*op = v
	}
}

func (o *Transfer) form(f *form) {
	f.fixed("to", o.To[:])
	f.amount("amount", &o.Amount)
}

func (o *BuyStorage) form(f *form) {
	f.u64("bytes", &o.Bytes)
	f.u32("start", &o.Start)
	f.u32("end", &o.End)
}

func (o *SplitStorage) form(f *form) {
	f.fixed("storage", o.Storage[:])
	f.u32("epoch", &o.Epoch)
	f.u64("bytes", &o.Bytes)
}

func (o *MergeStorage) form(f *form) {
	f.fixed("a", o.A[:])
	f.fixed("b", o.B[:])
}

func (o *TransferStorage) form(f *form) {
	f.fixed("storage", o.Storage[:])
	f.fixed("to", o.To[:])
}

func (o *RegisterBlob) form(f *form) {
	f.fixed("storage", o.Storage[:])
	f.fixed("blob ID", o.BlobID[:])
	f.fixed("root", o.Root[:])
	f.u64("size", &o.Size)
	f.flag("deletable", &o.Deletable)
	attributesForm(f, "attributes", &o.Attributes)
}

func (o *CertifyBlob) form(f *form) {
	f.fixed("object", o.Object[:])
	f.bytes("bytes of certificate", &o.Certificate, certs.MaxCertificateSize)
}

func (o *ExtendBlob) form(f *form) {
	f.fixed("object", o.Object[:])
	f.u32("epochs", &o.Epochs)
	f.flag("fromFunds", &o.FromFunds)
	f.fixed("storage", o.Storage[:])
}

func (o *DeleteBlob) form(f *form) { f.fixed("object", o.Object[:]) }

func (o *ShareBlob) form(f *form) {
	f.fixed("object", o.Object[:])
	f.amount("amount", &o.Amount)
}

func (o *FundBlob) form(f *form) {
	f.fixed("object", o.Object[:])
	f.amount("amount", &o.Amount)
}

func (o *TransferBlob) form(f *form) {
	f.fixed("object", o.Object[:])
	f.fixed("to", o.To[:])
}

func (o *BurnBlob) form(f *form) { f.fixed("object", o.Object[:]) }

func (o *SetAttributes) form(f *form) {
	f.fixed("object", o.Object[:])
	attributesForm(f, "attributes to set", &o.Set)
	list(f, "attributes to remove", &o.Remove, MaxAttributes, 2+1, func(f *form, key *string) {
		f.text("key", key, 1, MaxAttributeKey)
	})
	ascending(f, "attributes to remove", o.Remove, func(a, b *string) bool { return *a < *b })
	for i := range o.Set {
		_, both := slices.BinarySearch(o.Remove, o.Set[i].Key)
		f.check(!both, "attribute %q is set and removed", o.Set[i].Key)
	}
}

func (o *Sweep) form(f *form) {
	list(f, "objects", &o.Objects, MaxSweep, len(ObjectID{}), func(f *form, id *ObjectID) { f.fixed("object", id[:]) })
	f.check(len(o.Objects) > 0, "no objects")
	ascending(f, "objects", o.Objects, func(a, b *ObjectID) bool { return bytes.Compare(a[:], b[:]) < 0 })
}

// attributesForm is a list of pairs, keys unique and ascending, of at most MaxAttributesSize bytes together.
func attributesForm(f *form, name string, v *[]Attribute) {
	size := 0
	list(f, name, v, MaxAttributes, 2+1+2, func(f *form, a *Attribute) {
		f.text("key", &a.Key, 1, MaxAttributeKey)
		f.text("value", &a.Value, 0, MaxAttributeValue)
		size += len(a.Key) + len(a.Value)
	})
	f.check(size <= MaxAttributesSize, "%s: %d bytes: at most %d", name, size, MaxAttributesSize)
	ascending(f, name, *v, func(a, b *Attribute) bool { return a.Key < b.Key })
}

// namedOp is the JSON form of an operation: the name of its kind beside its fields.
type namedOp struct{ Op }

// MarshalJSON implements json.Marshaler.
func (o namedOp) MarshalJSON() ([]byte, error) {
	fields, err := json.Marshal(o.Op)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", OpName(o.Op), err)
	}
	b := fmt.Appendf(nil, `{"op":%q`, OpName(o.Op))
	if len(fields) > 2 { // not {}
		b = append(b, ',')
	}
	return append(b, fields[1:]...), nil
}
