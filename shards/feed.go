package shards

import (
	"slices"
	"sync"
)

// feed cuts a slab, the memory that a blob is read into, into parts, of which each will be the rows of a strip until that
// is released. If there are not enough, as strips are kept, it makes more.
type feed struct {
	size   int // of a part, in bytes
	done   func(slab []byte)
	mu     sync.Mutex
	slab   []byte
	free   [][]byte // guarded by mu
	out    int      // guarded by mu; parts in use
	closed bool     // guarded by mu
}

// newFeed returns a feed of count parts of size bytes in slab, or a larger one. It calls done with that when it is closed
// and every part is back.
func newFeed(slab []byte, count, size int, done func(slab []byte)) *feed {
	f := &feed{size: size, slab: growLarge(&slab, count*size), done: done}
	for i := range count {
		f.free = append(f.free, f.slab[i*size:(i+1)*size])
	}
	return f
}

// take returns count parts, those that are neighbours in the slab side by side and in its order: a part of the slab is a
// slice whose capacity reaches to the slab's end, so the greater it is, the further in front the part lies.
func (f *feed) take(count int) [][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.free) < count {
		f.free = append(f.free, make([]byte, f.size))
	}
	slices.SortStableFunc(f.free, func(a, b []byte) int { return cap(b) - cap(a) }) // as they lie in the slab
	parts := slices.Clone(f.free[:count])
	f.free = slices.Delete(f.free, 0, count)
	f.out += count
	return parts
}

func (f *feed) put(part []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.free = append(f.free, part)
	f.out--
	f.finish()
}

// close gives the slab back as soon as every part is.
func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.finish()
}

func (f *feed) finish() {
	if f.closed && f.out == 0 {
		f.done(f.slab)
	}
}
