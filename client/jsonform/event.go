package jsonform

import (
	"math/big"
	"slices"
	"strconv"

	"walrus/client"
	"walrus/ledger"
)

// Event names an event of the ledger in the original's form: the transaction's ID in base58, and the event's index in
// it. The zero digest stands for an event that the ledger does not keep.
type Event struct {
	TxDigest string `json:"txDigest" example:"11111111111111111111111111111111"`
	EventSeq string `json:"eventSeq" example:"0"`
}

// noEvent has the zero digest, which digest parsers accept.
var noEvent = NewEvent(ledger.TxID{}, 0)

// NewEvent names event seq of a transaction.
func NewEvent(tx ledger.TxID, seq int) Event { return Event{base58(tx[:]), strconv.Itoa(seq)} }

// NewCertifying names the event that certified somebody else's record.
func NewCertifying(r *client.StoreResult) *Event {
	if r.Certifying == nil {
		return &noEvent
	}
	return new(NewEvent(r.Certifying.Tx, r.Certifying.Seq))
}

// NewInvalid converts the failure of storing a blob that the ledger has marked; nil if it has not.
func NewInvalid(e *client.InvalidBlobError) *MarkedInvalid {
	tx, seq, ok := e.Event()
	if !ok {
		return nil
	}
	return &MarkedInvalid{BlobID: e.BlobID, Event: NewEvent(tx, seq)}
}

// base58Digits are the digits and letters without those that look alike, as Bitcoin uses them.
const base58Digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// base58 writes b as a number, with a 1 for each leading zero byte.
func base58(b []byte) string {
	var digits []byte
	base, rest := big.NewInt(int64(len(base58Digits))), new(big.Int)
	for n := new(big.Int).SetBytes(b); n.Sign() > 0; {
		n.DivMod(n, base, rest)
		digits = append(digits, base58Digits[rest.Int64()])
	}
	for _, c := range b {
		if c != 0 {
			break
		}
		digits = append(digits, base58Digits[0])
	}
	slices.Reverse(digits)
	return string(digits)
}
