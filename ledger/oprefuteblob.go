package ledger

import (
	"walrus/certs"
	"walrus/shards"
)

// RefuteBlob marks a blob ID as invalid for ever, because members who cannot all lie have verified a proof. Anybody may
// send it; members do so for nothing: see Free.
type RefuteBlob struct {
	BlobID      shards.BlobID `json:"blobId"`
	Certificate []byte        `json:"certificate"` // binary form of a certs.RefutationCertificate
}

func (RefuteBlob) kind() uint8 { return 17 }

func (o RefuteBlob) work(p *Params) uint64 { return workSigned(o.Certificate) + workKey + p.workInfo() }

func (o *RefuteBlob) form(f *form) {
	f.fixed("blob ID", o.BlobID[:])
	f.bytes("bytes of certificate", &o.Certificate, certs.MaxRefutationCertificateSize)
}
