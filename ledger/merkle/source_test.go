package merkle

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// disk is a Source in memory. Each save makes another one.
type disk struct {
	pages  map[Place][]byte
	leaves []Leaf // ascending
	reads  int
}

func (d *disk) Page(at Place) ([]byte, error) {
	d.reads++
	return d.pages[at], nil
}

func (d *disk) Leaves(at Place, limit int) ([]Leaf, error) {
	d.reads++
	from, _ := slices.BinarySearchFunc(d.leaves, at.Prefix, func(l Leaf, p Hash) int { return compare(&l.Path, &p) })
	to := from
	for to < len(d.leaves) && to < from+limit && at.has(&d.leaves[to].Path) {
		to++
	}
	return d.leaves[from:to], nil
}

func leavesOf(pairs map[string][]byte) []Leaf {
	var leaves []Leaf
	for k, v := range pairs {
		leaves = append(leaves, Leaf{sha256.Sum256([]byte(k)), sha256.Sum256(v)})
	}
	slices.SortFunc(leaves, func(a, b Leaf) int { return compare(&a.Path, &b.Path) })
	return leaves
}

// save saves t, whose pairs are known, over an older disk, or none.
func save(t *Tree, old *disk, pairs map[string][]byte, cache *Cache) (*Tree, *disk) {
	d := &disk{pages: make(map[Place][]byte), leaves: leavesOf(pairs)}
	if old != nil {
		maps.Copy(d.pages, old.pages)
	}
	saved := must(t.Save(d, cache, func(at Place, page []byte) error {
		if d.pages[at] = page; page == nil {
			delete(d.pages, at)
		}
		return nil
	}))
	return saved, d
}

func stream(leaves []Leaf) iter.Seq2[Leaf, error] {
	return func(yield func(Leaf, error) bool) {
		for _, l := range leaves {
			if !yield(l, nil) {
				return
			}
		}
	}
}

// TestSourceAgainstMemory changes a tree in a Source and one in memory alike, with a cache of any size and restarts in
// between. Roots and proofs are the same, older trees too, and the pages are those of a tree built at once.
func TestSourceAgainstMemory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cache := NewCache(rapid.SampledFrom([]int{0, 5_000, 40_000, 10 << 20}).Draw(t, "cache"))
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		pairs := make(map[string][]byte)
		var memory, stored *Tree
		var d *disk
		var olds []*Tree
		var rights []*Tree
		for range rapid.IntRange(1, 6).Draw(t, "rounds") {
			var cs []Change
			keys := rapid.SampledFrom([]int{2, 40, 300, 3000}).Draw(t, "keys")
			removed := rapid.IntRange(0, 10).Draw(t, "removed")
			for range rapid.IntRange(0, keys).Draw(t, "changes") {
				c := Change{Key: numbered(r.IntN(keys))}
				if r.IntN(10) >= removed {
					c.Value = numbered(r.IntN(5))
				}
				cs = append(cs, c)
				if pairs[string(c.Key)] = c.Value; c.Value == nil {
					delete(pairs, string(c.Key))
				}
			}
			workers := rapid.IntRange(1, 3).Draw(t, "workers")
			k := r.IntN(len(cs) + 1)
			stored = must(must(stored.Apply(cs[:k], workers)).Apply(cs[k:], workers))
			memory = must(memory.Apply(cs, 1))
			stored, d = save(stored, d, pairs, cache)
			if rapid.Bool().Draw(t, "restart") {
				stored = must(Open(memory.Root(), uint64(memory.Len()), d, NewCache(10_000)))
			}
			olds, rights = append(olds, stored), append(rights, memory)
			pages := make(map[Place][]byte)
			root, n, err := BuildPages(stream(d.leaves), func(at Place, page []byte) error { pages[at] = page; return nil })
			if err != nil || root != memory.Root() || n != uint64(memory.Len()) || n != uint64(stored.Len()) {
				t.Fatalf("built %d keys with root %s, %v: want %d, %s", n, root, err, memory.Len(), memory.Root())
			}
			if !maps.EqualFunc(pages, d.pages, bytes.Equal) {
				t.Fatalf("%d pages: those of %d keys are other %d", len(d.pages), n, len(pages))
			}
		}
		for i := range olds {
			if olds[i].Root() != rights[i].Root() {
				t.Fatalf("root %s, want %s", olds[i].Root(), rights[i].Root())
			}
			for range 50 {
				key := numbered(r.IntN(3100))
				got, err := olds[i].Prove(key)
				if want := must(rights[i].Prove(key)); err != nil || !bytes.Equal(got.Marshal(), want.Marshal()) {
					t.Fatalf("version %d of %d keys, key %q: another proof, %v", i, rights[i].Len(), key, err)
				}
			}
		}
	})
}

// TestBoundedMemory: a tree whose parts were all used has no more in memory than the cache's limit, and opening and
// changing it reads a few parts however many keys there are.
func TestBoundedMemory(t *testing.T) {
	const limit = 200_000
	reads := make(map[int]int)
	for _, n := range []int{2000, 40_000} {
		pairs := make(map[string][]byte)
		for i := range n {
			pairs[string(numbered(i))] = numbered(i)
		}
		cache := NewCache(limit)
		tree, d := save(grow(n, 2), nil, pairs, cache)
		tree = must(Open(tree.Root(), uint64(n), d, nil))
		must(tree.Apply([]Change{{numbered(7), []byte("x")}}, 1))
		reads[n] = d.reads
		tree = must(Open(tree.Root(), uint64(n), d, cache))
		for i := range n {
			must(tree.Prove(numbered(i)))
		}
		size := 0
		for _, g := range []*generations{&cache.pages, &cache.buckets} {
			for _, m := range []map[Hash]node{g.young, g.old} {
				for _, part := range m {
					size += memoryOf(part) + entrySize
				}
			}
		}
		if n > 2000 && (size > limit*11/10 || size < limit/4) {
			t.Errorf("%d keys: %d bytes in a cache of %d", n, size, limit)
		}
	}
	if reads[40_000] > reads[2000]+3 {
		t.Errorf("reads by keys: %v, want 2 more for 20 times the keys", reads)
	}
}

func memoryOf(n node) int {
	switch n := n.(type) {
	case *inner:
		return innerSize + memoryOf(n.left) + memoryOf(n.right)
	case *leaf:
		return leafSize
	case *stub:
		return stubSize
	}
	return 0
}

// TestDamage changes each page and leaf in turn. What is read then is right, or an error that says so.
func TestDamage(t *testing.T) {
	const n = 600
	pairs := make(map[string][]byte)
	for i := range n {
		pairs[string(numbered(i))] = numbered(i)
	}
	memory := grow(n, 1)
	_, d := save(memory, nil, pairs, nil)
	changes := []Change{{numbered(3), []byte("x")}, {Key: numbered(4)}, {numbered(n), numbered(n)}}
	want := must(memory.Apply(changes, 1)).Root()
	found := 0
	check := func(what string, at Place) {
		t.Helper()
		tree, err := Open(memory.Root(), n, d, nil)
		if err == nil {
			var changed *Tree
			if changed, err = tree.Apply(changes, 1); err == nil && changed.Root() != want {
				t.Fatalf("%s: root %s, want %s", what, changed.Root(), want)
			}
		}
		for i := range n {
			if path := Hash(sha256.Sum256(numbered(i))); tree == nil || !at.has(&path) {
				continue
			}
			p, err2 := tree.Prove(numbered(i))
			if err2 == nil && Verify(memory.Root(), numbered(i), numbered(i), p) != nil {
				t.Fatalf("%s: a wrong proof", what)
			}
			if err2 != nil {
				err = err2
			}
		}
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("%s: %v, want ErrDamaged", what, err)
		}
		found++
	}
	for at, page := range d.pages {
		for i := range page {
			if i%7 != 0 && i > 4 {
				continue
			}
			d.pages[at] = bytes.Clone(page)
			d.pages[at][i] ^= 1
			check("page "+at.String(), at)
		}
		d.pages[at] = page[:len(page)-1]
		check("cut page "+at.String(), at)
		delete(d.pages, at)
		check("lost page "+at.String(), at)
		d.pages[at] = page
	}
	for i := 0; i < n; i += 50 {
		right := slices.Clone(d.leaves)
		d.leaves[i].Value[5] ^= 1
		check("another value", placeOf(&right[i].Path, 4))
		d.leaves = slices.Delete(slices.Clone(right), i, i+1)
		check("a lost pair", placeOf(&right[i].Path, 4))
		d.leaves = slices.Insert(slices.Clone(right), i, Leaf{Path: right[i].Path})
		check("a pair twice", placeOf(&right[i].Path, 4))
		d.leaves = right
	}
	if found < 250 {
		t.Errorf("%d damages", found)
	}
	if _, err := Open(memory.Root(), n+1, d, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("another number of keys: %v", err)
	}
	if _, err := Open(Hash{1}, 0, d, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("no keys, but a root: %v", err)
	}
	failing := errors.New("unreadable")
	if _, err := Open(memory.Root(), n, unreadable{failing}, nil); !errors.Is(err, failing) {
		t.Errorf("unreadable: %v", err)
	}
}

type unreadable struct{ error }

func (u unreadable) Page(Place) ([]byte, error)        { return nil, u.error }
func (u unreadable) Leaves(Place, int) ([]Leaf, error) { return nil, u.error }

func TestBuildPagesRefuses(t *testing.T) {
	write := func(Place, []byte) error { return nil }
	leaves := leavesOf(map[string][]byte{"a": {1}, "b": {2}, "c": {3}})
	for _, bad := range [][]Leaf{{leaves[1], leaves[0]}, {leaves[0], leaves[0]}} {
		if _, _, err := BuildPages(stream(bad), write); err == nil {
			t.Error("leaves that do not ascend were taken")
		}
	}
	failing := errors.New("unreadable")
	if _, _, err := BuildPages(func(yield func(Leaf, error) bool) { yield(Leaf{}, failing) }, write); !errors.Is(err, failing) {
		t.Errorf("%v, want the error of the leaves", err)
	}
}

func TestPlace(t *testing.T) {
	path := Hash{0b10110111, 0b11110000, 0xff}
	at := placeOf(&path, 11)
	if at.String() != "11/b7e0" || !bytes.Equal(at.Bytes(), []byte{11, 0xb7, 0xe0}) || !at.has(&path) {
		t.Errorf("place %s, % x", at, at.Bytes())
	}
	last := at.Last()
	if last[0] != 0xb7 || last[1] != 0xff || last[31] != 0xff || !at.has(&last) || at.child(1).Prefix[1] != 0xf0 {
		t.Errorf("last path %s, child %s", last, at.child(1))
	}
	if whole := placeOf(&path, 0); whole != (Place{}) || !whole.has(&path) {
		t.Error("the whole tree's place")
	}
}

// FuzzParsePage: no page of any bytes gives another root than it should have, and decoding never panics.
func FuzzParsePage(f *testing.F) {
	pairs := make(map[string][]byte)
	for i := range 300 {
		pairs[string(numbered(i))] = numbered(i)
	}
	_, d := save(grow(300, 1), nil, pairs, nil)
	for _, page := range d.pages {
		f.Add(page)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parsePage(b, Place{})
		if err != nil || countOf(n) <= maxBucket {
			return
		}
		var again []byte
		s := saving{write: func(at Place, page []byte) error {
			again = page
			return nil
		}}
		if short, err := s.node(n, Place{}); err != nil || hashOf(short) != hashOf(n) || !bytes.Equal(again, b) {
			t.Fatalf("% x became % x, %v", b, again, err)
		}
	})
}

// BenchmarkApplyStored is BenchmarkApply with a cache of 4 MiB.
func BenchmarkApplyStored(b *testing.B) {
	const keys, updates = 200_000, 500
	pairs := make(map[string][]byte)
	for i := range keys {
		pairs[string(numbered(i))] = numbered(i)
	}
	tree, _ := save(grow(keys, 2), nil, pairs, NewCache(4<<20))
	r := rand.New(rand.NewPCG(1, 1))
	b.ReportAllocs()
	pages, size := 0, 0
	for b.Loop() {
		cs := make([]Change, updates)
		for i := range cs {
			cs[i] = Change{numbered(r.IntN(keys)), numbered(r.IntN(keys))}
		}
		changed := must(tree.Apply(cs, 2))
		must(changed.Save(nil, nil, func(at Place, page []byte) error { pages++; size += len(page); return nil }))
	}
	b.ReportMetric(float64(b.N)*updates/b.Elapsed().Seconds(), "updates/s")
	b.ReportMetric(float64(pages)/float64(b.N)/updates, "pages/update")
	b.ReportMetric(float64(size)/float64(b.N)/updates, "bytes/update")
}
