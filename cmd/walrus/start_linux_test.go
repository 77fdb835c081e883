package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"walrus/config"
	"walrus/internal/badgerdisk"
	"walrus/shards"
	"walrus/store"
)

// TestSoakStart measures a whole process from its start to serving, after a clean stop and after SIGKILL, with many
// small slivers, in many blobs and in few, and with ten times the bytes. WALRUS_START is the number of slivers, such as
// 1000000. $TMPDIR must lie on a disk. First each start finds none of the node's files in memory; then thirty follow
// each other.
func TestSoakStart(t *testing.T) {
	slivers, err := strconv.Atoi(os.Getenv("WALRUS_START"))
	if err != nil || slivers < 100 {
		t.Skip("set WALRUS_START to the number of slivers, such as 1000000")
	}
	_, src := seeded(t)
	const limit = 5 * time.Second
	for _, tt := range []struct {
		hoard
		// A cold start reads one part in so many at most, besides startReads. Thirty starts in a row read no more: what one
		// has read is in memory for the next.
		part int64
	}{
		// Meta is most of a store of so small slivers. A start reads the index of each of its tables, and a few blocks of
		// those that are not merged.
		{hoard{slivers / 2, 2, 64}, 25},
		{hoard{slivers / 50, 50, 64}, 250},
		{hoard{slivers / 50, 50, 640}, 1000},
	} {
		t.Run(tt.String(), func(t *testing.T) {
			c := newCluster(t, config.DevnetOptions{Nodes: 4, Shards: 100})
			c.awaitHealth()
			c.newBlob(src, 1000, exitDone)
			c.stop(0)
			tt.fill(t, filepath.Join(c.net.Homes[0], "store"))
			total, err := badgerdisk.Used(c.net.Homes[0])
			if err != nil {
				t.Fatal(err)
			}
			c.startCounted(0)
			most := startReads + total/tt.part
			for _, run := range []struct {
				starts int
				cold   bool
				most   int64 // bytes read by all starts
			}{{8, true, 8 * most}, {30, false, most}} {
				var slowest [2]time.Duration // stopped cleanly, and killed
				var sum int64
				for i := range run.starts {
					if i%2 == 1 {
						c.newBlob(src, 1000, exitDone) // so that a segment is open
						c.kill(0)
					} else {
						c.stop(0)
					}
					if run.cold || i == 0 {
						evict(t, c.net.Homes[0])
					}
					took, read := c.startCounted(0)
					slowest[i%2] = max(slowest[i%2], took)
					sum += read
				}
				t.Logf("%d starts, cold %t: serving %s after a clean stop at most, %s after a kill; read %d KiB of %d MiB: %.2f %%",
					run.starts, run.cold, slowest[0].Round(time.Millisecond), slowest[1].Round(time.Millisecond),
					sum>>10, total>>20, 100*float64(sum)/float64(total))
				if max(slowest[0], slowest[1]) > limit {
					t.Errorf("a start took %s, want %s at most", max(slowest[0], slowest[1]), limit)
				}
				if sum > run.most {
					t.Errorf("%d starts read %d bytes of %d, want %d at most", run.starts, sum, total, run.most)
				}
			}
		})
	}
}

// startReads bounds what a start reads of a small store, in bytes: its ledger and the ends of its logs.
const startReads = 2 << 20

// startCounted starts a node. It returns the time until it serves, and the bytes that it has read from the disk until
// two seconds later.
func (c *cluster) startCounted(i int) (took time.Duration, read int64) {
	c.t.Helper()
	if err := os.Truncate(c.log(i), 0); err != nil {
		c.t.Fatal(err)
	}
	began := time.Now()
	p, err := startProc(context.Background(), c.log(i), "node", "run", "--home", c.net.Homes[i])
	if err != nil {
		c.t.Fatal(err)
	}
	c.node[i] = p
	for {
		raw, err := os.ReadFile(c.log(i))
		if err != nil {
			c.t.Fatal(err)
		}
		if bytes.Contains(raw, []byte("node is serving")) {
			break
		}
		if time.Since(began) > readyTimeout {
			c.t.Fatalf("node %d does not serve: %s", i, p.tail())
		}
		<-time.After(5 * time.Millisecond)
	}
	took = time.Since(began)
	<-time.After(2 * time.Second) // for work in the background
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", p.cmd.Process.Pid))
	_, rest, found := strings.Cut(string(b), "\nread_bytes: ")
	if _, serr := fmt.Sscan(rest, &read); err != nil || serr != nil || !found {
		c.t.Fatalf("bytes read by node %d: %q, %v", i, b, err)
	}
	return took, read
}

// evict drops the files in dir from the page cache.
func evict(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return err
		}
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// hoard describes the content of a store: so many blobs with so many slivers each, of size bytes.
type hoard struct{ blobs, each, size int }

func (h hoard) String() string {
	return fmt.Sprintf("%d blobs of %d slivers of %d bytes", h.blobs, h.each, h.size)
}

// fill puts the hoard into the store in dir, while the store tends it as in a node.
func (h hoard) fill(t *testing.T, dir string) {
	t.Helper()
	s, err := store.Open(store.Default(dir))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var tend, put sync.WaitGroup
	tend.Go(func() { _ = s.Tend(ctx, func(store.Ref, error) {}) })
	const writers = 4
	for w := range writers {
		put.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(w)))
			for i := w; i < h.blobs; i += writers {
				if err := h.put(s, rnd); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	put.Wait()
	stop()
	tend.Wait()
	if err := s.Close(); err != nil || t.Failed() {
		t.Fatal(err)
	}
}

// put stores one blob.
func (h hoard) put(s *store.Store, rnd *rand.Rand) error {
	var id shards.BlobID
	for i := 0; i < len(id); i += 8 {
		binary.BigEndian.PutUint64(id[i:], rnd.Uint64())
	}
	if err := s.PutBlob(id, []byte("metadata"), 6); err != nil {
		return err
	}
	b := make([]byte, h.size)
	for k := range h.each {
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		w, err := s.Create(store.Ref{Blob: id, Shard: k / 2, Axis: shards.Axis(k % 2)}, int64(len(b)))
		if err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		if err := w.Commit(); err != nil {
			return err
		}
	}
	return s.PutCertificate(id, 1, make([]byte, 200))
}
