package ledger

import "walrus/certs"

// Work measures the cost of a transaction to a node, whether it fails or not: from the check of a proposed block to
// its commit. A unit is one microsecond of one core. The numbers below are measured (docs/ledger.md, section 6),
// rounded up, and part of the rules: nodes that differ in them refuse each other's blocks.
//
// An operation's work follows from the operation and the parameters alone, so everybody knows it beforehand. Where it
// depends on the state, it is the most that it can be: a record has the longest attributes, a blob info the most ends.

// MaxBlockWork bounds the work of a block: 0.6 s of one core, a fifth of the wait for a proposal, even if all
// operations wait for each other. A block full of transfers has less than half of it.
const MaxBlockWork = 600_000

const (
	// workTx: form and signature, the sender's account, receipt and history.
	workTx = 60
	// bytesPerUnit: forms are read and hashed, and what they carry is stored.
	bytesPerUnit = 128
	// workKey: an entry of the state is read, decoded, changed, encoded, hashed into the tree, and committed.
	workKey = 20
	// workRecord is workKey for a record with the longest attributes.
	workRecord = 120
	// endsPerUnit: a blob info takes workKey, and a unit for so many of its ends: one for each epoch on sale.
	endsPerUnit = 5
	// epochsPerUnit: a sale changes the pots of so many epochs.
	epochsPerUnit = 16
	// workCertificate and signersPerUnit: the pairing, and the keys that are added up.
	workCertificate, signersPerUnit = 1200, 2
	// workProof: a cell proof.
	workProof = 30
	// workBonds: the list of all bonds is copied, and encoded once; the transaction may run alone.
	workBonds = 200
	// workAgreement: one Ed25519 signature, verified alone.
	workAgreement = 60
)

// Work returns the units of work of a transaction with operations ops, whose binary form has size bytes.
func (p *Params) Work(size int, ops []Op) uint64 {
	work := workTx + uint64(max(size, 0))/bytesPerUnit
	for _, op := range ops {
		work += op.work(p)
	}
	return work
}

// Weight measures the room that a transaction takes in a block, in bytes: a unit of work counts as a byte, since a
// block has room for about as many of each.
func (p *Params) Weight(size int, ops []Op) uint64 { return uint64(max(size, 0)) + p.Work(size, ops) }

// workInfo is the work of changing a blob info.
func (p *Params) workInfo() uint64 { return workKey + uint64(p.MaxEpochsAhead)/endsPerUnit }

// workSale is the work of selling storage for some epochs. More than are on sale are refused at once.
func (p *Params) workSale(epochs uint32) uint64 {
	return (uint64(min(epochs, p.MaxEpochsAhead)) + epochsPerUnit - 1) / epochsPerUnit
}

// workSigned is the work of a certificate. Each signer takes two bytes of its form.
func workSigned(certificate []byte) uint64 {
	signers := uint64(min(len(certificate)/2, certs.MaxMembers))
	return workCertificate + signers/signersPerUnit
}
