package light

import (
	"fmt"
	"testing"

	"github.com/cometbft/cometbft/types"
)

// BenchmarkHandovers measures how a client with the genesis alone follows so many epochs, each with a hundred other
// validators.
func BenchmarkHandovers(b *testing.B) {
	for _, epochs := range []int{1, 10, 365, 1000} {
		b.Run(fmt.Sprint(epochs), func(b *testing.B) {
			w := newWorld(b)
			w.epochs(b, 30, epochs, 1, 100)
			pages, bytes := 0, 0
			s := &source{Source: w.chain}
			s.changes = func(ctx ctxt, after uint64, limit int) ([]*types.LightBlock, error) {
				list, err := w.Handovers(ctx, after, limit)
				pages++
				for _, h := range list {
					raw, err := marshalBlock(h)
					if err != nil {
						return nil, err
					}
					bytes += len(raw)
				}
				return list, err
			}
			w.tale.Store(s)
			for b.Loop() {
				if _, err := w.asking(b, w.liar).Account(limited(b), alice); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(pages)/float64(b.N), "pages/op")
			b.ReportMetric(float64(bytes)/float64(b.N), "bytes/op")
		})
	}
}
