package bench

import (
	"context"

	"golang.org/x/crypto/blake2b"

	"walrus/shards"
)

const (
	// hashTotal is the approximate number of compressions of the hash task on each processor.
	hashTotal = 256 << 10
	// maxSymbol bounds the symbols of the hash task, in bytes, so that they stay in cache.
	maxSymbol = 4 << 10
)

// longLeaf is the kernel of leaves so long that only their blocks count.
func longLeaf() shards.Kernel { return shards.LeafKernel(maxSymbol - 1) }

// hashTask hashes leaves of symbols as long as the blob's: the same ones in cache over and over.
func hashTask(_ context.Context, b *blob) (*task, error) {
	size := int(min(b.params.SymbolSize(b.length()), maxSymbol-1))
	kernels := make([]shards.Kernel, b.cores)
	for i := range kernels {
		kernels[i] = shards.LeafKernel(size)
	}
	blocks := size/shards.HashBlock + 1
	times := max(1, hashTotal/kernels[0].Units)
	symbols := times * kernels[0].Units / blocks // on each processor
	total := int64(symbols) * int64(b.cores)
	work := shards.Work{Hashed: total * int64(size), Parts: []shards.Part{
		{Name: "leaves", Units: total * int64(blocks), Hash: true, New: longLeaf},
	}}
	run := func(ctx context.Context) error {
		return each(ctx, b.cores, func(i int) error {
			for range times {
				kernels[i].Run()
			}
			return nil
		})
	}
	other := func(ctx context.Context) error {
		return each(ctx, b.cores, func(int) error {
			message := make([]byte, 1+size)
			for range symbols {
				blake2b.Sum256(message)
			}
			return nil
		})
	}
	return &task{bytes: work.Hashed, work: work, run: run, other: other}, nil
}
