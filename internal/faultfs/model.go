package faultfs

import (
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

const (
	pageSize   = 4096
	sectorSize = 512 // the unit that a disk writes as a whole
)

// page is a page of a file. It does not change once it is in a version.
type page *[pageSize]byte

var zeros = page(new([pageSize]byte))

// version is the content of a file at one moment. Pages that are not there are zero.
type version struct {
	size  int64
	pages map[int64]page // by number
}

// entry is a file or directory.
type entry struct {
	file *content // nil for a directory
	dir  *listing // nil for a file
}

// content is a file: its content now, and what would be left of it after a loss of power.
type content struct {
	now, synced version
	dirty       map[int64]bool // pages that may differ between the two
}

// listing is a directory: its entries now, and the entries that would be left after a loss of power.
type listing struct {
	now, synced map[string]entry
}

func newContent() *content {
	return &content{
		now: version{pages: map[int64]page{}}, synced: version{pages: map[int64]page{}}, dirty: map[int64]bool{},
	}
}

func newListing() *listing {
	return &listing{now: map[string]entry{}, synced: map[string]entry{}}
}

func (v *version) page(i int64) page {
	if p, ok := v.pages[i]; ok {
		return p
	}
	return zeros
}

// read fills p from off as far as the file goes.
func (c *content) read(p []byte, off int64) int {
	p = p[:max(0, min(int64(len(p)), c.now.size-off))]
	for n := 0; n < len(p); {
		at := off + int64(n)
		n += copy(p[n:], c.now.page(at / pageSize)[at%pageSize:])
	}
	return len(p)
}

// write changes the content now and returns by how many pages the file has grown.
func (c *content) write(p []byte, off int64) (grown int) {
	for n := 0; n < len(p); {
		at := off + int64(n)
		i := at / pageSize
		old, there := c.now.pages[i]
		fresh := new([pageSize]byte)
		if there {
			*fresh = *old
		} else {
			grown++
		}
		n += copy(fresh[at%pageSize:], p[n:])
		c.now.pages[i] = fresh
		c.dirty[i] = true
	}
	c.now.size = max(c.now.size, off+int64(len(p)))
	return grown
}

// truncate changes the length now and returns the number of pages cut off.
func (c *content) truncate(size int64) (cut int) {
	if size < c.now.size {
		for i := range c.now.pages {
			if i*pageSize >= size {
				delete(c.now.pages, i)
				c.dirty[i] = true
				cut++
			}
		}
		if rest := size % pageSize; rest > 0 {
			if old, ok := c.now.pages[size/pageSize]; ok {
				fresh := *old
				clear(fresh[rest:])
				c.now.pages[size/pageSize] = &fresh
				c.dirty[size/pageSize] = true
			}
		}
	}
	c.now.size = size
	return cut
}

// sync makes the content now survive a loss of power.
func (c *content) sync() {
	for i := range c.dirty {
		if p, ok := c.now.pages[i]; ok {
			c.synced.pages[i] = p
		} else {
			delete(c.synced.pages, i)
		}
	}
	c.synced.size = c.now.size
	clear(c.dirty)
}

// lose forgets that anything is unsynced: what was written since the last sync can still be read, but no later sync
// writes it. Linux treats pages so after a failed fsync.
func (c *content) lose() { clear(c.dirty) }

// sync makes the entries now survive a loss of power.
func (l *listing) sync() { l.synced = maps.Clone(l.now) }

// left returns a version that a loss of power may leave: the synced one if r is nil, else with any part of what was
// written since.
func (c *content) left(r *rand.Rand) version {
	v := version{size: c.synced.size, pages: maps.Clone(c.synced.pages)}
	if r == nil {
		return v
	}
	if r.IntN(2) == 0 {
		v.size = c.now.size
	}
	for _, i := range slices.Sorted(maps.Keys(c.dirty)) {
		mixed := *c.synced.page(i)
		kept := r.IntN(3) // of the new sectors: none, all, or any
		for s := 0; s < pageSize; s += sectorSize {
			if kept == 1 || kept == 2 && r.IntN(2) == 0 {
				copy(mixed[s:s+sectorSize], c.now.page(i)[s:])
			}
		}
		v.pages[i] = &mixed
	}
	return v
}

// left returns entries that a loss of power may leave.
func (l *listing) left(r *rand.Rand) map[string]entry {
	out := maps.Clone(l.synced)
	if r == nil {
		return out
	}
	names := maps.Clone(l.synced)
	maps.Copy(names, l.now)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if r.IntN(2) == 0 {
			continue
		}
		if e, ok := l.now[name]; ok {
			out[name] = e
		} else {
			delete(out, name)
		}
	}
	return out
}

// dump writes into dir what a loss of power may leave of l.
func (l *listing) dump(dir string, r *rand.Rand) error {
	entries := l.left(r)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		path := filepath.Join(dir, name)
		if e := entries[name]; e.dir != nil {
			if err := os.Mkdir(path, 0o700); err != nil {
				return err
			}
			if err := e.dir.dump(path, r); err != nil {
				return err
			}
		} else if err := e.file.left(r).dump(path); err != nil {
			return err
		}
	}
	return nil
}

func (v version) dump(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // nobody relies on it after an error
	for i, p := range v.pages {
		if n := min(pageSize, v.size-i*pageSize); n > 0 {
			if _, err := f.WriteAt(p[:n], i*pageSize); err != nil {
				return err
			}
		}
	}
	return f.Truncate(v.size)
}
