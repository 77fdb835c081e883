package machine

import (
	"sync"
	"sync/atomic"

	"walrus/ledger"
)

// decode makes a run of each transaction: it reads the form and checks everything that does not depend on the state.
// For Check it fails at the first step that finds a transaction without effect.
func (k *block) decode(txs [][]byte, o Options) error {
	k.runs = make([]run, len(txs))
	parallel(len(txs), decodedAtOnce, o.workers(), func(i int) {
		x := &k.runs[i]
		x.block, x.position = k, int32(i+1)
		x.size = len(txs[i])
		tx, err := ledger.UnmarshalTx(txs[i])
		if err != nil {
			x.invalid = refuse(ledger.CodeFormat, "%v", err)
			return
		}
		x.tx, x.id, x.sender = tx, ledger.HashTx(txs[i]), tx.Sender.Address()
		if x.invalid = checkEnvelope(tx, k.network, k.height); x.invalid == nil {
			x.invalid = k.known.checkKinds(tx, k.version)
		}
	})
	if k.strict {
		if err := k.screen(); err != nil {
			return err
		}
	}
	k.verify(o)
	return k.objection()
}

// verify checks the signatures of all transactions that are not invalid yet.
func (k *block) verify(o Options) {
	var unverified []*ledger.Tx
	var of []int
	for i := range k.runs {
		x := &k.runs[i]
		if x.invalid == nil && (o.Verified == nil || !o.Verified(x.id)) {
			unverified, of = append(unverified, x.tx), append(of, i)
		}
	}
	for j, good := range ledger.VerifyTxs(unverified) {
		switch x := &k.runs[of[j]]; {
		case !good:
			x.invalid = errSignature()
		case o.Learned != nil:
			o.Learned(x.id)
		}
	}
	parallel(len(k.runs), decodedAtOnce, o.workers(), func(i int) {
		if x := &k.runs[i]; x.invalid == nil {
			x.checkAgreements()
		}
	})
}

func errSignature() *ledger.OpError {
	return refuse(ledger.CodeSignature, "the signature does not match sender and transaction: sign it again")
}

// decodedAtOnce: one goroutine decodes this many transactions, some 30 µs of work, before it asks for more.
const decodedAtOnce = 16

// parallel calls do with 0 to n−1 on up to workers goroutines. Each takes batch numbers at a time.
func parallel(n, batch, workers int, do func(i int)) {
	workers = min(workers, (n+batch-1)/batch)
	if workers < 2 {
		for i := range n {
			do(i)
		}
		return
	}
	var next atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for {
				from := int(next.Add(int64(batch))) - batch
				if from >= n {
					return
				}
				for i := from; i < min(from+batch, n); i++ {
					do(i)
				}
			}
		})
	}
	all.Wait()
}
