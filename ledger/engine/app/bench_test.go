package app

import (
	"fmt"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"

	"walrus/ledger"
)

// BenchmarkBlock proposes, decides and commits blocks of transfers between a thousand accounts.
func BenchmarkBlock(b *testing.B) {
	for _, size := range []int{1, 100, 3000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			c := newChain(b, 1)
			a := openApp(b, b.TempDir(), c.genesis, nil)
			var blocks []*abci.RequestFinalizeBlock
			nonces := make([]uint64, len(wallets()))
			for b.Loop() {
				if len(blocks) == 0 {
					b.StopTimer()
					for range 10 {
						var txs [][]byte
						for i := range size {
							from := i % len(wallets())
							to := ledger.Transfer{Amount: 4_140_000}
							to.To[0], to.To[1], to.To[2] = 1, byte(c.rand.IntN(256)), byte(c.rand.IntN(4))
							txs = append(txs, c.sign(wallets()[from], nonces[from], to))
							nonces[from]++
						}
						blocks = append(blocks, c.add(b, txs...))
					}
					b.StartTimer()
				}
				r := blocks[0]
				blocks = blocks[1:]
				for _, tx := range r.Txs { // they passed through the mempool
					a.known.txs.Add(ledger.HashTx(tx), struct{}{})
				}
				_, err := a.ProcessProposal(b.Context(), &abci.RequestProcessProposal{Height: r.Height, Time: r.Time,
					Txs: r.Txs, Hash: r.Hash})
				check(b, err)
				_, err = a.FinalizeBlock(b.Context(), r)
				check(b, err)
				_, err = a.Commit(b.Context(), nil)
				check(b, err)
			}
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "tx/s")
		})
	}
}
