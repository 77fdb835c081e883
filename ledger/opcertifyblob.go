package ledger

import "walrus/certs"

// CertifyBlob records that a quorum of shards holds the blob.
type CertifyBlob struct {
	Object      ObjectID `json:"object"`
	Certificate []byte   `json:"certificate"` // binary form of a certs.Certificate
}

func (CertifyBlob) kind() uint8 { return 7 }

func (o CertifyBlob) work(p *Params) uint64 {
	return workRecord + p.workInfo() + workSigned(o.Certificate)
}

func (o *CertifyBlob) form(f *form) {
	f.fixed("object", o.Object[:])
	f.bytes("bytes of certificate", &o.Certificate, certs.MaxCertificateSize)
}
