package merkle

import (
	"bytes"
	"errors"
	"testing"
)

func TestProofs(t *testing.T) {
	tree := grow(500, 1)
	root := tree.Root()
	for i := range 700 {
		key, value := numbered(i), numbered(i)
		if i >= 500 {
			value = nil
		}
		p, err := UnmarshalProof(must(tree.Prove(key)).Marshal())
		if err != nil {
			t.Fatal(err)
		}
		if err := Verify(root, key, value, p); err != nil {
			t.Fatalf("key %d: %v", i, err)
		}
		for _, wrong := range [][]byte{nil, {}, []byte("wrong"), numbered(i)} {
			if bytes.Equal(wrong, value) && (wrong == nil) == (value == nil) {
				continue
			}
			if err := Verify(root, key, wrong, p); !errors.Is(err, ErrProof) {
				t.Fatalf("key %d with value %q: %v, want ErrProof", i, wrong, err)
			}
		}
		if err := Verify(root, numbered(i+1), value, p); err == nil && i != 500 && value != nil {
			t.Fatalf("the proof of key %d holds for the next", i)
		}
		newer := must(tree.Apply([]Change{{[]byte("new"), []byte("new")}}, 1))
		if err := Verify(newer.Root(), key, value, p); !errors.Is(err, ErrProof) {
			t.Fatalf("key %d: proof of an old root: %v, want ErrProof", i, err)
		}
	}
}

// TestForgedProofs flips every bit of proofs of presence, of absence by emptiness and of absence by another leaf.
func TestForgedProofs(t *testing.T) {
	tree := grow(60, 1)
	seen := make(map[string]bool)
	for i := range 200 {
		key, value := numbered(i), numbered(i)
		if i >= 60 {
			value = nil
		}
		p := must(tree.Prove(key))
		kind := "present"
		if value == nil {
			kind = map[bool]string{true: "other", false: "empty"}[p.other]
		}
		if seen[kind] {
			continue
		}
		seen[kind] = true
		b := p.Marshal()
		for at := range 8 * len(b) {
			forged := bytes.Clone(b)
			forged[at/8] ^= 1 << (at % 8)
			q, err := UnmarshalProof(forged)
			if err == nil {
				err = Verify(tree.Root(), key, value, q)
			}
			if !errors.Is(err, ErrProof) && !errors.Is(err, ErrFormat) {
				t.Fatalf("%s: bit %d of %d flipped: %v", kind, at, 8*len(b), err)
			}
		}
	}
	if len(seen) != 3 {
		t.Fatalf("kinds of proof tried: %v, want 3", seen)
	}
}

// TestForgedAbsence tries to prove that a key is absent with parts of true proofs.
func TestForgedAbsence(t *testing.T) {
	tree := grow(60, 1)
	root, key := tree.Root(), numbered(1)
	own := must(tree.Prove(key))
	for i := range 300 {
		other := must(tree.Prove(numbered(i)))
		for name, p := range map[string]Proof{
			"another's proof":        other,
			"own path, another leaf": {siblings: own.siblings, other: other.other, path: other.path, value: other.value},
			"own leaf as the other": {siblings: own.siblings, other: true, path: hashChanges([]Change{{key, key}}, 1)[0].path,
				value: hashChanges([]Change{{key, key}}, 1)[0].value},
			"cut short":               {siblings: own.siblings[:len(own.siblings)-1]},
			"inner node as a sibling": {siblings: append(own.siblings[:len(own.siblings):len(own.siblings)], root)},
		} {
			if err := Verify(root, key, nil, p); !errors.Is(err, ErrProof) {
				t.Fatalf("%s (%d): %v, want ErrProof", name, i, err)
			}
		}
	}
	p := Proof{siblings: make([]Hash, maxDepth+1)}
	if err := Verify(root, key, nil, p); !errors.Is(err, ErrProof) {
		t.Errorf("too many levels: %v, want ErrProof", err)
	}
}

func TestProofFormat(t *testing.T) {
	b := must(grow(60, 1).Prove(numbered(1))).Marshal()
	for n := range len(b) {
		if _, err := UnmarshalProof(b[:n]); !errors.Is(err, ErrFormat) {
			t.Errorf("%d of %d bytes: %v, want ErrFormat", n, len(b), err)
		}
	}
	for _, bad := range [][]byte{append(bytes.Clone(b), 0), {1, 1, 0}, {255, 255, 0}, {0, 0, 2}, {0, 0, 1},
		make([]byte, MaxProofSize+1)} {
		if _, err := UnmarshalProof(bad); !errors.Is(err, ErrFormat) {
			t.Errorf("% x…: %v, want ErrFormat", bad[:3], err)
		}
	}
	greatest := append([]byte{0, 1}, make([]byte, MaxProofSize-2)...)
	greatest[MaxProofSize-65] = 1
	if p, err := UnmarshalProof(greatest); err != nil || !bytes.Equal(p.Marshal(), greatest) {
		t.Errorf("greatest proof: %v", err)
	}
}

func FuzzUnmarshalProof(f *testing.F) {
	tree := grow(60, 1)
	for _, i := range []int{1, 100, 101, 102} {
		f.Add(must(tree.Prove(numbered(i))).Marshal())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := UnmarshalProof(b)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(p.Marshal(), b) {
			t.Fatalf("% x has another form: % x", b, p.Marshal())
		}
		if Verify(tree.Root(), numbered(1), []byte("forged"), p) == nil || Verify(tree.Root(), numbered(1), nil, p) == nil {
			t.Fatal("a forged proof holds")
		}
	})
}

func BenchmarkProve(b *testing.B) {
	tree := grow(200_000, 2)
	b.ReportMetric(float64(len(must(tree.Prove(numbered(1))).Marshal())), "bytes")
	for i := 0; b.Loop(); i++ {
		must(tree.Prove(numbered(i)))
	}
}

func BenchmarkVerify(b *testing.B) {
	tree := grow(200_000, 2)
	root, p := tree.Root(), must(tree.Prove(numbered(1)))
	for b.Loop() {
		if err := Verify(root, numbered(1), numbered(1), p); err != nil {
			b.Fatal(err)
		}
	}
}
