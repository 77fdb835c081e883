package ledger

import (
	"crypto/ed25519"
	"errors"
	"runtime"
	"sync"

	voi "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// ErrSignature reports a transaction that its sender did not sign.
var ErrSignature = errors.New("not signed by its sender")

// verification follows ZIP 215, which defines for every signature whether it is valid, alone and in a batch alike.
// Nodes that disagreed on a signature would have different states.
var verification = &voi.Options{Verify: voi.VerifyOptionsZIP_215}

// Sign sets the sender to sk's account and signs.
func (tx *Tx) Sign(sk ed25519.PrivateKey) {
	copy(tx.Sender[:], sk[ed25519.PrivateKeySize-ed25519.PublicKeySize:])
	copy(tx.Signature[:], ed25519.Sign(sk, tx.SignBytes()))
}

// Verify checks the signature, which takes about 25 µs. Errors wrap ErrSignature.
func (tx *Tx) Verify() error {
	if !voi.VerifyWithOptions(tx.Sender[:], tx.SignBytes(), tx.Signature[:], verification) {
		return ErrSignature
	}
	return nil
}

// signatureBatch signatures are verified together: enough for most of the gain, and few enough to lose little if one
// is bad.
const signatureBatch = 64

// VerifyTxs checks the signatures of many transactions on all cores, in about 14 µs each per core. It answers as
// Verify does.
func VerifyTxs(txs []*Tx) []bool {
	valid := make([]bool, len(txs))
	starts := make(chan int, (len(txs)+signatureBatch-1)/signatureBatch)
	for from := 0; from < len(txs); from += signatureBatch {
		starts <- from
	}
	close(starts)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), cap(starts)) {
		workers.Go(func() {
			for from := range starts {
				to := min(from+signatureBatch, len(txs))
				verifyBatch(txs[from:to], valid[from:to])
			}
		})
	}
	workers.Wait()
	return valid
}

func verifyBatch(txs []*Tx, valid []bool) {
	batch := voi.NewBatchVerifierWithCapacity(len(txs))
	for _, tx := range txs {
		batch.AddWithOptions(tx.Sender[:], tx.SignBytes(), tx.Signature[:], verification)
	}
	_, each := batch.Verify(nil)
	copy(valid, each)
}
