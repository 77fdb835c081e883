package store

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"walrus/shards"
)

// cpu is the processor time of this process so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkWrite writes slivers and syncs each 16 MiB.
func BenchmarkWrite(b *testing.B) {
	for _, size := range []int{64 << 10, 1 << 20, 4 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			s := mustOpen(b, Default(b.TempDir()))
			id := blobID(1)
			check(b, s.PutBlob(id, meta(1), 5))
			data := content(Ref{Blob: id}, size)
			b.SetBytes(int64(size))
			start := cpu()
			i := 0
			for b.Loop() {
				w, err := s.Create(Ref{Blob: blobIDIn(s, b, i/1000), Shard: i % 1000, Axis: shards.Primary}, int64(size))
				check(b, err)
				_, err = w.Write(data)
				check(b, err)
				check(b, w.Commit())
				if i++; i%max(1, 16<<20/size) == 0 {
					check(b, s.Sync())
				}
			}
			check(b, s.Sync())
			b.ReportMetric((cpu()-start).Seconds()/(float64(b.N)*float64(size)/1e9), "cpu-s/GB")
		})
	}
}

// blobIDIn makes blob n known when its first sliver comes.
func blobIDIn(s *Store, b testing.TB, n int) shards.BlobID {
	id := blobID(n)
	if _, err := s.catalog.endEpoch(id); err != nil {
		check(b, s.PutBlob(id, meta(n), 5))
	}
	return id
}

// BenchmarkRead reads slivers that are in the page cache.
func BenchmarkRead(b *testing.B) {
	const size, n = 1 << 20, 256
	s := mustOpen(b, Default(b.TempDir()))
	id := blobID(1)
	check(b, s.PutBlob(id, meta(1), 5))
	for i := range n {
		check(b, put(s, Ref{Blob: id, Shard: i}, content(Ref{Blob: id, Shard: i}, size)))
	}
	check(b, s.Sync())
	b.SetBytes(size)
	start := cpu()
	i := 0
	for b.Loop() {
		r, err := s.OpenSliver(Ref{Blob: id, Shard: i % n})
		check(b, err)
		_, err = r.WriteTo(io.Discard)
		check(b, err)
		i++
	}
	b.ReportMetric((cpu()-start).Seconds()/(float64(b.N)*size/1e9), "cpu-s/GB")
}

// BenchmarkDrop drops blobs at random from a store with many more segments than are open. STORE_BENCH_SEGMENTS chooses
// another number of segments.
func BenchmarkDrop(b *testing.B) {
	const each = 16 // blobs of a segment
	segments := 128
	_, _ = fmt.Sscan(os.Getenv("STORE_BENCH_SEGMENTS"), &segments)
	cfg := Default(fastDir(b))
	cfg.MinFree, cfg.Segment, cfg.MemTable, cfg.ValueLog = 0, 1<<20, 1<<20, 4<<20
	s := mustOpen(b, cfg)
	data := make([]byte, cfg.Segment/each)
	fill := func() (ids []shards.BlobID) {
		for n := range segments * each {
			id := blobID(n)
			check(b, s.PutBlob(id, meta(n), 5))
			check(b, put(s, Ref{Blob: id, Shard: n % 7}, data))
			if n%each == 0 {
				check(b, s.Sync())
			}
			ids = append(ids, id)
		}
		check(b, s.Close())
		s = mustOpen(b, cfg) // in which all are closed
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		return ids
	}
	ids := fill()
	var took []time.Duration
	for b.Loop() {
		if len(ids) == 0 {
			b.StopTimer()
			ids = fill()
			b.StartTimer()
		}
		began := time.Now()
		check(b, s.DropBlob(ids[0], []int{0, 1, 2, 3, 4, 5, 6}))
		took = append(took, time.Since(began))
		ids = ids[1:]
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-median")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
}
