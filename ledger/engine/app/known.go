package app

import (
	lru "github.com/hashicorp/golang-lru/v2"

	"walrus/ledger"
	"walrus/ledger/machine"
)

const (
	// knownTxs is for how many transactions, besides those that may wait for a block, it is remembered that their
	// signatures are good. Were it fewer than wait, all of them would be verified again after each block. One takes
	// about 150 bytes.
	knownTxs = 10_000
	// knownCertificates is for how many certificates, each of which takes 0.8 ms to verify: more than fit a block.
	knownCertificates = 10_000
)

// known remembers what was verified, so that it is verified once: when it comes to the mempool, when it is proposed, or
// at the latest when it is decided. It is safe for concurrent use.
type known struct {
	txs          *lru.Cache[ledger.TxID, struct{}]
	certificates *lru.Cache[machine.CertificateKey, struct{}]
}

func newKnown(pending int) *known {
	k := new(known)
	k.txs, _ = lru.New[ledger.TxID, struct{}](knownTxs + pending)                    // it refuses sizes below 1
	k.certificates, _ = lru.New[machine.CertificateKey, struct{}](knownCertificates) // likewise
	return k
}

func (k *known) tx(id ledger.TxID) bool { return k.txs.Contains(id) }

// Has implements machine.Certificates.
func (k *known) Has(c machine.CertificateKey) bool { return k.certificates.Contains(c) }

// Add implements machine.Certificates.
func (k *known) Add(c machine.CertificateKey) { k.certificates.Add(c, struct{}{}) }

// verify checks the signatures of transactions that are not known to be good, all at once. It returns the position of
// the first that is bad, or −1.
func (k *known) verify(txs []decoded) int {
	var unknown []*ledger.Tx
	var at []int
	for i, tx := range txs {
		if tx.tx != nil && !k.tx(tx.id) {
			unknown, at = append(unknown, tx.tx), append(at, i)
		}
	}
	bad := -1
	for i, good := range ledger.VerifyTxs(unknown) {
		switch {
		case good:
			k.txs.Add(txs[at[i]].id, struct{}{})
		case bad < 0:
			bad = at[i]
		}
	}
	return bad
}

// decoded is a transaction of a block.
type decoded struct {
	id ledger.TxID
	tx *ledger.Tx // nil if it is none
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
