package merkle

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestTop: the top of a later tree tells which proofs of an earlier one still hold.
func TestTop(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	for round := range 40 {
		var before, changes []Change
		for i := range 1 + r.IntN(400) {
			before = append(before, Change{Key: fmt.Append(nil, i), Value: fmt.Append(nil, r.IntN(3))})
			if r.IntN(20) == 0 {
				changes = append(changes, Change{Key: fmt.Append(nil, i), Value: fmt.Append(nil, r.IntN(3))})
			}
			if r.IntN(60) == 0 {
				changes = append(changes, Change{Key: fmt.Append(nil, i)}, Change{Key: fmt.Append(nil, 1000+i), Value: []byte{1}})
			}
		}
		old := Build(before)
		tree, err := old.Apply(changes, 1)
		if err != nil {
			t.Fatal(err)
		}
		now := map[string]string{}
		for _, c := range append(before, changes...) {
			if now[string(c.Key)] = string(c.Value); c.Value == nil {
				delete(now, string(c.Key))
			}
		}
		depth := round % (MaxTopDepth + 1)
		top, err := tree.Top(depth)
		if err != nil || len(top) > MaxTopSize {
			t.Fatalf("%d bytes, %v", len(top), err)
		}
		values := map[string][]byte{}
		for key, value := range now {
			values[key] = []byte(value)
		}
		stored, _ := save(tree, nil, values, nil)
		if same, err := stored.Top(depth); err != nil || !bytes.Equal(same, top) {
			t.Fatalf("depth %d: another top when the tree is stored, %v", depth, err)
		}
		subtrees, err := ReadTop(tree.Root(), top, depth)
		if err != nil {
			t.Fatal(err)
		}
		kept := 0
		for _, c := range before {
			subtree := subtreeOf(t, old, c.Key, c.Value, depth)
			if subtrees[subtree] {
				kept++
				if now[string(c.Key)] != string(c.Value) {
					t.Fatalf("depth %d: key %s is taken for unchanged", depth, c.Key)
				}
			}
			if value, ok := now[string(c.Key)]; ok && !subtrees[subtreeOf(t, tree, c.Key, []byte(value), depth)] {
				t.Fatalf("depth %d: the new proof of key %s does not hold", depth, c.Key)
			}
		}
		if len(changes) == 0 && kept < len(before) {
			t.Fatalf("nothing has changed, and %d of %d proofs hold", kept, len(before))
		}
		if _, err := ReadTop(Hash{1}, top, depth); !errors.Is(err, ErrProof) {
			t.Errorf("of another root: %v", err)
		}
		if _, err := ReadTop(tree.Root(), append(top, 0), depth); !errors.Is(err, ErrProof) {
			t.Errorf("with more bytes: %v", err)
		}
		bad := append([]byte(nil), top...)
		bad[r.IntN(len(bad))] ^= 1 << r.IntN(8)
		if _, err := ReadTop(tree.Root(), bad, depth); !errors.Is(err, ErrProof) && len(now) > 0 {
			t.Errorf("with a wrong bit: %v", err)
		}
	}
	deep, err := Build([]Change{{[]byte("a"), []byte("b")}, {[]byte("c"), []byte("d")}}).Top(1)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(deep) {
		if _, err := ReadTop(Hash{}, deep[:n], 1); !errors.Is(err, ErrProof) {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
	if top, err := (*Tree)(nil).Top(3); err != nil || len(top) != 1 {
		t.Errorf("of an empty tree: %x, %v", top, err)
	}
}

func subtreeOf(t *testing.T, tree *Tree, key, value []byte, depth int) Hash {
	t.Helper()
	p, err := tree.Prove(key)
	if err != nil {
		t.Fatal(err)
	}
	return p.Subtree(key, value, depth)
}
