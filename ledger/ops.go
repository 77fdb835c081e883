package ledger

import "walrus/shards"

// opKind is the first byte of an operation's binary form.
type opKind uint8

// The kinds of operations. The numbers are part of the format.
const (
	kindTransfer opKind = iota + 1
	kindBuyStorage
	kindSplitStorage
	kindMergeStorage
	kindTransferStorage
	kindRegisterBlob
	kindCertifyBlob
	kindExtendBlob
	kindDeleteBlob
	kindShareBlob
	kindFundBlob
	kindTransferBlob
	kindBurnBlob
	kindSetAttributes
	kindSweep
)

const (
	// MaxAttributes bounds the attributes of a blob's record.
	MaxAttributes = 64
	// MaxAttributeKey bounds the key of an attribute, in bytes.
	MaxAttributeKey = 256
	// MaxAttributeValue bounds its value, in bytes.
	MaxAttributeValue = 1024
	// MaxAttributesSize bounds the attributes of a record together, in bytes of keys and values.
	MaxAttributesSize = 16 << 10
	// MaxSweep bounds the objects of a Sweep.
	MaxSweep = 100
)

// Transfer pays Amount to To.
type Transfer struct {
	To     Address `json:"to"`
	Amount Amount  `json:"amountFrost"`
}

// BuyStorage buys Bytes of encoded size in each epoch of [Start, End).
type BuyStorage struct {
	Bytes uint64 `json:"storageSize"`
	Start uint32 `json:"startEpoch"`
	End   uint32 `json:"endEpoch"`
}

// SplitStorage cuts a storage resource in two: at Epoch, the new one beginning there, or, if Epoch is zero, by size,
// the new one taking Bytes.
type SplitStorage struct {
	Storage ObjectID `json:"storage"`
	Epoch   uint32   `json:"epoch,omitempty"`
	Bytes   uint64   `json:"storageSize,omitempty"`
}

// MergeStorage adds B to A, and B is no more: of the same period their sizes add up, of the same size adjacent periods join.
type MergeStorage struct {
	A ObjectID `json:"storage"`
	B ObjectID `json:"other"`
}

// TransferStorage makes To the owner of a storage resource.
type TransferStorage struct {
	Storage ObjectID `json:"storage"`
	To      Address  `json:"to"`
}

// RegisterBlob uses up a storage resource for the right to store a blob in it.
type RegisterBlob struct {
	Storage    ObjectID      `json:"storage"`
	BlobID     shards.BlobID `json:"blobId"` // must follow from Size and Root
	Root       [32]byte      `json:"-"`
	Size       uint64        `json:"size"`
	Deletable  bool          `json:"deletable"`
	Attributes []Attribute   `json:"attributes,omitempty"` // ascending by key
}

// CertifyBlob puts on record that a quorum of shards holds the blob.
type CertifyBlob struct {
	Object      ObjectID `json:"object"`
	Certificate []byte   `json:"certificate"` // binary form of a certs.Certificate
}

// ExtendBlob prolongs a blob by Epochs: bought by the sender, or from the shared blob's funds; or up to the end of a
// storage resource, then Epochs is zero.
type ExtendBlob struct {
	Object    ObjectID `json:"object"`
	Epochs    uint32   `json:"epochs,omitempty"`
	FromFunds bool     `json:"fromFunds,omitempty"`
	Storage   ObjectID `json:"storage,omitzero"` // zero: buy
}

// DeleteBlob ends a deletable blob's record; what is left of its storage becomes a storage resource of the owner.
type DeleteBlob struct {
	Object ObjectID `json:"object"`
}

// ShareBlob gives a permanent blob's record to everybody, with Amount for its extension.
type ShareBlob struct {
	Object ObjectID `json:"object"`
	Amount Amount   `json:"amountFrost"`
}

// FundBlob adds Amount to the funds of a shared blob.
type FundBlob struct {
	Object ObjectID `json:"object"`
	Amount Amount   `json:"amountFrost"`
}

// TransferBlob makes To the owner of a blob's record.
type TransferBlob struct {
	Object ObjectID `json:"object"`
	To     Address  `json:"to"`
}

// BurnBlob gives a blob's record up. The blob lives on until its end.
type BurnBlob struct {
	Object ObjectID `json:"object"`
}

// SetAttributes sets and removes attributes of a blob's record.
type SetAttributes struct {
	Object ObjectID    `json:"object"`
	Set    []Attribute `json:"set,omitempty"`    // ascending by key
	Remove []string    `json:"remove,omitempty"` // ascending, none in Set
}

// Sweep removes the records of expired storage resources and blobs, whoever owns them.
type Sweep struct {
	Objects []ObjectID `json:"objects"` // ascending, 1 to MaxSweep
}

func (Transfer) kind() opKind        { return kindTransfer }
func (BuyStorage) kind() opKind      { return kindBuyStorage }
func (SplitStorage) kind() opKind    { return kindSplitStorage }
func (MergeStorage) kind() opKind    { return kindMergeStorage }
func (TransferStorage) kind() opKind { return kindTransferStorage }
func (RegisterBlob) kind() opKind    { return kindRegisterBlob }
func (CertifyBlob) kind() opKind     { return kindCertifyBlob }
func (ExtendBlob) kind() opKind      { return kindExtendBlob }
func (DeleteBlob) kind() opKind      { return kindDeleteBlob }
func (ShareBlob) kind() opKind       { return kindShareBlob }
func (FundBlob) kind() opKind        { return kindFundBlob }
func (TransferBlob) kind() opKind    { return kindTransferBlob }
func (BurnBlob) kind() opKind        { return kindBurnBlob }
func (SetAttributes) kind() opKind   { return kindSetAttributes }
func (Sweep) kind() opKind           { return kindSweep }
