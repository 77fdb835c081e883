package machine

import (
	"walrus/certs"
	"walrus/ledger"
)

func declareCertifyBlob(x *run, op ledger.CertifyBlob) {
	x.declareBlob(op.Object)
	foresee(x, op)
}

func applyCertifyBlob(x *run, op ledger.CertifyBlob) *ledger.OpError {
	b, refused := x.liveBlob(op.Object)
	if refused != nil {
		return refused
	}
	if b.Certified != 0 {
		return refuse(ledger.CodeState, "blob record %s is already certified, in epoch %d", op.Object, b.Certified)
	}
	if refused := x.checkValid(b.BlobID); refused != nil {
		return refused
	}
	if refused := checkCertificate(x, op, &b); refused != nil {
		return refused
	}
	x.changeInfo(&b, func(i *ledger.BlobInfo) {
		removeRecord(i, &b)
		b.Certified = x.now()
		addRecord(i, &b)
		if i.InitialCertified == 0 {
			i.InitialCertified = b.Certified
		}
	})
	x.setBlob(op.Object, b)
	e := x.blobEvent(ledger.EventCertified, op.Object, &b)
	e.Certificate = op.Certificate
	x.event(e)
	return nil
}

// checkCertificate refuses a certificate that is not valid now or not for the record.
func checkCertificate(x *run, op ledger.CertifyBlob, b *ledger.Blob) *ledger.OpError {
	cert, err := certs.UnmarshalCertificate(op.Certificate)
	if err != nil {
		return refuse(ledger.CodeCertificate, "%v", err)
	}
	want := certs.Persistence{}
	if b.Deletable {
		want = certs.Persistence{Deletable: true, Object: op.Object}
	}
	switch {
	case cert.Blob != b.BlobID:
		return refuse(ledger.CodeCertificate, "the certificate is for blob %s, the record for blob %s", cert.Blob, b.BlobID)
	case cert.Persistence.Deletable != want.Deletable:
		return refuse(ledger.CodeCertificate, "the certificate says deletable=%t, the record says %t: collect confirmations for this record",
			cert.Persistence.Deletable, want.Deletable)
	case cert.Persistence != want:
		return refuse(ledger.CodeCertificate, "the certificate is for record %s, this is record %s",
			cert.Persistence.Object, op.Object)
	case cert.Epoch != x.now():
		return refuse(ledger.CodeCertificate, "the certificate is from epoch %d, this is epoch %d: collect confirmations in this epoch", cert.Epoch, x.now())
	}
	if err := x.block.certificates.verify(confirmations, op.Certificate); err != nil {
		return refuse(ledger.CodeCertificate, "%v: collect the confirmations of a quorum again", err)
	}
	return nil
}

// foresee makes prefetch verify the certificate, if it fits its record.
func foresee(x *run, op ledger.CertifyBlob) {
	k := x.block
	cert, err := certs.UnmarshalCertificate(op.Certificate)
	if err != nil || cert.Persistence.Deletable && cert.Persistence.Object != op.Object {
		return
	}
	fits := k.born[op.Object].blob == cert.Blob
	if s := k.blobs.slot(op.Object); s.present {
		fits = s.value.BlobID == cert.Blob && s.value.Certified == 0
	}
	if fits {
		k.certificates.expect(confirmations, op.Certificate, x)
	}
}
