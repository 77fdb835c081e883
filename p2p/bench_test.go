package p2p

import (
	"context"
	"fmt"
	"io"
	"testing"

	"walrus/shards"
)

// BenchmarkRequest sends small requests, one or many at a time.
func BenchmarkRequest(b *testing.B) {
	for _, parallel := range []int{1, 8} {
		b.Run(fmt.Sprintf("size=1KiB/parallel=%d", parallel), func(b *testing.B) {
			m := newMemory()
			m.meta[testID] = pattern(1 << 10)
			client, server := serving(b, m, nil, nil)
			b.SetParallelism((parallel + 1) / 2)
			b.ReportAllocs()
			b.ResetTimer()
			if parallel == 1 {
				for b.Loop() {
					if _, err := client.Metadata(b.Context(), server.ID(), testID, 1<<10); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := client.Metadata(context.Background(), server.ID(), testID, 1<<10); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkFetchSliver fetches one sliver at a time, with both ends in this process.
func BenchmarkFetchSliver(b *testing.B) {
	for _, transport := range []string{"tcp/0", "udp/0/quic-v1"} {
		b.Run("size=16MiB/"+transport, func(b *testing.B) {
			m := newMemory()
			m.sliver = pattern(16 << 20)
			only := func(c *Config) { c.Listen = []string{"/ip4/127.0.0.1/" + transport} }
			client, server := serving(b, m, only, only)
			b.SetBytes(16 << 20)
			b.ReportAllocs()
			buf := make([]byte, 1<<20)
			for b.Loop() {
				r, err := client.FetchSliver(b.Context(), server.ID(), testID, shards.Primary, 0, 0, 16<<20)
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, buf)
				if err != nil || n != 16<<20 {
					b.Fatal(n, err)
				}
				r.Close()
			}
		})
	}
}

// BenchmarkStorePairs uploads 16 MiB over TCP.
func BenchmarkStorePairs(b *testing.B) {
	body := pattern(16 << 20)
	client, server := serving(b, discard{}, nil, nil)
	b.SetBytes(16 << 20)
	b.ReportAllocs()
	for b.Loop() {
		err := client.StorePairs(b.Context(), server.ID(), testID, testToken, []int{1}, 16<<20, func(w io.Writer) error {
			_, err := w.Write(body)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
