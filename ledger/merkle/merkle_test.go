package merkle

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// plain computes the root by the definition in the package comment, without a tree.
func plain(pairs map[string][]byte) Hash {
	type pair struct{ path, value Hash }
	var all []pair
	for k, v := range pairs {
		all = append(all, pair{sha256.Sum256([]byte(k)), sha256.Sum256(v)})
	}
	var root func(all []pair, depth int) Hash
	root = func(all []pair, depth int) Hash {
		switch len(all) {
		case 0:
			return Hash{}
		case 1:
			return sha256.Sum256(slices.Concat([]byte{0}, all[0].path[:], all[0].value[:]))
		}
		var halves [2][]pair
		for _, p := range all {
			b := p.path[depth/8] >> (7 - depth%8) & 1
			halves[b] = append(halves[b], p)
		}
		l, r := root(halves[0], depth+1), root(halves[1], depth+1)
		return sha256.Sum256(slices.Concat([]byte{1}, l[:], r[:]))
	}
	return root(all, 0)
}

func changesOf(pairs map[string][]byte) []Change {
	var cs []Change
	for k, v := range pairs {
		cs = append(cs, Change{[]byte(k), v})
	}
	return cs
}

func TestTreeAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := make(map[string][]byte)
		var tree *Tree
		type version struct {
			tree  *Tree
			model map[string][]byte
		}
		var versions []version
		for range rapid.IntRange(1, 8).Draw(t, "rounds") {
			var cs []Change
			for range rapid.IntRange(0, 40).Draw(t, "changes") {
				c := Change{Key: []byte{'k', rapid.ByteRange(0, 60).Draw(t, "key")}}
				if !rapid.Bool().Draw(t, "remove") {
					c.Value = bytes.Repeat([]byte{rapid.Byte().Draw(t, "fill")}, rapid.IntRange(0, 3).Draw(t, "length"))
				}
				cs = append(cs, c)
				if c.Value == nil {
					delete(model, string(c.Key))
				} else {
					model[string(c.Key)] = c.Value
				}
			}
			tree = must(tree.Apply(cs, rapid.IntRange(0, 4).Draw(t, "workers")))
			versions = append(versions, version{tree, maps.Clone(model)})
		}
		for _, v := range versions { // older ones are unchanged
			want := plain(v.model)
			if v.tree.Root() != want || v.tree.Len() != len(v.model) {
				t.Fatalf("root %s of %d keys: want %s of %d", v.tree.Root(), v.tree.Len(), want, len(v.model))
			}
			if again := must((*Tree)(nil).Apply(changesOf(v.model), 2)); again.Root() != want {
				t.Fatalf("built at once: root %s, want %s", again.Root(), want)
			}
			for k := range byte(62) {
				key := []byte{'k', k}
				if err := Verify(want, key, v.model[string(key)], must(v.tree.Prove(key))); err != nil {
					t.Fatalf("key %q: %v", key, err)
				}
			}
		}
	})
}

// must returns what a tree in memory, which never fails, returned.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func numbered(i int) []byte { return binary.BigEndian.AppendUint32([]byte("key "), uint32(i)) }

// grow makes a tree of n keys with their numbers as values.
func grow(n, workers int) *Tree {
	cs := make([]Change, n)
	for i := range cs {
		cs[i] = Change{numbered(i), numbered(i)}
	}
	return must(new(Tree).Apply(cs, workers))
}

func TestWorkersAgree(t *testing.T) {
	const n = 5000
	want := grow(n, 1)
	for _, workers := range []int{-1, 0, 2, 3, 8} {
		got := grow(n, workers)
		if got.Root() != want.Root() || got.Len() != n {
			t.Errorf("%d workers: root %s, want %s", workers, got.Root(), want.Root())
		}
		var undo []Change
		for i := range n {
			undo = append(undo, Change{Key: numbered(i)})
		}
		if left := must(got.Apply(undo[:n-1], workers)); left.Len() != 1 ||
			left.Root() != plain(map[string][]byte{string(numbered(n - 1)): numbered(n - 1)}) {
			t.Errorf("%d workers: %d keys left, root %s", workers, left.Len(), left.Root())
		}
		if none := must(got.Apply(undo, workers)); none.Root() != (Hash{}) || none.Len() != 0 {
			t.Errorf("%d workers: %d keys left of none, root %s", workers, none.Len(), none.Root())
		}
	}
}

// TestHistory reaches one set of pairs by many sequences of changes.
func TestHistory(t *testing.T) {
	const n = 2000
	want := grow(n, 1).Root()
	for seed := range uint64(5) {
		r := rand.New(rand.NewPCG(seed, 1))
		order := r.Perm(2 * n) // half of them are removed again
		var tree *Tree
		for len(order) > 0 {
			part := order[:min(len(order), 1+r.IntN(400))]
			order = order[len(part):]
			var cs []Change
			for _, i := range part {
				cs = append(cs, Change{numbered(i), []byte("other")})
			}
			tree = must(tree.Apply(cs, 2))
		}
		var cs []Change
		for i := range 2 * n {
			if i < n {
				cs = append(cs, Change{numbered(i), numbered(i)})
			} else {
				cs = append(cs, Change{Key: numbered(i)})
			}
		}
		r.Shuffle(len(cs), func(i, j int) { cs[i], cs[j] = cs[j], cs[i] })
		tree = must(must(tree.Apply(cs[:n], 1)).Apply(cs[n:], 2))
		if tree.Root() != want || tree.Len() != n {
			t.Errorf("seed %d: root %s of %d keys, want %s of %d", seed, tree.Root(), tree.Len(), want, n)
		}
	}
}

func TestNothingChanges(t *testing.T) {
	tree := grow(100, 1)
	same := must(tree.Apply([]Change{{numbered(5), numbered(5)}, {Key: []byte("absent")}, {numbered(7), []byte("x")},
		{numbered(7), numbered(7)}}, 1))
	if same.root != tree.root || same.Len() != 100 {
		t.Error("changes to what is there already made new nodes")
	}
	if must(tree.Apply(nil, 1)) != tree {
		t.Error("no changes made a new tree")
	}
}

func TestGoldenRoot(t *testing.T) {
	// A few lines of another language gave the same.
	const want = "f84c587bf62be1ee2d5be9f5f37d779bfe5d995520fdc9bce387212f2096b32d"
	if got := grow(1000, 1).Root().String(); got != want {
		t.Errorf("root %s, want %s", got, want)
	}
}

func TestEmptyTree(t *testing.T) {
	for _, tree := range []*Tree{nil, {}, Build([]Change{{Key: []byte("a")}})} {
		if tree.Root() != (Hash{}) || tree.Len() != 0 {
			t.Errorf("root %s of %d keys", tree.Root(), tree.Len())
		}
		if err := Verify(tree.Root(), []byte("a"), nil, must(tree.Prove([]byte("a")))); err != nil {
			t.Error(err)
		}
		if err := Verify(tree.Root(), []byte("a"), []byte{}, must(tree.Prove([]byte("a")))); err == nil {
			t.Error("an empty tree has a key")
		}
	}
}

// BenchmarkApply applies a block's worth of random updates to 200,000 keys.
func BenchmarkApply(b *testing.B) {
	const keys, updates = 200_000, 500
	tree := grow(keys, 2)
	r := rand.New(rand.NewPCG(1, 1))
	b.ReportAllocs()
	for b.Loop() {
		cs := make([]Change, updates)
		for i := range cs {
			cs[i] = Change{numbered(r.IntN(keys)), binary.BigEndian.AppendUint64(nil, r.Uint64())}
		}
		tree = must(tree.Apply(cs, 2))
	}
	b.ReportMetric(float64(b.N)*updates/b.Elapsed().Seconds(), "updates/s")
}

func BenchmarkBuild(b *testing.B) {
	const keys = 100_000
	b.ReportAllocs()
	for b.Loop() {
		grow(keys, 2)
	}
	b.ReportMetric(float64(b.N)*keys/b.Elapsed().Seconds(), "keys/s")
}
