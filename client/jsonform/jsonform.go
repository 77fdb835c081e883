// Package jsonform has the JSON forms of a client's results: the original's names and key order. The gateway and the
// command print them. Start with New.
package jsonform

import (
	"walrus/client"
	"walrus/ledger"
	"walrus/shards"
)

// EncodingType names the only encoding.
const EncodingType = "RS2"

// StoreResult tells how a blob was stored: one of its fields is set.
type StoreResult struct {
	NewlyCreated     *NewlyCreated     `json:"newlyCreated,omitempty" doc:"The blob was registered, or a registration was extended or finished."`
	AlreadyCertified *AlreadyCertified `json:"alreadyCertified,omitempty" doc:"The blob was stored for long enough already; nothing was paid."`
	MarkedInvalid    *MarkedInvalid    `json:"markedInvalid,omitempty" doc:"The blob was encoded wrongly by somebody and has no content."`
}

// NewlyCreated describes a blob whose record is new or was changed.
type NewlyCreated struct {
	BlobObject        BlobObject        `json:"blobObject"`
	ResourceOperation ResourceOperation `json:"resourceOperation"`
	Cost              ledger.Amount     `json:"cost" example:"132300" doc:"What was paid for storing it, in FROST."`
	SharedBlobObject  *ledger.ObjectID  `json:"sharedBlobObject,omitempty" doc:"The record everybody may extend, of share=true."`
}

// BlobObject describes the record of a blob.
type BlobObject struct {
	ID             ledger.ObjectID `json:"id" doc:"Object ID of the record."`
	Registered     uint32          `json:"registeredEpoch" example:"34"`
	BlobID         shards.BlobID   `json:"blobId" doc:"Name of the content."`
	Size           uint64          `json:"size" example:"17" doc:"Bytes of the blob."`
	EncodingType   string          `json:"encodingType" example:"RS2"`
	CertifiedEpoch *uint32         `json:"certifiedEpoch" example:"34" doc:"Null before the blob is certified."`
	Storage        Storage         `json:"storage"`
	Deletable      bool            `json:"deletable" example:"false"`
}

// Storage describes the storage of a record. Its ID is the record's.
type Storage struct {
	ID          ledger.ObjectID `json:"id"`
	StartEpoch  uint32          `json:"startEpoch" example:"34"`
	EndEpoch    uint32          `json:"endEpoch" example:"35" doc:"Storage ends when this epoch starts."`
	StorageSize uint64          `json:"storageSize" example:"66034000" doc:"Bytes that all nodes keep together."`
}

// ResourceOperation says how the blob got its storage: one of its fields is set.
type ResourceOperation struct {
	RegisterFromScratch        *Registered `json:"registerFromScratch,omitempty" doc:"Storage was bought."`
	ReuseStorage               *Reused     `json:"reuseStorage,omitempty" doc:"Storage the publisher had was used."`
	ReuseRegistration          *Reused     `json:"reuseRegistration,omitempty" doc:"A registration that was never certified was used."`
	ReuseAndExtend             *Extended   `json:"reuseAndExtend,omitempty" doc:"A record was extended."`
	ReuseAndExtendNonCertified *Extended   `json:"reuseAndExtendNonCertified,omitempty" doc:"A registration that was never certified was extended and used."`
}

// Registered describes storage that was bought.
type Registered struct {
	EncodedLength int64  `json:"encodedLength" example:"66034000"`
	EpochsAhead   uint32 `json:"epochsAhead" example:"1"`
}

// Reused describes storage that was used again.
type Reused struct {
	EncodedLength int64 `json:"encodedLength" example:"66034000"`
}

// Extended describes a record that was extended.
type Extended struct {
	EncodedLength  int64  `json:"encodedLength" example:"66034000"`
	EpochsExtended uint32 `json:"epochsExtended" example:"1"`
}

// AlreadyCertified describes a blob that was already stored. It has an object if the record is the publisher's,
// otherwise an event.
type AlreadyCertified struct {
	BlobID   shards.BlobID    `json:"blobId"`
	Event    *Event           `json:"event,omitempty" doc:"What certified or extended somebody else's record; zeros if the ledger does not keep it any more."`
	Object   *ledger.ObjectID `json:"object,omitempty" doc:"The publisher's record of it."`
	EndEpoch uint32           `json:"endEpoch" example:"35"`
}

// MarkedInvalid names a blob that cannot be stored.
type MarkedInvalid struct {
	BlobID shards.BlobID `json:"blobId"`
	Event  Event         `json:"event"`
}

// New converts the result of a successful store.
func New(r *client.StoreResult) StoreResult {
	if r.AlreadyCertified {
		a := &AlreadyCertified{BlobID: r.BlobID, EndEpoch: r.EndEpoch}
		if r.Object == (ledger.ObjectID{}) {
			a.Event = NewCertifying(r)
		} else {
			a.Object = &r.Object
		}
		return StoreResult{AlreadyCertified: a}
	}
	n := &NewlyCreated{
		BlobObject: BlobObject{
			ID: r.Object, Registered: r.RegisteredEpoch, BlobID: r.BlobID, Size: r.Size, EncodingType: EncodingType,
			Storage:   Storage{r.Object, r.RegisteredEpoch, r.EndEpoch, uint64(r.EncodedSize)},
			Deletable: r.Deletable,
		},
		ResourceOperation: newOperation(r),
		Cost:              r.Cost.Total() - r.Cost.Fee - r.Cost.Deposit,
	}
	if r.CertifiedEpoch != 0 {
		n.BlobObject.CertifiedEpoch = &r.CertifiedEpoch
	}
	if r.Shared {
		n.SharedBlobObject = &r.Object
	}
	return StoreResult{NewlyCreated: n}
}

func newOperation(r *client.StoreResult) (op ResourceOperation) {
	switch r.Operation {
	case client.ReuseStorage:
		op.ReuseStorage = &Reused{r.EncodedSize}
	case client.ReuseRegistration:
		op.ReuseRegistration = &Reused{r.EncodedSize}
	case client.ReuseAndExtend:
		op.ReuseAndExtend = &Extended{r.EncodedSize, r.EpochsExtended}
	case client.ReuseAndExtendNonCertified:
		op.ReuseAndExtendNonCertified = &Extended{r.EncodedSize, r.EpochsExtended}
	default:
		op.RegisterFromScratch = &Registered{r.EncodedSize, r.EndEpoch - r.RegisteredEpoch}
	}
	return op
}

// NewBlobObject converts a record to the original's form.
func NewBlobObject(id ledger.ObjectID, b *ledger.Blob) BlobObject {
	o := BlobObject{
		ID: id, Registered: b.Registered, BlobID: b.BlobID, Size: b.Size, EncodingType: EncodingType,
		Storage: Storage{id, b.Start, b.End, b.Bytes}, Deletable: b.Deletable,
	}
	if b.Certified != 0 {
		o.CertifiedEpoch = &b.Certified
	}
	return o
}
