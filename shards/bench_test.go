package shards

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"walrus/shards/fft16"
	"walrus/shards/treehash"
)

// sizes of the benchmarks; the largest only on request.
func benchSizes() map[string]int {
	sizes := map[string]int{"1KiB": 1 << 10, "1MiB": 1 << 20, "32MiB": 32 << 20}
	if os.Getenv("WALRUS_BENCH_LARGE") != "" {
		sizes["1GiB"] = 1 << 30
	}
	return sizes
}

// eachSize runs f for every n and size with a random blob.
func eachSize(b *testing.B, f func(b *testing.B, p Params, blob []byte)) {
	sizes := benchSizes()
	for _, n := range []int{10, 100, 1000} {
		for _, size := range []string{"1KiB", "1MiB", "32MiB", "1GiB"} {
			length, ok := sizes[size]
			if !ok {
				continue
			}
			b.Run(fmt.Sprintf("n=%d/size=%s", n, size), func(b *testing.B) {
				blob := make([]byte, length)
				rand.NewChaCha8([32]byte{}).Read(blob)
				b.SetBytes(int64(length))
				f(b, mustParams(b, n), blob)
			})
		}
	}
}

func benchEncoder(b *testing.B, p Params, blob []byte) *Encoder {
	e, err := NewEncoder(p, bytes.NewReader(blob), uint64(len(blob)))
	if err != nil {
		b.Fatal(err)
	}
	return e
}

// BenchmarkEncode makes the metadata and all slivers.
func BenchmarkEncode(b *testing.B) {
	eachSize(b, func(b *testing.B, p Params, blob []byte) {
		e := benchEncoder(b, p, blob)
		for b.Loop() {
			if _, err := e.Metadata(b.Context(), nil); err != nil {
				b.Fatal(err)
			}
			if err := e.Strips(b.Context(), func(s *Strip) error { s.Release(); return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkMetadata makes the metadata alone.
func BenchmarkMetadata(b *testing.B) {
	eachSize(b, func(b *testing.B, p Params, blob []byte) {
		e := benchEncoder(b, p, blob)
		for b.Loop() {
			if _, err := e.Metadata(b.Context(), nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkDecode decodes without the check against the metadata: from the source rows alone, or from none of them.
func BenchmarkDecode(b *testing.B) {
	for _, kind := range []string{"systematic", "worst"} {
		b.Run(kind, func(b *testing.B) {
			eachSize(b, func(b *testing.B, p Params, blob []byte) { benchDecode(b, p, blob, kind == "worst") })
		})
	}
}

func benchDecode(b *testing.B, p Params, blob []byte, worst bool) {
	indices := make([]int, p.Rows())
	for i := range indices {
		if indices[i] = i; worst {
			indices[i] = p.n - 1 - i
		}
	}
	layout := p.Layout(Primary, uint64(len(blob)))
	size := layout.Symbols * layout.StripWidth(0)
	in, out := make([][]byte, p.Rows()), make([][]byte, p.Rows())
	for i := range in {
		in[i], out[i] = make([]byte, size), make([]byte, size)
		copy(in[i], blob[min(i*size, len(blob)):])
	}
	for b.Loop() {
		d, err := NewDecoder(p, Primary, indices)
		if err != nil {
			b.Fatal(err)
		}
		for t := range layout.Strips() {
			_, size := layout.Strip(t)
			for i := range in {
				in[i], out[i] = in[i][:size], out[i][:size]
			}
			if err := d.Strip(layout.StripWidth(t), in, out); err != nil {
				b.Fatal(err)
			}
			for i := range in {
				in[i], out[i] = in[i][:cap(in[i])], out[i][:cap(out[i])]
			}
		}
	}
}

// BenchmarkRebuild rebuilds one sliver from recovery symbols, with the check.
func BenchmarkRebuild(b *testing.B) {
	for _, axis := range []Axis{Primary, Secondary} {
		b.Run(axis.String(), func(b *testing.B) {
			eachSize(b, func(b *testing.B, p Params, blob []byte) { benchRebuild(b, p, blob, axis) })
		})
	}
}

func benchRebuild(b *testing.B, p Params, blob []byte, axis Axis) {
	z := p.SymbolSize(uint64(len(blob)))
	m := &Metadata{Length: uint64(len(blob)), Pairs: make([]PairRoots, p.n)}
	k := p.SourceSymbols(axis)
	ws := new(workspace)
	l := p.newLine(axis, z, everySymbol(p.n))
	l.plain(ws, append(blob, make([]byte, int64(k)*z)...)[:int64(k)*z])
	root := l.root(ws)
	m.Pairs[p.PairOfSliver(axis, 0)] = PairRoots{root, root}
	symbols := make(map[int][]byte)
	for i := range k {
		symbols[p.n-1-i] = l.kept[p.n-1-i]
	}
	b.SetBytes(int64(k) * z)
	for b.Loop() {
		if _, err := m.Rebuild(axis, 0, symbols); err != nil {
			b.Fatal(err)
		}
	}
}

func everySymbol(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// BenchmarkHashLimit is the hashing of leaves alone that a blob of 32 MiB at n=1000 takes, in bytes of the blob, on one
// processor.
func BenchmarkHashLimit(b *testing.B) {
	p := mustParams(b, 1000)
	z := p.SymbolSize(32 << 20)
	leaves, symbols := treehash.NewLeaves(p.n), make([][]byte, p.n)
	for i := range symbols {
		symbols[i] = make([]byte, z)
	}
	b.SetBytes(32 << 20)
	for b.Loop() {
		for range p.n {
			leaves.Reset()
			leaves.Absorb(symbols, 0, z)
		}
	}
}

// BenchmarkCodeLimit is the arithmetic alone that pass one of a blob of 32 MiB at n=1000 takes, in bytes of the
// blob, on one processor.
func BenchmarkCodeLimit(b *testing.B) {
	p := mustParams(b, 1000)
	rows, cols := p.code(Primary), p.code(Secondary)
	width := packedSize(int(p.SymbolSize(32 << 20)))
	v := fft16.New(make([]byte, max(rows.span(), cols.span())*width), width)
	b.SetBytes(32 << 20)
	for b.Loop() {
		for range p.Rows() {
			rows.encode(v, rows.k)
		}
		for range p.n {
			cols.encode(v, cols.k)
		}
	}
}
