package light

import (
	"fmt"
	"testing"

	"walrus/ledger"
	"walrus/ledger/merkle"
)

// BenchmarkRead measures one verified read over loopback from a state of 100,000 keys, with a new header each time.
func BenchmarkRead(b *testing.B) {
	for _, validators := range []int{7, 100} {
		b.Run(fmt.Sprintf("validators=%d", validators), func(b *testing.B) {
			w := &world{keys: newKeys(b, 1, validators), honest: newHost(b), client: newHost(b)}
			w.chain = newChain(b, newGenesis(b, "test", 100, w.keys), w.keys)
			meet(w.client, w.honest)
			serve(b, w.honest, w.genesis, w.chain)
			var many []merkle.Change
			for i := range 100_000 {
				many = append(many, put(ledger.KeyAccount(ledger.Address{byte(i), byte(i >> 8), byte(i >> 16)}),
					ledger.Account{Nonce: 1}.Marshal()))
			}
			w.set(b, many...)
			c := w.asking(b, w.honest)
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				w.grow(b)
				b.StartTimer()
				if _, err := c.Account(b.Context(), alice); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
