package ledger

import (
	"encoding/json"
	"fmt"
)

// opCodec names, writes and reads one kind of operation.
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

// opCodecs has one row for each kind of operation, at its number, which is part of the format. A kind's file has the
// rest: type, number, work, form, and where they are not zero cost and outlay.
var opCodecs = [...]opCodec{
	1:  codecOf[Transfer]("transfer"),
	2:  codecOf[BuyStorage]("buyStorage"),
	3:  codecOf[SplitStorage]("splitStorage"),
	4:  codecOf[MergeStorage]("mergeStorage"),
	5:  codecOf[OfferStorage]("offerStorage"),
	6:  codecOf[RegisterBlob]("registerBlob"),
	7:  codecOf[CertifyBlob]("certifyBlob"),
	8:  codecOf[ExtendBlob]("extendBlob"),
	9:  codecOf[DeleteBlob]("deleteBlob"),
	10: codecOf[ShareBlob]("shareBlob"),
	11: codecOf[FundBlob]("fundBlob"),
	12: codecOf[OfferBlob]("offerBlob"),
	13: codecOf[BurnBlob]("burnBlob"),
	14: codecOf[SetAttributes]("setAttributes"),
	15: codecOf[Sweep]("sweep"),
	16: codecOf[DisproveBlob]("disproveBlob"),
	17: codecOf[RefuteBlob]("refuteBlob"),
	18: codecOf[BondMonitor]("bondMonitor"),
	19: codecOf[UnbondMonitor]("unbondMonitor"),
	20: codecOf[AcceptOffer]("acceptOffer"),
	21: codecOf[WithdrawOffer]("withdrawOffer"),
}

// OpKind returns the number of op's kind, the first byte of op in the binary form of a transaction.
func OpKind(op Op) uint8 { return op.kind() }

// OpName returns the name of op's kind for people and JSON, like "buyStorage".
func OpName(op Op) string { return opCodecs[op.kind()].name }

// OpCost returns the WAL that op takes from its sender, as far as op itself says: an ExtendBlob counts as nothing,
// since its price depends on the blob's record. Errors wrap ErrOverflow.
func OpCost(p *Params, op Op) (Amount, error) {
	if o, ok := op.(interface {
		cost(p *Params) (Amount, error)
	}); ok {
		return o.cost(p)
	}
	return 0, nil
}

// OpOutlay returns the WAL that op moves out of its sender's account for others to spend.
func OpOutlay(op Op, sender Address) Amount {
	if o, ok := op.(interface{ outlay(sender Address) Amount }); ok {
		return o.outlay(sender)
	}
	return 0
}

// opForm writes or reads an operation's kind, then the operation.
func opForm(f *form, op *Op) {
	var kind uint8
	f.op, f.opName = f.op+1, ""
	if !f.reading {
		kind = (*op).kind()
	}
	f.u8("kind of operation", &kind)
	if f.err != nil && f.reading {
		return
	}
	if int(kind) >= len(opCodecs) || opCodecs[kind].form == nil {
		f.fail("there is no operation of kind %d", kind)
		return
	}
	f.opName = opCodecs[kind].name
	if v := opCodecs[kind].form(f, *op); f.reading {
		*op = v
	}
}

// namedOp prints an operation as JSON: the name of its kind, then its fields.
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
