package shards

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

// The metric %bound is the speed relative to the same processors doing only the task's Work, measured right after.
// Package bench does the same with medians over several runs.

// eachSize runs f for every n and size with a random blob; the largest only on request, because it takes some GiB of
// memory.
func eachSize(b *testing.B, f func(b *testing.B, p Params, blob []byte)) {
	for _, n := range []int{10, 100, 1000} {
		for _, size := range []struct {
			name   string
			length int
		}{{"1KiB", 1 << 10}, {"1MiB", 1 << 20}, {"32MiB", 32 << 20}, {"1GiB", 1 << 30}} {
			if size.length == 1<<30 && os.Getenv("WALRUS_BENCH_LARGE") == "" {
				continue
			}
			b.Run(fmt.Sprintf("n=%d/size=%s", n, size.name), func(b *testing.B) {
				blob := make([]byte, size.length)
				rand.NewChaCha8([32]byte{}).Read(blob)
				b.SetBytes(int64(size.length))
				f(b, mustParams(b, n), blob)
			})
		}
	}
}

// loop runs b.Loop around run, and reports the speed relative to the bound of work.
func loop(b *testing.B, work Work, run func() error) {
	for b.Loop() {
		if err := run(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(100*bound(work)/(b.Elapsed().Seconds()/float64(b.N)), "%bound")
}

// bound returns the least time of work in seconds.
func bound(work Work) float64 {
	seconds := 0.0
	for _, part := range work.Parts {
		seconds += float64(part.Units) / unitsPerSecond(part.New)
	}
	return seconds
}

// unitsPerSecond measures a kernel on all processors.
func unitsPerSecond(kernel func() Kernel) float64 {
	const least = 20 * time.Millisecond
	var mu sync.Mutex
	var wg sync.WaitGroup
	sum := 0.0
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			k := kernel()
			k.Run()
			units, start := 0, time.Now()
			for time.Since(start) < least {
				k.Run()
				units += k.Units
			}
			mu.Lock()
			defer mu.Unlock()
			sum += float64(units) / time.Since(start).Seconds()
		})
	}
	wg.Wait()
	return sum
}

func benchEncoder(b *testing.B, p Params, blob []byte) *Encoder {
	e, err := NewEncoder(p, Bytes(blob), uint64(len(blob)))
	if err != nil {
		b.Fatal(err)
	}
	return e
}

// BenchmarkEncode encodes the metadata and all slivers.
func BenchmarkEncode(b *testing.B) {
	eachSize(b, func(b *testing.B, p Params, blob []byte) {
		e := benchEncoder(b, p, blob)
		length := uint64(len(blob))
		loop(b, p.MetadataWork(length).Plus(p.StripsWork(length)), func() error {
			if _, err := e.Metadata(b.Context(), nil); err != nil {
				return err
			}
			return e.Strips(b.Context(), func(s *Strip) error { s.Release(); return nil })
		})
	})
}

// BenchmarkMetadata computes the metadata alone.
func BenchmarkMetadata(b *testing.B) {
	eachSize(b, func(b *testing.B, p Params, blob []byte) {
		e := benchEncoder(b, p, blob)
		loop(b, p.MetadataWork(uint64(len(blob))), func() error {
			_, err := e.Metadata(b.Context(), nil)
			return err
		})
	})
}

// BenchmarkDecode verifies slivers and decodes the blob: from the source rows alone, or from none of them, when the
// decoded rows are verified too.
func BenchmarkDecode(b *testing.B) {
	b.Run("systematic", func(b *testing.B) { eachSize(b, benchSystematic) })
	b.Run("worst", func(b *testing.B) { eachSize(b, benchWorst) })
}

func benchSystematic(b *testing.B, p Params, blob []byte) {
	rows := p.live(uint64(len(blob)))
	m, slivers := benchSlivers(b, p, blob, Primary, 0, rows)
	layout := m.Layout(Primary)
	out := make([]byte, int64(rows)*layout.Size())
	loop(b, p.VerifyWork(Primary, m.Length, rows), func() error {
		parallel(rows, func(_ *workspace, i int) {
			if err := m.VerifySliver(Primary, i, slivers[i]); err != nil {
				b.Error(err)
			}
			for t := range layout.Strips() {
				offset, size := layout.Strip(t)
				layout.Scatter(out[int64(i)*layout.Size():], t, slivers[i][offset:][:size])
			}
		})
		return nil
	})
	if !bytes.Equal(out[:len(blob)], blob) {
		b.Fatal("another blob")
	}
}

func benchWorst(b *testing.B, p Params, blob []byte) {
	first := p.n - p.Rows()
	m, slivers := benchSlivers(b, p, blob, Primary, first, p.n)
	work := p.VerifyWork(Primary, m.Length, 2*p.Rows()).Plus(p.DecodeWork(m.Length))
	given := make(map[int][]byte)
	for k := range slivers {
		given[first+k] = slivers[k]
	}
	loop(b, work, func() error {
		parallel(p.Rows(), func(_ *workspace, k int) {
			if err := m.VerifySliver(Primary, first+k, slivers[k]); err != nil {
				b.Error(err)
			}
		})
		got, err := m.Decode(Primary, given)
		if err == nil && !bytes.Equal(got, blob) {
			b.Fatal("another blob")
		}
		return err
	})
}

// BenchmarkRebuild rebuilds one sliver from proven symbols and checks its root. The speed counts the bytes of the
// sliver.
func BenchmarkRebuild(b *testing.B) {
	for _, axis := range []Axis{Primary, Secondary} {
		b.Run(axis.String(), func(b *testing.B) {
			eachSize(b, func(b *testing.B, p Params, blob []byte) { benchRebuild(b, p, blob, axis) })
		})
	}
}

func benchRebuild(b *testing.B, p Params, blob []byte, axis Axis) {
	m, slivers := benchSlivers(b, p, blob, axis, 0, 1)
	all := make([]int, p.n)
	for i := range all {
		all[i] = i
	}
	expansion, err := m.ExtractSymbols(axis, 0, bytes.NewReader(slivers[0]), all)
	if err != nil {
		b.Fatal(err)
	}
	symbols := make(map[int][]byte)
	for i := p.n - p.SourceSymbols(axis); i < p.n; i++ {
		symbols[i] = expansion[i].Data
	}
	b.SetBytes(m.Layout(axis).Size())
	loop(b, p.RebuildWork(axis, m.Length), func() error {
		_, err := m.Rebuild(axis, 0, symbols)
		return err
	})
}

// benchSlivers returns the metadata and the slivers along axis from index first up to end, in strip order.
func benchSlivers(b *testing.B, p Params, blob []byte, axis Axis, first, end int) (*Metadata, [][]byte) {
	e := benchEncoder(b, p, blob)
	m, err := e.Metadata(b.Context(), nil)
	if err != nil {
		b.Fatal(err)
	}
	slivers := make([][]byte, end-first)
	err = e.Strips(b.Context(), func(s *Strip) error {
		defer s.Release()
		for i := range slivers {
			slivers[i] = append(slivers[i], s.Sliver(axis, first+i)...)
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return m, slivers
}

// BenchmarkHashLimit measures only the hashing of long symbols in cache, in bytes hashed, on all processors.
func BenchmarkHashLimit(b *testing.B) {
	benchKernel(b, HashBlock, func() Kernel { return LeafKernel(longLeaf) })
}

// BenchmarkCodeLimit measures only the arithmetic of pass one at n=1000, in cache, in bytes of the blob, on all
// processors.
func BenchmarkCodeLimit(b *testing.B) {
	p := mustParams(b, 1000)
	benchKernel(b, 1, func() Kernel {
		rows, cols := p.ExtendKernel(Primary, p.Columns()), p.ExtendKernel(Secondary, p.Rows())
		return Kernel{Run: func() {
			for range p.Rows() {
				rows.Run()
			}
			for range p.n * rows.Units / cols.Units {
				cols.Run()
			}
		}, Units: p.Rows() * p.Columns() * rows.Units}
	})
}

// BenchmarkKernel measures each kernel alone, in bytes of its input: of hashed messages, or of extended or recovered
// slivers.
func BenchmarkKernel(b *testing.B) {
	for _, size := range []int{2, 6, 152, 1024, longLeaf} {
		b.Run(fmt.Sprintf("leaves/symbol=%d", size), func(b *testing.B) {
			benchKernel(b, HashBlock, func() Kernel { return LeafKernel(size) })
		})
	}
	b.Run("nodes", func(b *testing.B) { benchKernel(b, 1+2*HashSize, NodeKernel) })
	for _, n := range []int{10, 100, 1000} {
		p := mustParams(b, n)
		for _, axis := range []Axis{Primary, Secondary} {
			k := p.SourceSymbols(axis)
			b.Run(fmt.Sprintf("extend/%s/n=%d", axis, n), func(b *testing.B) {
				benchKernel(b, k, func() Kernel { return p.ExtendKernel(axis, k) })
			})
			b.Run(fmt.Sprintf("recover/%s/n=%d", axis, n), func(b *testing.B) {
				benchKernel(b, k, func() Kernel { return p.RecoverKernel(axis) })
			})
		}
	}
}

// benchKernel measures a kernel on every processor; each of its units is unit bytes.
func benchKernel(b *testing.B, unit int, kernel func() Kernel) {
	kernels := make([]Kernel, runtime.GOMAXPROCS(0))
	for i := range kernels {
		kernels[i] = kernel()
	}
	b.SetBytes(int64(len(kernels) * kernels[0].Units * unit))
	for b.Loop() {
		parallel(len(kernels), func(_ *workspace, i int) { kernels[i].Run() })
	}
}
