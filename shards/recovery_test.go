package shards

import (
	"bytes"
	"errors"
	"testing"
)

// TestRecoveryParts rebuilds slivers part by part, each part from other crossing slivers. A wrong symbol, among right
// ones, shows in the leaves of the line that was rebuilt.
func TestRecoveryParts(t *testing.T) {
	r := newRand(t)
	for _, n := range []int{4, 10, 100} {
		e := encode(t, n, randomBytes(r, 200_000*n))
		for _, axis := range []Axis{Primary, Secondary} {
			target, layout := r.IntN(n), e.m.Layout(axis)
			for _, wrong := range []bool{false, true} {
				crossing := r.Perm(n)[:layout.Symbols]
				v, err := NewVerifier(e.m, axis, target)
				if err != nil {
					t.Fatal(err)
				}
				var got []byte
				part := int64(2 * layout.Width)
				for at := int64(0); at < layout.SymbolSize; at += part {
					part = min(part, layout.SymbolSize-at)
					if !wrong {
						crossing = r.Perm(n)[:layout.Symbols]
					}
					symbols := make([][]byte, len(crossing))
					for k, c := range crossing {
						err := e.m.ReadSymbols(axis.Other(), c, bytes.NewReader(e.sliver(axis.Other(), c)), []int{target}, at, part,
							func(parts [][]byte) error {
								symbols[k] = append(symbols[k], parts[0]...)
								return nil
							})
						if err != nil {
							t.Fatal(err)
						}
					}
					if wrong && at == 0 {
						symbols[1][0] ^= 1
					}
					rec, err := NewRecovery(e.p, axis, crossing)
					if err != nil {
						t.Fatal(err)
					}
					out := make([]byte, int64(layout.Symbols)*part)
					if err := rec.Part(out, symbols); err != nil {
						t.Fatal(err)
					}
					got = append(got, out...)
					for t0, rest := 0, out; len(rest) > 0; t0++ {
						size := min(layout.Width*layout.Symbols, len(rest))
						if err := v.WriteStrip(rest[:size]); err != nil {
							t.Fatal(err)
						}
						rest = rest[size:]
					}
				}
				leaves, err := v.CloseLeaves()
				if !wrong {
					if err != nil || !bytes.Equal(got, e.sliver(axis, target)) {
						t.Errorf("n = %d, %s: %v", n, axis, err)
					}
					continue
				}
				if !errors.Is(err, ErrSliver) {
					t.Fatalf("n = %d, %s, a wrong symbol: %v", n, axis, err)
				}
				for k, c := range crossing {
					x, _, err := e.m.Expand(axis.Other(), c, bytes.NewReader(e.sliver(axis.Other(), c)), nil)
					if err != nil {
						t.Fatal(err)
					}
					claim := Claim{Index: c, Target: target, Symbol: Symbol{Proof: x.Proof(target)}}
					err = e.m.VerifyLeaves(axis.Other(), []Hash{leaves[c]}, []Claim{claim})
					if (err == nil) == (k == 1) || err != nil && !errors.Is(err, ErrSymbol) {
						t.Errorf("n = %d, %s: symbol %d: %v", n, axis, k, err)
					}
				}
			}
		}
	}
}

// TestZeroRows finds the rows behind the blob's end, unless the writer put something else there.
func TestZeroRows(t *testing.T) {
	r := newRand(t)
	for _, c := range []struct{ n, size, from int }{{10, 1, 1}, {10, 14, 1}, {10, 15, 2}, {10, 57, 3}, {10, 90, 4},
		{100, 1000, 8}, {100, 0, 1}, {100, 1 << 20, 34}} {
		e := encode(t, c.n, randomBytes(r, c.size))
		from, to := e.m.ZeroRows()
		if from != c.from || to != e.p.Rows() {
			t.Errorf("n = %d, %d bytes: rows [%d, %d) are zero, want [%d, %d)", c.n, c.size, from, to, c.from, e.p.Rows())
		}
		for i := from; i < to; i++ {
			if !bytes.Equal(e.sliver(Primary, i), make([]byte, len(e.sliver(Primary, i)))) {
				t.Errorf("n = %d, %d bytes: row %d is not zero", c.n, c.size, i)
			}
		}
		if from < to && c.size > 0 {
			wrong := *e.m
			wrong.Pairs = append([]PairRoots(nil), e.m.Pairs...)
			wrong.Pairs[to-1].Primary[3] ^= 1
			if from, to := wrong.ZeroRows(); from != to {
				t.Errorf("rows [%d, %d) pass for zero, against their roots", from, to)
			}
			for i := from; i < to; i++ {
				wrong.Pairs[i].Primary = e.m.Pairs[0].Primary
			}
			if from, to := wrong.ZeroRows(); from != to {
				t.Errorf("rows [%d, %d) pass for zero, with other roots", from, to)
			}
		}
	}
}
