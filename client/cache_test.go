package client

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"walrus/shards"
)

// cached gives c a cache in dir.
func cached(t *testing.T, c *Client, dir string, size int64) {
	t.Helper()
	c.cfg.Cache = CacheConfig{Dir: dir, Bytes: size}
	if err := c.OpenCache(); err != nil {
		t.Fatal(err)
	}
}

// copyAll reads the whole blob and compares.
func copyAll(t *testing.T, b *Blob, want []byte) *ReadResult {
	t.Helper()
	var out bytes.Buffer
	res, err := b.CopyRange(t.Context(), &out, 0, int64(b.Size()), ReadOptions{})
	if err != nil || !bytes.Equal(out.Bytes(), want) {
		t.Fatalf("read %d bytes: %v", out.Len(), err)
	}
	return res
}

// folderSize sums up the complete files in the cache's folder.
func folderSize(t *testing.T, dir string) (bytes int64, names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), ".row") {
			bytes += info.Size()
			names = append(names, filepath.Join(dir, e.Name()))
		}
	}
	return bytes, names
}

// TestCacheHits reads twice, with rows in memory and on disk. The second read asks no node, and neither does the next
// process on the same folder.
func TestCacheHits(t *testing.T) {
	for _, memory := range []int64{1, 64 << 20} {
		f, c := newFake(t, 7, 28)
		c.cfg.ReadMemory = memory
		dir := filepath.Join(t.TempDir(), "made", "by", "it")
		cached(t, c, dir, 10<<20)
		data := noise(60, 1_234_567)
		b := opened(t, c, data)
		rows := f.com.Params().Rows()
		if res := copyAll(t, b, data); res.Cached != 0 || len(f.fetched()) != rows {
			t.Errorf("first read: %+v", res)
		}
		if res := copyAll(t, b, data); res.Fetched != 0 || res.Cached == 0 || len(f.fetched()) != 0 {
			t.Errorf("second read: %+v", res)
		}
		st := c.CacheStats()
		onDisk, names := folderSize(t, dir)
		if st.Hits != uint64(rows) || st.Misses != uint64(rows) || st.Bytes != onDisk || len(names) != rows {
			t.Errorf("%+v, %d files of %d bytes", st, len(names), onDisk)
		}
		c.Close()
		again := f.client(f.wallet)
		again.cfg.ReadMemory = memory
		cached(t, again, dir, 10<<20)
		b, err := again.Open(t.Context(), b.ID())
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if _, err := b.CopyRange(t.Context(), &out, 500_000, 300_000, ReadOptions{}); err != nil ||
			!bytes.Equal(out.Bytes(), data[500_000:800_000]) || len(f.fetched()) != 0 {
			t.Errorf("a range in the next process: %v", err)
		}
		again.Close()
	}
}

// TestCacheThrough decodes with cached rows among the inputs, and caches the decoded rows: nodes that are down cost one
// decoding.
func TestCacheThrough(t *testing.T) {
	for _, memory := range []int64{1, 300_000, 64 << 20} {
		f, c := newFake(t, 7, 28)
		c.cfg.ReadMemory = memory
		cached(t, c, t.TempDir(), 10<<20)
		data := noise(61, 1_234_567)
		b := opened(t, c, data)
		half := int64(len(data) / 2)
		if _, err := b.CopyRange(t.Context(), io.Discard, half, half/3, ReadOptions{}); err != nil {
			t.Fatal(err)
		}
		f.moods[1], f.moods[5] = down, down
		if res := copyAll(t, b, data); res.Decoded == 0 || res.Cached == 0 {
			t.Errorf("first read: %+v", res)
		}
		f.fetched()
		if res := copyAll(t, b, data); res.Decoded != 0 || res.Fetched != 0 || len(f.fetched()) != 0 {
			t.Errorf("second read: %+v", res)
		}
		c.Close()
	}
}

// TestCacheRotten damages all parts of files: reads detect it, return nothing wrong, and fetch the row again.
func TestCacheRotten(t *testing.T) {
	f, c := newFake(t, 4, 4)
	dir := t.TempDir()
	cached(t, c, dir, 10<<20)
	defer c.Close()
	data := noise(62, 500_000)
	b := opened(t, c, data)
	copyAll(t, b, data)
	size := f.com.Params().Layout(shards.Primary, uint64(len(data))).Size()
	flip := func(at int64) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 4; return b }
	}
	for name, damage := range map[string]func([]byte) []byte{
		"magic":       flip(0),
		"blob ID":     flip(20),
		"index":       flip(40),
		"size":        flip(50),
		"first byte":  flip(int64(cacheHeader)),
		"third block": flip(int64(cacheHeader) + 2*cacheBlock + 77),
		"last byte":   flip(int64(cacheHeader) + size - 1),
		"checksum":    flip(cacheFileSize(size) - 1),
		"cut":         func(b []byte) []byte { return b[:len(b)-1] },
		"short":       func(b []byte) []byte { return b[:30] },
		"empty":       func([]byte) []byte { return nil },
	} {
		before := c.CacheStats().Rotten
		_, files := folderSize(t, dir)
		raw, err := os.ReadFile(files[0])
		if err == nil {
			err = os.WriteFile(files[0], damage(raw), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		f.fetched()
		res := copyAll(t, b, data)
		if asked := f.fetched(); len(asked) != 1 || res.Fetched != size || c.CacheStats().Rotten != before+1 {
			t.Errorf("%s: fetched %v, %+v, %+v", name, asked, res, c.CacheStats())
		}
		if res := copyAll(t, b, data); res.Fetched != 0 {
			t.Errorf("%s: read again: %+v", name, res)
		}
		if onDisk, _ := folderSize(t, dir); onDisk != c.CacheStats().Bytes {
			t.Errorf("%s: %d bytes on disk, %+v", name, onDisk, c.CacheStats())
		}
	}
}

// TestCacheBound reads many random blobs concurrently: the folder stays within the bound, except files being written.
func TestCacheBound(t *testing.T) {
	f, c := newFake(t, 4, 4)
	dir := t.TempDir()
	const limit, readers = 1 << 20, 4
	cached(t, c, dir, limit)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var blobs []*Blob
	var largest int64
	for i := range 40 {
		data := noise(uint64(100+i), 1000+r.IntN(200_000))
		blobs = append(blobs, opened(t, c, data))
		largest = max(largest, cacheFileSize(f.com.Params().Layout(shards.Primary, uint64(len(data))).Size()))
	}
	var g errgroup.Group
	for k := range readers {
		g.Go(func() error {
			r := rand.New(rand.NewPCG(seed, uint64(k+1)))
			for range 60 {
				b := blobs[min(r.IntN(len(blobs)), r.IntN(len(blobs)))] // some more often than others
				if _, err := b.CopyRange(t.Context(), io.Discard, 0, int64(b.Size()), ReadOptions{}); err != nil {
					return err
				}
				if st := c.CacheStats(); st.Bytes > limit+readers*2*largest {
					t.Errorf("holds %d bytes", st.Bytes)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	onDisk, names := folderSize(t, dir)
	if st := c.CacheStats(); st.Bytes != onDisk || onDisk > limit || onDisk < limit/2 || st.Hits == 0 {
		t.Errorf("%d files of %d bytes, %+v", len(names), onDisk, st)
	}
	c.Close()

	// the next process has less room, and an earlier one died while writing; other files do not belong to the cache
	for _, name := range []string{"1.row-part", "notes.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 1000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again := f.client(f.wallet)
	cached(t, again, dir, limit/3)
	defer again.Close()
	if onDisk, _ := folderSize(t, dir); onDisk != again.CacheStats().Bytes || onDisk > limit/3 || onDisk == 0 {
		t.Errorf("opened again with %d bytes, %+v", onDisk, again.CacheStats())
	}
	if _, err := os.Stat(filepath.Join(dir, "1.row-part")); !errors.Is(err, os.ErrNotExist) {
		t.Error("a part of a file is left")
	}
	if _, err := os.Stat(filepath.Join(dir, "notes.txt")); err != nil {
		t.Error("a file of somebody else is gone")
	}
}

// TestCacheFull has no room for files: reads go on, and the log says it once.
func TestCacheFull(t *testing.T) {
	f, c := newFake(t, 4, 4)
	var log bytes.Buffer
	c.log = slog.New(slog.NewTextHandler(&log, nil))
	dir := filepath.Join(t.TempDir(), "cache")
	cached(t, c, dir, 1<<20)
	defer c.Close()
	data := noise(63, 100_000)
	b := opened(t, c, data)
	if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil { // a file instead of the folder
		t.Fatal(err)
	}
	for range 2 {
		copyAll(t, b, data)
	}
	if n := strings.Count(log.String(), "cannot be written to the cache"); n != 1 || len(f.fetched()) == 0 {
		t.Errorf("said %d times: %s", n, log.String())
	}
	if _, err := openCache(CacheConfig{Bytes: 1}, c.log); err == nil {
		t.Error("opened a cache without a folder")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openCache(CacheConfig{Dir: file, Bytes: 1}, c.log); err == nil {
		t.Error("opened a cache in a file")
	}
}
