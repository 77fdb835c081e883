package shards

import (
	"slices"
	"sync"
)

// feed cuts a slab, the memory into which a blob is read, into parts. Each part holds the rows of one strip until the
// strip is released. If too few parts are free because strips are kept, feed makes more.
type feed struct {
	size   int // of a part, in bytes
	done   func(slab []byte)
	mu     sync.Mutex
	slab   []byte
	free   [][]byte // guarded by mu
	out    int      // guarded by mu; parts in use
	closed bool     // guarded by mu
}

// newFeed returns a feed of count parts of size bytes in slab, or in a larger one. It calls done with the slab after
// close, once every part is back.
func newFeed(slab []byte, count, size int, done func(slab []byte)) *feed {
	f := &feed{size: size, slab: growLarge(&slab, count*size), done: done}
	for i := range count {
		f.free = append(f.free, f.slab[i*size:(i+1)*size])
	}
	return f
}

// take returns count parts in the slab's order, so that neighbours in the slab are neighbours in the list. The
// capacity of a part reaches to the slab's end: the greater it is, the nearer the part is to the slab's start.
func (f *feed) take(count int) [][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.free) < count {
		f.free = append(f.free, make([]byte, f.size))
	}
	slices.SortStableFunc(f.free, func(a, b []byte) int { return cap(b) - cap(a) }) // in the slab's order
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

// close returns the slab once every part is back.
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
