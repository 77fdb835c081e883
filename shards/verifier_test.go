package shards

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// TestVerifierStraddles covers strips that end inside a block of the hash, and symbols that end anywhere in them.
func TestVerifierStraddles(t *testing.T) {
	r := newRand(t)
	p := mustParams(t, 520)
	if p.StripWidth() != 64 {
		t.Fatalf("strips of %d bytes of each symbol: want 64", p.StripWidth())
	}
	cells := p.Rows() * p.Columns()
	for _, z := range []int{62, 64, 66, 126, 128, 130, 152, 192, 194, 254, 256, 258, 320, 384, 450, 514} {
		if testing.Short() && z > 200 {
			continue
		}
		t.Run(fmt.Sprintf("symbols of %d bytes", z), func(t *testing.T) {
			e := encode(t, p.n, randomBytes(r, cells*z-r.IntN(cells)))
			for _, axis := range []Axis{Primary, Secondary} {
				for _, i := range []int{0, r.IntN(p.n), p.n - 1} {
					checkStrips(t, e, axis, i)
					sliver := bytes.Clone(e.sliver(axis, i))
					sliver[r.IntN(len(sliver))] ^= 1 << r.IntN(8)
					if err := e.m.VerifySliver(axis, i, sliver); !errors.Is(err, ErrSliver) {
						t.Errorf("%s sliver %d with a wrong bit: %v: want ErrSliver", axis, i, err)
					}
				}
			}
		})
	}
}

// checkStrips verifies sliver i as a whole and strip by strip, and symbols extracted from it.
func checkStrips(t *testing.T, e *encoded, axis Axis, i int) {
	t.Helper()
	sliver := e.sliver(axis, i)
	if err := e.m.VerifySliver(axis, i, sliver); err != nil {
		t.Error(err)
	}
	v, err := NewVerifier(e.m, axis, i)
	if err != nil {
		t.Fatal(err)
	}
	layout := e.m.Layout(axis)
	for s := range layout.Strips() {
		offset, size := layout.Strip(s)
		strip := bytes.Clone(sliver[offset:][:size])
		if err := v.WriteStrip(strip); err != nil {
			t.Fatal(err)
		}
		clear(strip) // strips may be reused after WriteStrip
	}
	for range 2 { // the second time has the same result
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := v.WriteStrip(nil); !errors.Is(err, ErrSliver) {
		t.Errorf("strip after Close: %v: want ErrSliver", err)
	}
	targets := []int{0, layout.Symbols - 1, layout.Symbols, e.p.n - 1}
	symbols, err := e.m.ExtractSymbols(axis, i, bytes.NewReader(sliver), targets)
	if err != nil {
		t.Fatal(err)
	}
	claims := make([]Claim, len(targets))
	for k := range claims {
		claims[k] = Claim{i, targets[k], symbols[k]}
	}
	if err := e.m.VerifySymbols(axis, claims); err != nil {
		t.Error(err)
	}
	if plain := plainOrder(layout, sliver); !bytes.Equal(symbols[0].Data, plain[:layout.SymbolSize]) {
		t.Errorf("first symbol of %s sliver %d differs", axis, i)
	}
}
