package store

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"walrus/internal/badgerdisk"
	"walrus/shards"
)

// countingEngine counts the keys that are read.
type countingEngine struct {
	engine
	keys *atomic.Int64
}

func (e countingEngine) get(key []byte, fn func([]byte) error) error {
	e.keys.Add(1)
	return e.engine.get(key, fn)
}

func (e countingEngine) scan(prefix, after []byte, limit int, since uint64, fn func([]byte) error) error {
	return e.engine.scan(prefix, after, limit, since, func(k []byte) error {
		e.keys.Add(1)
		return fn(k)
	})
}

// TestStartReads opens stores of different sizes after a kill: Open reads a few keys.
func TestStartReads(t *testing.T) {
	var reads []int64
	for _, slivers := range []int{500, 5000} {
		d := &disk{files: map[string]*memEngine{}, fail: -1}
		keys := new(atomic.Int64)
		cfg := small(t.TempDir())
		cfg.engine = func(path string) (engine, error) {
			e, err := d.open(path)
			return countingEngine{e, keys}, err
		}
		s, err := Open(cfg)
		check(t, err)
		fillSmall(t, s, slivers)
		check(t, s.lock.Close()) // killed
		keys.Store(0)
		s = mustOpen(t, cfg)
		st, err := s.Stats()
		check(t, err)
		if st.Slivers != int64(slivers) {
			t.Errorf("counts %+v, want %d slivers", st, slivers)
		}
		reads = append(reads, keys.Load())
	}
	if most := int64(100); reads[1] > most { // the batches since the last sync, and a few
		t.Errorf("start read %v keys, want %d at most", reads, most)
	}
}

// fillSmall stores slivers of 64 bytes, 1000 of each blob, and syncs.
func fillSmall(t testing.TB, s *Store, slivers int) {
	b := make([]byte, 64)
	for i := range slivers {
		id := shards.BlobID{0: 1}
		binary.BigEndian.PutUint32(id[1:], uint32(i/1000))
		if i%1000 == 0 {
			check(t, s.PutBlob(id, []byte("m"), 5))
		}
		w, err := s.Create(Ref{Blob: id, Shard: i % 1000}, int64(len(b)))
		check(t, err)
		binary.BigEndian.PutUint64(b, uint64(i))
		_, err = w.Write(b)
		check(t, err)
		check(t, w.Commit())
	}
	check(t, s.Sync())
}

// TestStartTime opens real stores with many small slivers: ten times as many take at most twice the time.
func TestStartTime(t *testing.T) {
	sizes := []int{6000, 60_000}
	if testing.Short() { // under the race detector
		sizes = []int{1000, 10_000}
	}
	var dirs [2][]string // stopped cleanly, and killed
	for _, slivers := range sizes {
		cfg, killed := small(fastDir(t)), fastDir(t)
		s, err := Open(cfg)
		check(t, err)
		fillSmall(t, s, slivers)
		copyTree(t, killed, cfg.Dir)
		check(t, s.Close())
		dirs[0], dirs[1] = append(dirs[0], cfg.Dir), append(dirs[1], killed)
	}
	for i, killed := range []bool{false, true} {
		took := []time.Duration{time.Hour, time.Hour}
		// The machine may be busy with other tests: some milliseconds are noise, and what is slow is measured again.
		slow := true
		for try := 0; try < 10 && slow; try++ {
			for k, slivers := range sizes {
				took[k] = min(took[k], startTime(t, small(dirs[i][k]), slivers, killed))
			}
			slow = took[1] > 2*max(took[0], 50*time.Millisecond)
		}
		t.Logf("killed %t: %v", killed, took)
		if slow {
			t.Errorf("killed %t: start takes %v with %v slivers", killed, took, sizes)
		}
	}
}

// startTime returns the shortest of three starts. After a kill the file that tells of a clean stop is removed.
func startTime(t testing.TB, cfg Config, slivers int, killed bool) time.Duration {
	var all []time.Duration
	for range 3 {
		if killed {
			_ = os.Remove(cfg.Dir + "/" + cleanName) // not there the first time
		}
		start := time.Now()
		s, err := Open(cfg)
		took := time.Since(start)
		check(t, err)
		st, err := s.Stats()
		check(t, err)
		if st.Slivers != int64(slivers) {
			t.Errorf("counts %+v, want %d slivers", st, slivers)
		}
		check(t, s.Close())
		all = append(all, took)
	}
	return slices.Min(all)
}

// fastDir is a directory in memory, if there is one.
func fastDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "store")
	if free, ferr := badgerdisk.Free("/dev/shm"); err != nil || ferr != nil || free < 4<<30 {
		_ = os.Remove(dir)
		return t.TempDir()
	}
	t.Cleanup(func() { check(t, os.RemoveAll(dir)) })
	return dir
}

// BenchmarkStart opens stores with many small slivers, after a clean stop and without one. STORE_BENCH_SLIVERS adds a
// number of slivers.
func BenchmarkStart(b *testing.B) {
	sizes := []int{10_000, 100_000}
	var more int
	if n, _ := fmt.Sscan(os.Getenv("STORE_BENCH_SLIVERS"), &more); n == 1 {
		sizes = append(sizes, more)
	}
	for _, slivers := range sizes {
		b.Run(fmt.Sprint(slivers), func(b *testing.B) {
			cfg := Default(fastDir(b))
			cfg.MinFree = 0
			s, err := Open(cfg)
			check(b, err)
			fillSmall(b, s, slivers)
			check(b, s.Close())
			for _, killed := range []bool{false, true} {
				start := startTime(b, cfg, slivers, killed)
				b.ReportMetric(float64(start.Microseconds())/1000, fmt.Sprintf("ms/killed=%t", killed))
			}
		})
	}
}
