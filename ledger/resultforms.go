package ledger

import (
	"fmt"
	"math"
	"strings"

	"golang.org/x/crypto/blake2b"

	"walrus/certs"
	"walrus/shards"
)

const (
	// MaxEvents bounds the events of one transaction: more than its operations can cause.
	MaxEvents = 8192
	// MaxLog bounds the text of a result, in bytes. Longer text is cut when written.
	MaxLog = 1024
	// MaxReceiptSize bounds the binary form of a receipt, in bytes: 256 operations have one event each, or two, of
	// some 130 bytes, and certificates no longer than in their transaction.
	MaxReceiptSize = 512 << 10

	maxEventKind = 32
	minEventSize = 2 + 1 + 2
)

// eventField is a field of an event, written only if it is not zero.
type eventField struct {
	there bool
	form  func(f *form)
}

// fields lists the fields in the order of their bits.
func (e *Event) fields() [16]eventField {
	return [...]eventField{
		{e.From != Address{}, func(f *form) { f.fixed("from", e.From[:]) }},
		{e.To != Address{}, func(f *form) { f.fixed("to", e.To[:]) }},
		{e.Amount != 0, func(f *form) { f.amount("amount", &e.Amount) }},
		{e.Object != ObjectID{}, func(f *form) { f.fixed("object", e.Object[:]) }},
		{e.Other != ObjectID{}, func(f *form) { f.fixed("other object", e.Other[:]) }},
		{e.Blob != shards.BlobID{}, func(f *form) { f.fixed("blob ID", e.Blob[:]) }},
		{e.Size != 0, func(f *form) { f.u64("size", &e.Size) }},
		{e.Bytes != 0, func(f *form) { f.u64("bytes", &e.Bytes) }},
		{e.Deletable, func(f *form) {
			if f.reading {
				e.Deletable = true
			}
		}},
		{e.Epoch != 0, func(f *form) { f.u32("epoch", &e.Epoch) }},
		{e.End != 0, func(f *form) { f.u32("end", &e.End) }},
		{len(e.Certificate) > 0, func(f *form) { f.bytes("bytes of certificate", &e.Certificate, certs.MaxCertificateSize) }},
		{e.Monitor != PeerKey{}, func(f *form) { f.fixed("monitor", e.Monitor[:]) }},
		{e.Deposit != 0, func(f *form) { f.i64("deposit", &e.Deposit) }},
		{e.Version != 0, func(f *form) { f.u32("version", &e.Version) }},
		{e.Height != 0, func(f *form) { f.u64("height", &e.Height) }},
	}
}

// present returns the bits of the fields that are not zero.
func (e *Event) present() (bits uint16) {
	for i, field := range e.fields() {
		if field.there {
			bits |= 1 << i
		}
	}
	return bits
}

// form writes or reads an event: its kind, the set of its nonzero fields, and their values.
func (e *Event) form(f *form) {
	f.text("kind of event", (*string)(&e.Kind), 1, maxEventKind)
	bits := e.present()
	f.u16("fields", &bits)
	for i, field := range e.fields() {
		if bits>>i&1 != 0 {
			field.form(f)
		}
	}
	f.check(bits == e.present(), "event %s: a field is zero that should not be there", e.Kind)
}

func (r *Result) form(f *form) {
	f.u32("code", (*uint32)(&r.Code))
	op := uint16(r.Op) // −1 is 65535
	f.u16("operation", &op)
	f.check(op < MaxOps || op == math.MaxUint16, "there is no operation %d", op)
	log := strings.ToValidUTF8(r.Log[:min(len(r.Log), MaxLog)], "")
	f.text("log", &log, 0, MaxLog)
	if f.reading {
		r.Op, r.Log = int(int16(op)), log
	}
	f.amount("fee", &r.Fee)
	f.amount("spent", &r.Spent)
	eventsForm(f, &r.Events)
}

func (r *Receipt) form(f *form) {
	f.fixed("ID", r.ID[:])
	f.u64("height", &r.Height)
	f.u32("index", &r.Index)
	f.i64("time", &r.Time)
	r.Result.form(f)
}

// Agreed returns the part of a result, besides its code, on which nodes agree: index of the failed operation u16
// (65535 for none) ‖ fee u64 ‖ spent u64 ‖ BLAKE2b-256 of the events' list. It cannot be decoded.
func (r Result) Agreed() []byte {
	f := form{b: make([]byte, 0, 2+8+8+32)}
	op := uint16(r.Op)
	f.u16("operation", &op)
	f.amount("fee", &r.Fee)
	f.amount("spent", &r.Spent)
	var events form
	eventsForm(&events, &r.Events)
	hash := blake2b.Sum256(events.b)
	f.fixed("events", hash[:])
	return f.b
}

func eventsForm(f *form, events *[]Event) {
	list(f, "events", events, MaxEvents, minEventSize, func(f *form, e *Event) { e.form(f) })
}

// Marshal returns the binary form.
func (e Event) Marshal() []byte { return marshal(&e, 256) }

// Marshal returns the binary form.
func (r Receipt) Marshal() []byte { return marshal(&r, 256) }

// UnmarshalEvent decodes the binary form.
func UnmarshalEvent(b []byte) (Event, error) { return read[Event]("event", b) }

// UnmarshalReceipt decodes the binary form.
func UnmarshalReceipt(b []byte) (Receipt, error) {
	if len(b) > MaxReceiptSize {
		return Receipt{}, fmt.Errorf("receipt: %w: %d bytes: at most %d", ErrFormat, len(b), MaxReceiptSize)
	}
	return read[Receipt]("receipt", b)
}
