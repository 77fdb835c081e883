package shards

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// TestExpansionReads reads symbols of slivers of several strips again, and proves them.
func TestExpansionReads(t *testing.T) {
	r := newRand(t)
	for _, size := range []int{10, 30_000, 9_000_000} {
		e := encode(t, 100, randomBytes(r, size))
		for _, axis := range []Axis{Primary, Secondary} {
			index := r.IntN(100)
			sliver := e.sliver(axis, index)
			x, kept, err := e.m.Expand(axis, index, bytes.NewReader(sliver), []int{5})
			if err != nil {
				t.Fatal(err)
			}
			targets, got, most := []int{99, 5, 40}, make([][]byte, 3), 0
			err = x.Read(bytes.NewReader(sliver), targets, func(parts [][]byte) error {
				for i, p := range parts {
					got[i], most = append(got[i], p...), max(most, len(p))
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got[1], kept[0]) {
				t.Errorf("%d bytes, %s sliver %d: symbol 5 differs when it is read again", size, axis, index)
			}
			if width := e.p.StripWidth(); most > 2*width {
				t.Errorf("%d bytes: parts of %d bytes of strips of %d", size, most, width)
			}
			for i, target := range targets {
				if err := e.m.VerifySymbol(axis, index, target, Symbol{got[i], x.Proof(target)}); err != nil {
					t.Errorf("%d bytes, %s sliver %d: %v", size, axis, index, err)
				}
			}
			full := errors.New("full")
			if err := x.Read(bytes.NewReader(sliver), targets, func([][]byte) error { return full }); !errors.Is(err, full) {
				t.Errorf("emit failed: %v", err)
			}
			wrong := slices.Clone(sliver)
			wrong[r.IntN(len(wrong))] ^= 1
			if _, _, err := e.m.Expand(axis, index, bytes.NewReader(wrong), nil); !errors.Is(err, ErrSliver) {
				t.Errorf("wrong sliver: %v", err)
			}
		}
	}
}
