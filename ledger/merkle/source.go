package merkle

import (
	"fmt"
	"slices"
	"sync"
)

// Leaf stands for a pair in the tree.
type Leaf struct {
	Path  Hash // SHA-256 of the key
	Value Hash // SHA-256 of the value
}

// Source has the pages and pairs of one tree. Its methods are called by several goroutines.
type Source interface {
	// Page returns the page at a place, as Save or BuildPages wrote it; nil if there is none.
	Page(at Place) ([]byte, error)
	// Leaves returns the leaves at a place in ascending order of paths, at most limit.
	Leaves(at Place, limit int) ([]Leaf, error)
}

// stored finds the parts of a tree that it has no nodes of.
type stored struct {
	source Source
	cache  *Cache
}

// Open returns the tree in a Source with this root and number of keys. It loads the topmost part: errors are those of
// Apply.
func Open(root Hash, keys uint64, source Source, cache *Cache) (*Tree, error) {
	t := &Tree{store: &stored{source, cache}}
	if keys == 0 && root == (Hash{}) {
		return t, nil
	}
	top := &stub{hash: root, keys: keys}
	if _, err := t.store.load(top, Place{}); err != nil {
		return nil, err
	}
	t.root = top
	return t, nil
}

// load returns the page or bucket at a place, from the cache if possible.
func (s *stored) load(st *stub, at Place) (node, error) {
	if n := s.cache.get(st); n != nil {
		return n, nil
	}
	if st.keys <= maxBucket {
		n, err := s.bucket(st, at)
		if err == nil {
			s.cache.putBucket(n)
		}
		return n, err
	}
	page, err := s.source.Page(at)
	if err != nil {
		return nil, fmt.Errorf("load the tree at %s: %w", at, err)
	}
	n, err := parsePage(page, at)
	if err != nil {
		return nil, fmt.Errorf("load the tree at %s: %w: %v", at, ErrDamaged, err)
	}
	if err := match(n, st, at); err != nil {
		return nil, err
	}
	s.cache.putPage(n)
	return n, nil
}

// bucket builds a bucket from the pairs.
func (s *stored) bucket(st *stub, at Place) (node, error) {
	all, err := s.source.Leaves(at, int(st.keys)+1)
	if err != nil {
		return nil, fmt.Errorf("load the tree at %s: %w", at, err)
	}
	leaves := make([]*leaf, len(all))
	own := make([]leaf, len(all))
	for i, l := range all {
		own[i] = leaf{path: l.Path, value: l.Value}
		leaves[i] = &own[i]
		if !at.has(&l.Path) || i > 0 && compare(&all[i-1].Path, &l.Path) >= 0 {
			return nil, fmt.Errorf("load the tree at %s: %w: path %s does not belong there", at, ErrDamaged, l.Path)
		}
	}
	n := build(leaves, at.Depth, 1)
	return n, match(n, st, at)
}

// match compares what was loaded with what its parent says of it.
func match(n node, st *stub, at Place) error {
	if hashOf(n) != st.hash || countOf(n) != st.keys {
		return fmt.Errorf("load the tree at %s: %w: there are %d keys with hash %s, but %d with %s belong there", at, ErrDamaged,
			countOf(n), hashOf(n), st.keys, st.hash)
	}
	return nil
}

// Save passes the pages that differ from those of the tree in the Source that this one was made of to write, in no
// particular order; page is nil where one is to be removed. With nothing in a Source yet, it passes all. It returns
// the same tree with almost nothing in memory: source must have its pairs and pages by the time it is used.
func (t *Tree) Save(source Source, cache *Cache, write func(at Place, page []byte) error) (*Tree, error) {
	saved := &Tree{store: &stored{source, cache}}
	if t == nil {
		return saved, nil
	}
	s := saving{cache: cache, write: write, wrote: make(map[Place]bool)}
	var err error
	if saved.root, err = s.node(t.root, Place{}); err != nil {
		return nil, err
	}
	for _, at := range t.replaced {
		if !s.wrote[at] {
			s.wrote[at] = true
			if err := write(at, nil); err != nil {
				return nil, err
			}
		}
	}
	return saved, nil
}

// DefaultCache is the size of a Cache with half of the pages of ten million keys.
const DefaultCache = 64 << 20

// Cache keeps parts of trees that were loaded or changed. Trees may share it. A part is found by its hash, so no tree
// finds one that it does not have. It is safe for concurrent use. A nil Cache keeps nothing.
type Cache struct {
	limit int // bytes of memory, of pages and of buckets each; constant

	mu             sync.Mutex
	pages, buckets generations // guarded by mu
}

// NewCache returns an empty cache that takes about limit bytes of memory when it is full.
func NewCache(limit int) *Cache { return &Cache{limit: limit / 2} }

// generations holds nodes by their hash in two maps: whatever is not used while young fills up is dropped with old.
type generations struct {
	young, old map[Hash]node
	size       int // bytes of young
}

// Sizes of parts in memory, in bytes, as Go allocates them. An entry is one of a map.
const (
	innerSize = 80
	leafSize  = 96
	stubSize  = 48
	entrySize = 100
)

func (c *Cache) get(st *stub) node {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	g, size := &c.pages, pageSize
	if st.keys <= maxBucket {
		g, size = &c.buckets, bucketSize
	}
	if n := g.young[st.hash]; n != nil {
		return n
	}
	n := g.old[st.hash]
	if n != nil {
		g.put(n, size(n), c.limit)
	}
	return n
}

func (c *Cache) putPage(n node) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pages.put(n, pageSize(n), c.limit)
}

// putBucket adds a bucket, unless a part of it is not in memory.
func (c *Cache) putBucket(n node) {
	if c == nil || n == nil || !complete(n) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buckets.put(n, bucketSize(n), c.limit)
}

func complete(n node) bool {
	switch n := n.(type) {
	case *stub:
		return false
	case *inner:
		return complete(n.left) && complete(n.right)
	}
	return true
}

// pageSize returns the memory of a page, in bytes.
func pageSize(n node) int {
	size := entrySize
	if in, ok := n.(*inner); ok {
		size = innerSize + pageSize(in.left) + pageSize(in.right) - entrySize
	} else {
		size += stubSize
	}
	return size
}

// bucketSize returns the memory of a bucket, in bytes: as many inner nodes as leaves, at a guess.
func bucketSize(n node) int { return entrySize + int(countOf(n))*(innerSize+leafSize) }

func (g *generations) put(n node, size, limit int) {
	if _, ok := g.young[*n.sum()]; ok {
		return
	}
	if g.young == nil || g.size+size > limit/2 {
		g.young, g.old, g.size = make(map[Hash]node), g.young, 0
	}
	g.young[*n.sum()] = n
	g.size += size
}

func compare(a, b *Hash) int { return slices.Compare(a[:], b[:]) }
