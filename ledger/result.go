package ledger

import (
	"errors"
	"fmt"
	"strings"

	"walrus/shards"
)

// Code is the outcome of a transaction, in its result and its receipt. The numbers are part of the format.
type Code uint32

// Codes of results.
const (
	CodeOK          Code = iota
	CodeFormat           // not the binary form of a transaction
	CodeNetwork          // of another network
	CodeSignature        // not signed by its sender
	CodeNonce            // used already, or ahead of the account's
	CodeExpired          // too late, or expiring too far ahead
	CodeFee              // less than the least fee, or more than the balance
	CodeBalance          // not enough WAL
	CodeNotFound         // no such object
	CodeNotOwner         // the object belongs to somebody else
	CodeState            // the object's state forbids it: not certified, permanent, expired, …
	CodeEpoch            // epochs in the past, too far ahead, or out of order
	CodeSize             // storage smaller than the encoded size, or a size of zero
	CodeCapacity         // more than the network has for sale
	CodeCertificate      // does not certify this registration
	CodeBlobID           // does not follow from size and root
	CodeOverflow         // amounts or sizes beyond 64 bits
	CodeLimit            // a list or text beyond its bound
	CodeInternal         // a fault of the rules
	CodeInvalidBlob      // the blob ID is invalid: its blob was encoded wrongly
	CodeProof            // proves nothing against this blob ID
)

// codeNames holds the codes' names, by code. The text is part of interfaces.
var codeNames = [...]string{
	CodeOK: "ok", CodeFormat: "format", CodeNetwork: "network", CodeSignature: "signature", CodeNonce: "nonce",
	CodeExpired: "expired", CodeFee: "fee", CodeBalance: "balance", CodeNotFound: "notFound", CodeNotOwner: "notOwner",
	CodeState: "state", CodeEpoch: "epoch", CodeSize: "size", CodeCapacity: "capacity", CodeCertificate: "certificate",
	CodeBlobID: "blobId", CodeOverflow: "overflow", CodeLimit: "limit", CodeInternal: "internal",
	CodeInvalidBlob: "invalidBlob", CodeProof: "proof",
}

// String returns the code's name, like "notFound".
func (c Code) String() string {
	if int64(c) < int64(len(codeNames)) {
		return codeNames[c]
	}
	return fmt.Sprintf("code %d", uint32(c))
}

// MarshalText implements encoding.TextMarshaler.
func (c Code) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Result is the outcome of one transaction in a block.
type Result struct {
	Code   Code    `json:"code"`
	Op     int     `json:"operation"`        // index of the operation that failed; −1 if none
	Log    string  `json:"log,omitempty"`    // why, for people; nodes need not agree on it
	Fee    Amount  `json:"feeFrost"`         // paid
	Spent  Amount  `json:"spentFrost"`       // net decrease of the sender's balance, fee included
	Events []Event `json:"events,omitempty"` // none if Code is not CodeOK
}

// Effective reports whether the transaction was paid for. Without effect it is only included in a block, and another
// block may include it with effect.
func (r *Result) Effective() bool { return r.Code == CodeOK || r.Op >= 0 || r.Fee > 0 }

// ErrUnknown reports a transaction that was sent without an answer: it may have taken effect, or still may.
var ErrUnknown = errors.New("it is not known whether the transaction took effect")

// OpError reports why a transaction was refused or has failed.
type OpError struct {
	Code Code
	Op   int // index of the operation; −1 for the transaction itself
	Text string
	// Least is the fee from which on the node would have taken the transaction. 0: the fee is not the reason, or it
	// was too low for the rules whatever else waits. With CodeFee it was priced out, see PricedOut.
	Least Amount
}

// PricedOut reports whether a transaction is refused only because others pay more.
func (e *OpError) PricedOut() bool { return e.Code == CodeFee && e.Least > 0 }

// Error describes the error for people.
func (e *OpError) Error() string {
	if e.Op < 0 {
		return e.Text
	}
	return fmt.Sprintf("operation %d: %s", e.Op, e.Text)
}

// Err returns the reason for a failure, an *OpError; nil if the transaction succeeded.
func (r *Result) Err() error {
	if r.Code == CodeOK {
		return nil
	}
	text := r.Log
	if text == "" { // results need not have it
		text = "the ledger refused it: " + r.Code.String()
	}
	return &OpError{Code: r.Code, Op: r.Op, Text: text}
}

// FundsError reports that an account has too little WAL.
type FundsError struct {
	Need, Have Amount
}

// Error describes the error for people.
func (e *FundsError) Error() string {
	return fmt.Sprintf("not enough WAL: %s are needed, the account has %s: get more with walrus wallet faucet on a devnet, or have some sent to it",
		strings.TrimSuffix(e.Need.String(), " WAL"), e.Have)
}

// EventKind is the kind of an event. The text is part of interfaces.
type EventKind string

// Kinds of events.
const (
	EventTransferred   EventKind = "transferred"
	EventStorageBought EventKind = "storageBought"
	EventStorageSplit  EventKind = "storageSplit"
	EventStorageMerged EventKind = "storageMerged"
	EventStorageMoved  EventKind = "storageTransferred" // From's offer was accepted by To
	EventRegistered    EventKind = "blobRegistered"
	EventCertified     EventKind = "blobCertified"
	EventExtended      EventKind = "blobExtended"
	EventDeleted       EventKind = "blobDeleted"
	EventShared        EventKind = "blobShared"
	EventFunded        EventKind = "blobFunded"
	EventBlobMoved     EventKind = "blobTransferred" // likewise
	EventBurned        EventKind = "blobBurned"
	EventAttributes    EventKind = "attributesSet"
	EventSwept         EventKind = "swept"
	EventEpoch         EventKind = "epochChanged"
	EventPaidOut       EventKind = "rewardPaid"
	EventInvalid       EventKind = "blobInvalid"
	EventBonded        EventKind = "monitorBonded"   // Amount was added to the bond
	EventUnbonded      EventKind = "monitorUnbonded" // Amount comes back at the start of epoch End
	EventStorageOffer  EventKind = "storageOffered"  // to To, until epoch End
	EventBlobOffer     EventKind = "blobOffered"     // likewise
	EventWithdrawn     EventKind = "offerWithdrawn"
	EventBondReturned  EventKind = "bondReturned" // in a block's events at its epoch; in a transaction's if pushed out
)

// Event is something that happened in a block. Kind determines which fields are used.
type Event struct {
	Kind        EventKind     `json:"kind"`
	From        Address       `json:"from,omitzero"`
	To          Address       `json:"to,omitzero"`
	Amount      Amount        `json:"amountFrost,omitempty"`
	Object      ObjectID      `json:"object,omitzero"`
	Other       ObjectID      `json:"other,omitzero"` // the second object of a split, a merge, a deletion
	Blob        shards.BlobID `json:"blobId,omitzero"`
	Size        uint64        `json:"size,omitempty"`  // of the blob
	Bytes       uint64        `json:"bytes,omitempty"` // of storage
	Deletable   bool          `json:"deletable,omitempty"`
	Epoch       uint32        `json:"epoch,omitempty"` // of the event; for EventEpoch the one that began
	End         uint32        `json:"endEpoch,omitempty"`
	Certificate []byte        `json:"certificate,omitempty"`
	Monitor     PeerKey       `json:"monitor,omitzero"`
}

// Receipt is the place and the result of a committed transaction.
type Receipt struct {
	ID     TxID   `json:"txId"`
	Height uint64 `json:"height"`
	Index  uint32 `json:"index"` // in the block
	Time   int64  `json:"time"`  // of the block, Unix nanoseconds
	Result
}
