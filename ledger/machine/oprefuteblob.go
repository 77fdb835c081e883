package machine

import (
	"walrus/certs"
	"walrus/ledger"
	"walrus/shards"
)

func declareRefuteBlob(x *run, op ledger.RefuteBlob) {
	declareMark(x, op.BlobID)
	if readRefutation(op, x.now()) == nil && x.markable(op.BlobID) {
		x.block.certificates.expect(refutations, op.Certificate, x)
	}
}

// applyRefuteBlob marks a blob ID as invalid by the signatures of more shards than may lie.
func applyRefuteBlob(x *run, op ledger.RefuteBlob) *ledger.OpError {
	info := x.info(op.BlobID)
	if refused := checkMarkable(&info, op.BlobID, x.now()); refused != nil {
		return refused
	}
	if refused := readRefutation(op, x.now()); refused != nil {
		return refused
	}
	if err := x.block.certificates.verify(refutations, op.Certificate); err != nil {
		return refuse(ledger.CodeCertificate, "%v: collect the signatures of enough members again", err)
	}
	mark(x, op.BlobID, ledger.InvalidBlob{Certificate: op.Certificate})
	return nil
}

// readRefutation refuses a certificate that cannot be right now for this blob. It verifies no signature.
func readRefutation(op ledger.RefuteBlob, now uint32) *ledger.OpError {
	cert, err := certs.UnmarshalRefutationCertificate(op.Certificate)
	switch {
	case err != nil:
		return refuse(ledger.CodeCertificate, "%v", err)
	case cert.Blob != op.BlobID:
		return refuse(ledger.CodeCertificate, "the certificate is for blob %s, the operation for blob %s",
			cert.Blob, op.BlobID)
	case cert.Epoch != now:
		return refuse(ledger.CodeCertificate, "the certificate is from epoch %d, this is epoch %d: collect signatures in this epoch", cert.Epoch, now)
	}
	return nil
}

// markable reports whether the state before the block lets a blob ID be marked. It is a hint only: the block may have
// registered the blob.
func (x *run) markable(id shards.BlobID) bool {
	s := x.block.infos.slot(id)
	if x.broken = x.block.infos.load(id, s); x.broken != nil {
		return false
	}
	return checkMarkable(&s.value, id, x.now()) == nil
}
