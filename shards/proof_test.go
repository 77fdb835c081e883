package shards_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"testing"

	"walrus/internal/wrongtest"
	"walrus/shards"
)

func mustParams(t testing.TB, n int) shards.Params {
	t.Helper()
	p, err := shards.NewParams(n)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// eachKind runs fn for every kind of wrong encoding, in networks of even and odd numbers of shards.
func eachKind(t *testing.T, fn func(t *testing.T, e *wrongtest.Encoding)) {
	for _, n := range []int{4, 7, 10, 16} {
		p := mustParams(t, n)
		kinds := wrongtest.Kinds(t, p, wrongtest.Content(3000, 1))
		for _, e := range append(kinds, wrongtest.AtShards(t, p, wrongtest.Content(3000, 1), []int{0, n - 1})) {
			t.Run(fmt.Sprintf("n=%d/%s", n, e.Name), func(t *testing.T) { fn(t, e) })
		}
	}
}

// TestCellProof: a proof exists for exactly the cells about which the lines disagree.
func TestCellProof(t *testing.T) {
	eachKind(t, func(t *testing.T, e *wrongtest.Encoding) {
		for row := range e.Params.Shards() {
			for column := range e.Params.Shards() {
				proof, err := e.CellProof(row, column)
				if !e.Differs(row, column) {
					if !errors.Is(err, shards.ErrProof) {
						t.Fatalf("cell (%d, %d) is the same in both lines: %v, want ErrProof", row, column, err)
					}
					continue
				}
				if err != nil {
					t.Fatalf("cell (%d, %d): %v", row, column, err)
				}
				b := proof.Marshal()
				if len(b) != e.Params.CellProofSize() || len(b) > shards.MaxCellProofSize {
					t.Fatalf("%d bytes, want %d", len(b), e.Params.CellProofSize())
				}
				back, err := shards.UnmarshalCellProof(e.Params, b)
				if err != nil || back.Verify(e.Params, e.ID) != nil || !bytes.Equal(back.Marshal(), b) {
					t.Fatalf("cell (%d, %d): the proof does not survive its binary form: %v", row, column, err)
				}
			}
		}
	})
}

// TestCellProofRefuses changes every byte of a proof.
func TestCellProofRefuses(t *testing.T) {
	p := mustParams(t, 10)
	e := wrongtest.Kinds(t, p, wrongtest.Content(3000, 1))[0]
	b := e.Proof(t).Marshal()
	for at := range b {
		wrong := bytes.Clone(b)
		wrong[at] ^= 1
		c, err := shards.UnmarshalCellProof(p, wrong)
		if err == nil {
			err = c.Verify(p, e.ID)
		}
		if !errors.Is(err, shards.ErrProof) {
			t.Fatalf("byte %d changed: %v, want ErrProof", at, err)
		}
	}
	other := e.ID
	other[0] ^= 1
	if err := e.Proof(t).Verify(p, other); !errors.Is(err, shards.ErrProof) {
		t.Errorf("for another blob: %v, want ErrProof", err)
	}
	for _, size := range []int{0, 1, len(b) - 1, len(b) + 1} {
		if _, err := shards.UnmarshalCellProof(p, append(bytes.Clone(b), 0)[:size]); !errors.Is(err, shards.ErrProof) {
			t.Errorf("%d bytes: %v, want ErrProof", size, err)
		}
	}
	if _, err := shards.UnmarshalCellProof(mustParams(t, 100), b); !errors.Is(err, shards.ErrProof) {
		t.Errorf("in a network of 100 shards: %v, want ErrProof", err)
	}
}

// TestCellProofAllocatesNothing: what a stranger sends is judged without memory.
func TestCellProofAllocatesNothing(t *testing.T) {
	p := mustParams(t, 10)
	e := wrongtest.Kinds(t, p, wrongtest.Content(3000, 1))[0]
	proof := e.Proof(t)
	if n := testing.AllocsPerRun(100, func() {
		if err := proof.Verify(p, e.ID); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestNoProofOfRightEncoding: a right encoding has neither kind of proof.
func TestNoProofOfRightEncoding(t *testing.T) {
	p := mustParams(t, 7)
	e := wrongtest.Mix(t, "right", p, wrongtest.Content(3000, 1), wrongtest.Content(3000, 2),
		func(shards.Axis, int) bool { return false })
	for i := range p.Shards() {
		for j := range p.Shards() {
			if _, err := e.CellProof(i, j); !errors.Is(err, shards.ErrProof) {
				t.Fatalf("cell (%d, %d): %v, want ErrProof", i, j, err)
			}
		}
		for _, axis := range []shards.Axis{shards.Primary, shards.Secondary} {
			if _, _, err := shards.NewLineProof(e.Meta, axis, i, e.Symbols(axis, i)); !errors.Is(err, shards.ErrProof) {
				t.Fatalf("%s sliver %d: %v, want ErrProof", axis, i, err)
			}
		}
	}
}

// contradicted lists the lines of which the crossing lines give another.
func contradicted(e *wrongtest.Encoding) (list []*shards.LineProof, slivers [][]byte, errs []error) {
	for _, axis := range []shards.Axis{shards.Primary, shards.Secondary} {
		for i := range e.Params.Shards() {
			proof, sliver, err := shards.NewLineProof(e.Meta, axis, i, e.Symbols(axis, i))
			if err != nil {
				errs = append(errs, err)
				continue
			}
			list, slivers = append(list, proof), append(slivers, sliver)
		}
	}
	return list, slivers, errs
}

// TestLineProof: every wrong encoding has line proofs, which survive their binary form, and those who give none say so.
func TestLineProof(t *testing.T) {
	eachKind(t, func(t *testing.T, e *wrongtest.Encoding) {
		proofs, slivers, errs := contradicted(e)
		if len(proofs) == 0 {
			t.Fatalf("no line is contradicted: %v", errs)
		}
		for _, err := range errs {
			if !errors.Is(err, shards.ErrProof) {
				t.Fatal(err)
			}
		}
		for i, proof := range proofs {
			b := proof.Marshal()
			if len(b) != e.Params.LineProofSize(proof.Axis) {
				t.Fatalf("%d bytes, want %d", len(b), e.Params.LineProofSize(proof.Axis))
			}
			back, err := shards.UnmarshalLineProof(e.Params, b)
			if err != nil {
				t.Fatal(err)
			}
			if err := back.Verify(e.Meta, bytes.NewReader(slivers[i])); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestLineProofStrips: a proof of long symbols is verified strip by strip, in memory for one.
func TestLineProofStrips(t *testing.T) {
	p := mustParams(t, 4)
	blob := wrongtest.Content(p.Rows()*p.Columns()*(6*p.StripWidth()+70), 1)
	one := func(axis shards.Axis, index int) bool { return axis == shards.Primary && index == 0 }
	e := wrongtest.Mix(t, "one row", p, blob, wrongtest.Content(len(blob), 2), one)
	layout := e.Meta.Layout(shards.Primary)
	if layout.Strips() != 7 {
		t.Fatalf("%d strips", layout.Strips())
	}
	proof, sliver, err := shards.NewLineProof(e.Meta, shards.Primary, 0, e.Symbols(shards.Primary, 0))
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := proof.Verify(e.Meta, bytes.NewReader(sliver)); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	_, strip := layout.Strip(0)
	if used := after.TotalAlloc - before.TotalAlloc; used > 2*uint64(strip) {
		t.Errorf("%d bytes of memory for a sliver of %d in strips of %d", used, len(sliver), strip)
	}
	if err := proof.Verify(e.Meta, bytes.NewReader(e.Sliver(shards.Primary, 0))); !errors.Is(err, shards.ErrProof) {
		t.Errorf("the sliver of the metadata: %v, want ErrProof", err)
	}
}

// TestLineProofRefuses changes each part of a proof.
func TestLineProofRefuses(t *testing.T) {
	p := mustParams(t, 10)
	e := wrongtest.Kinds(t, p, wrongtest.Content(3000, 1))[0]
	proofs, slivers, _ := contradicted(e)
	b, sliver := proofs[0].Marshal(), slivers[0]
	verify := func(b, sliver []byte) error {
		l, err := shards.UnmarshalLineProof(p, b)
		if err != nil {
			return err
		}
		return l.Verify(e.Meta, bytes.NewReader(sliver))
	}
	if err := verify(b, sliver); err != nil {
		t.Fatal(err)
	}
	for at := range b {
		wrong := bytes.Clone(b)
		wrong[at] ^= 1
		if err := verify(wrong, sliver); !errors.Is(err, shards.ErrProof) {
			t.Fatalf("byte %d changed: %v, want ErrProof", at, err)
		}
	}
	for at := range sliver {
		wrong := bytes.Clone(sliver)
		wrong[at] ^= 1
		if err := verify(b, wrong); !errors.Is(err, shards.ErrProof) {
			t.Fatalf("byte %d of the sliver changed: %v, want ErrProof", at, err)
		}
	}
	if err := verify(b, sliver[1:]); !errors.Is(err, shards.ErrProof) {
		t.Errorf("short sliver: %v, want ErrProof", err)
	}
	right := e.Sliver(proofs[0].Axis, proofs[0].Index)
	if err := verify(b, right); !errors.Is(err, shards.ErrProof) {
		t.Errorf("the line that the metadata has: %v, want ErrProof", err)
	}
	l := *proofs[0]
	for name, change := range map[string]func(*shards.LineProof){
		"one line less":        func(l *shards.LineProof) { l.Crossing = l.Crossing[1:] },
		"a line twice":         func(l *shards.LineProof) { l.Crossing[1] = l.Crossing[0] },
		"a line that is none":  func(l *shards.LineProof) { l.Crossing[len(l.Crossing)-1].Line = 10 },
		"a path that is short": func(l *shards.LineProof) { l.Crossing[0].Path = l.Crossing[0].Path[1:] },
		"no axis":              func(l *shards.LineProof) { l.Axis = 2 },
		"no index":             func(l *shards.LineProof) { l.Index = -1 },
	} {
		wrong := l
		wrong.Crossing = slices.Clone(l.Crossing)
		change(&wrong)
		if err := wrong.Verify(e.Meta, bytes.NewReader(sliver)); !errors.Is(err, shards.ErrProof) {
			t.Errorf("%s: %v, want ErrProof", name, err)
		}
	}
	if err := l.Verify(e.Meta, io.MultiReader(bytes.NewReader(sliver[:5]), brokenReader{})); !errors.Is(err, errBroken) {
		t.Errorf("a reader that fails: %v, want its error", err)
	}
}

var errBroken = errors.New("broken")

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }

func FuzzCellProof(f *testing.F) {
	p := mustParams(f, 7)
	e := wrongtest.Kinds(f, p, wrongtest.Content(1000, 1))[0]
	good := e.Proof(f).Marshal()
	f.Add(good)
	f.Add(good[1:])
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := shards.UnmarshalCellProof(p, b)
		if err != nil {
			return
		}
		if !bytes.Equal(c.Marshal(), b) {
			t.Fatal("a second form of one proof")
		}
		if c.Verify(p, e.ID) == nil && !e.Differs(c.Row, c.Column) {
			t.Fatalf("a proof about cell (%d, %d), which is right", c.Row, c.Column)
		}
	})
}

func FuzzLineProof(f *testing.F) {
	p := mustParams(f, 7)
	e := wrongtest.Kinds(f, p, wrongtest.Content(1000, 1))[0]
	proofs, slivers, _ := contradicted(e)
	f.Add(proofs[0].Marshal(), slivers[0])
	f.Fuzz(func(t *testing.T, b, sliver []byte) {
		l, err := shards.UnmarshalLineProof(p, b)
		if err != nil {
			return
		}
		if !bytes.Equal(l.Marshal(), b) {
			t.Fatal("a second form of one proof")
		}
		_ = l.Verify(e.Meta, bytes.NewReader(sliver))
	})
}

// TestCellProofSize pins the sizes that the documentation states.
func TestCellProofSize(t *testing.T) {
	for n, want := range map[int]int{4: 397, 10: 653, 100: 1037, 1000: 1421, shards.MaxShards: shards.MaxCellProofSize} {
		if got := mustParams(t, n).CellProofSize(); got != want {
			t.Errorf("%d shards: %d bytes, want %d", n, got, want)
		}
	}
}

func BenchmarkCellProofVerify(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			p := mustParams(b, n)
			e := wrongtest.Mix(b, "all columns", p, []byte("one"), []byte("two"),
				func(a shards.Axis, _ int) bool { return a == shards.Secondary })
			proof, id := e.Proof(b), e.ID
			for b.Loop() {
				if err := proof.Verify(p, id); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(p.CellProofSize()), "bytes/proof")
		})
	}
}
