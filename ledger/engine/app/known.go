package app

import (
	lru "github.com/hashicorp/golang-lru/v2"

	"walrus/ledger"
	"walrus/ledger/machine"
)

const (
	// knownTxs is the number of transactions known to be well signed, besides those that may wait for a block. With
	// less room than waiting transactions, each block would cause all of them to be verified again. One takes about
	// 150 bytes.
	knownTxs = 10_000
	// knownCertificates is the number of certificates known to be valid: more than fit a block. Verifying one takes
	// 0.8 ms.
	knownCertificates = 10_000
)

// known remembers verified signatures and certificates, so that each is verified once: in the mempool, in a proposal,
// or at the latest in a decided block. It is safe for concurrent use.
type known struct {
	txs          *lru.Cache[ledger.TxID, struct{}]
	certificates *lru.Cache[machine.CertificateKey, struct{}]
}

func newKnown(pending int) *known {
	k := new(known)
	k.txs, _ = lru.New[ledger.TxID, struct{}](knownTxs + pending)                    // an error would mean a size below 1
	k.certificates, _ = lru.New[machine.CertificateKey, struct{}](knownCertificates) // likewise
	return k
}

func (k *known) tx(id ledger.TxID) bool { return k.txs.Contains(id) }

func (k *known) learned(id ledger.TxID) { k.txs.Add(id, struct{}{}) }

// Has implements machine.Certificates.
func (k *known) Has(c machine.CertificateKey) bool { return k.certificates.Contains(c) }

// Add implements machine.Certificates.
func (k *known) Add(c machine.CertificateKey) { k.certificates.Add(c, struct{}{}) }

// decoded is a transaction of a block, decoded if possible.
type decoded struct {
	id ledger.TxID
	tx *ledger.Tx // nil if it cannot be decoded
}

func decode(raw [][]byte) []decoded {
	txs := make([]decoded, len(raw))
	for i, b := range raw {
		txs[i].id = ledger.HashTx(b)
		if tx, err := ledger.UnmarshalTx(b); err == nil {
			txs[i].tx = tx
		}
	}
	return txs
}
