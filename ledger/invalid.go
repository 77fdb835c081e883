package ledger

import (
	"walrus/certs"
	"walrus/shards"
)

// InvalidBlob says why a blob ID is invalid, for ever: its writer encoded the blob wrongly, so it has no content.
// Either a cell proof or a certificate says so, and everybody can verify it.
type InvalidBlob struct {
	Epoch       uint32 `json:"epoch"`
	Height      uint64 `json:"height"`
	Tx          TxID   `json:"txId"`
	Event       uint16 `json:"event"`                 // index among the events of the transaction
	Proof       []byte `json:"proof,omitempty"`       // binary form of a shards.CellProof
	Certificate []byte `json:"certificate,omitempty"` // binary form of a certs.RefutationCertificate
}

func (i *InvalidBlob) form(f *form) {
	f.u32("epoch", &i.Epoch)
	f.u64("height", &i.Height)
	f.fixed("transaction", i.Tx[:])
	f.u16("event", &i.Event)
	f.bytes("bytes of proof", &i.Proof, shards.MaxCellProofSize)
	f.bytes("bytes of certificate", &i.Certificate, certs.MaxRefutationCertificateSize)
	f.check((len(i.Proof) > 0) != (len(i.Certificate) > 0), "there must be either a proof or a certificate")
}

// Marshal returns the binary form.
func (i InvalidBlob) Marshal() []byte { return marshal(&i, 64+len(i.Proof)+len(i.Certificate)) }

// UnmarshalInvalidBlob reads the binary form.
func UnmarshalInvalidBlob(b []byte) (InvalidBlob, error) { return read[InvalidBlob]("mark", b) }

// ReadInvalidBlob reads why a blob ID is invalid, or fails with ErrNotFound if it is not.
func ReadInvalidBlob(r Reader, id shards.BlobID) (InvalidBlob, error) {
	return readKey[InvalidBlob](r, KeyInvalidBlob(id), "mark of blob", id)
}
