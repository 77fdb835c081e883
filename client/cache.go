package client

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/dgraph-io/ristretto/v2"

	"walrus/shards"
)

// CacheConfig configures the cache of verified rows on disk. The zero value means no cache.
type CacheConfig struct {
	// Dir is the folder, used by this process alone and made if missing. Cache files found in it are used again, or
	// removed.
	Dir string
	// Bytes bounds the size of all files together, except rows being written. Default 0: no cache.
	Bytes int64
}

// CacheStats counts the cache's hits and its size.
type CacheStats struct {
	Hits, Misses uint64 // rows asked for that were, or were not, in the cache
	Rotten       uint64 // rows that were found damaged, and fetched again
	Bytes, Limit int64  // bytes of all files, now and at most
}

// rowCache keeps verified rows in files. TinyLFU decides which rows stay: reading a large blob from end to end does not
// push out rows that are read often. A nil rowCache keeps nothing. It is safe for concurrent use.
type rowCache struct {
	dir   string                             // constant, as the next two
	index *ristretto.Cache[string, *rowFile] // owns a file for as long as it has the entry
	log   *slog.Logger

	bytes                atomic.Int64
	files                atomic.Uint64 // files written so far, for their names
	hits, misses, rotten atomic.Uint64
	closing              atomic.Bool // entries leave the index, files stay
	full                 atomic.Bool // the last file could not be written
}

// rowFile is an entry of the index.
type rowFile struct {
	path string
	size int64
}

// cacheName matches file names. Each write of a row gets a new name, so removing an old file never hits a new one.
var cacheName = regexp.MustCompile(`^([A-Za-z0-9_-]{43})-([0-9]{1,5})-([0-9a-z]{1,13})\.row$`)

const cacheTemp = "*.row-part"

// typicalRow sizes the table that counts how often rows are asked for: smaller rows are counted less exactly.
const typicalRow = 256 << 10

// openCache opens the cache with the files that an earlier process left. The caller must close it.
func openCache(cfg CacheConfig, log *slog.Logger) (*rowCache, error) {
	if cfg.Bytes <= 0 {
		return nil, nil
	}
	if cfg.Dir == "" {
		return nil, errors.New("row cache: a size is set but no folder: name one")
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("row cache: %w", err)
	}
	c := &rowCache{dir: cfg.Dir, log: log}
	var err error
	c.index, err = ristretto.NewCache(&ristretto.Config[string, *rowFile]{
		NumCounters: min(max(10*cfg.Bytes/typicalRow, 1000), 1<<24), MaxCost: cfg.Bytes, BufferItems: 64,
		IgnoreInternalCost: true, OnExit: c.remove,
	})
	if err != nil {
		return nil, fmt.Errorf("row cache: %w", err)
	}
	if err := c.recover(cfg.Bytes); err != nil {
		c.close()
		return nil, fmt.Errorf("row cache: %w", err)
	}
	return c, nil
}

// recover puts the files of an earlier process into the index, the newest first, until the cache is full. It removes
// the rest. Files that do not belong to the cache stay and are not counted.
func (c *rowCache) recover(limit int64) error {
	parts, err := filepath.Glob(filepath.Join(c.dir, cacheTemp))
	if err != nil {
		return err
	}
	for _, path := range parts {
		_ = os.Remove(path)
	}
	list, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	var found []fs.FileInfo
	for _, e := range list {
		m := cacheName.FindStringSubmatch(e.Name())
		if m == nil || !e.Type().IsRegular() {
			continue
		}
		if n, err := strconv.ParseUint(m[3], 36, 64); err == nil && n < math.MaxUint64 && n >= c.files.Load() {
			c.files.Store(n + 1)
		}
		if info, err := e.Info(); err == nil {
			found = append(found, info)
		}
	}
	slices.SortStableFunc(found, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	for _, info := range found {
		file := &rowFile{filepath.Join(c.dir, info.Name()), info.Size()}
		m := cacheName.FindStringSubmatch(info.Name())
		key := m[1] + "-" + m[2]
		if _, twice := c.index.GetTTL(key); twice || c.bytes.Load()+file.size > limit {
			_ = os.Remove(file.path)
			continue
		}
		c.add(key, file)
	}
	return nil
}

func cacheKey(id shards.BlobID, index int) string { return id.String() + "-" + strconv.Itoa(index) }

// add puts a file into the index, and waits until the index has kept or refused it.
func (c *rowCache) add(key string, file *rowFile) {
	c.bytes.Add(file.size)
	if !c.index.Set(key, file, file.size) {
		c.remove(file)
		return
	}
	c.index.Wait()
}

// remove removes a file that the index has evicted or refused.
func (c *rowCache) remove(file *rowFile) {
	if file == nil || c.closing.Load() {
		return
	}
	c.bytes.Add(-file.size)
	_ = os.Remove(file.path)
}

// close ends the cache; its files stay for the next process. Nobody may use the cache afterwards.
func (c *rowCache) close() {
	if c == nil {
		return
	}
	c.index.Wait()
	c.closing.Store(true)
	c.index.Close()
}

// has reports whether the row is in the index, without looking at its file.
func (c *rowCache) has(id shards.BlobID, index int) bool {
	if c == nil {
		return false
	}
	_, ok := c.index.GetTTL(cacheKey(id, index))
	return ok
}

// get opens the row; nil if it is not in the cache.
func (c *rowCache) get(id shards.BlobID, index int, layout shards.Layout) row {
	if c == nil {
		return nil
	}
	key := cacheKey(id, index)
	file, ok := c.index.Get(key)
	if !ok {
		c.misses.Add(1)
		return nil
	}
	r, err := openCacheFile(file.path, id, index, layout, func(err error) { c.drop(key, file, err) })
	if err != nil {
		c.misses.Add(1)
		c.drop(key, file, err)
		return nil
	}
	c.hits.Add(1)
	return r
}

// drop takes an unusable file out of the index, unless a newer file has replaced it already.
func (c *rowCache) drop(key string, file *rowFile, err error) {
	if now, ok := c.index.Get(key); !ok || now != file {
		return // evicted just before it was opened
	}
	c.rotten.Add(1)
	c.log.Warn("a cached row is damaged or unreadable; it is fetched again", "err", err)
	c.index.Del(key)
	c.index.Wait()
}

// put keeps a verified row if the index accepts it. Failing to write a row, for example to a full disk, is no error:
// the cache is then as large as it can be.
func (c *rowCache) put(id shards.BlobID, index int, r row, size int64) {
	if c == nil || cacheFileSize(size) > c.index.MaxCost() || c.has(id, index) {
		return
	}
	file, err := c.write(id, index, r, size)
	if err != nil {
		if !c.full.Swap(true) { // log it once, not for every row
			c.log.Warn("a row cannot be written to the cache; reading goes on without it", "err", err)
		}
		return
	}
	c.full.Store(false)
	c.add(cacheKey(id, index), file)
}

// write writes a row to a temporary file and renames it when it is complete. The file is not synced: if
// the machine crashes, checksums reveal a half-written file.
func (c *rowCache) write(id shards.BlobID, index int, r row, size int64) (*rowFile, error) {
	f, err := CreateTemp(c.dir, cacheTemp)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(c.dir, cacheKey(id, index)+"-"+strconv.FormatUint(c.files.Add(1)-1, 36)+".row")
	err = writeCacheFile(f, id, index, r, size)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return nil, err
	}
	return &rowFile{path, cacheFileSize(size)}, nil
}

func (c *rowCache) stats() CacheStats {
	if c == nil {
		return CacheStats{}
	}
	return CacheStats{Hits: c.hits.Load(), Misses: c.misses.Load(), Rotten: c.rotten.Load(), Bytes: c.bytes.Load(),
		Limit: c.index.MaxCost()}
}
