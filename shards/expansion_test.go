package shards

import (
	"bytes"
	"errors"
	"fmt"
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
			z := e.m.Layout(axis).SymbolSize
			err = e.m.ReadSymbols(axis, index, bytes.NewReader(sliver), targets, 0, z, func(parts [][]byte) error {
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
			if err := e.m.ReadSymbols(axis, index, bytes.NewReader(sliver), targets, 0, z,
				func([][]byte) error { return full }); !errors.Is(err, full) {
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

// TestReadSymbolParts reads parts of symbols, from recovery and source positions, and only the strips that have them.
func TestReadSymbolParts(t *testing.T) {
	for _, n := range []int{10, 100} {
		t.Run(fmt.Sprint(n), func(t *testing.T) { testReadSymbolParts(t, n) })
	}
}

func testReadSymbolParts(t *testing.T, n int) {
	r := newRand(t)
	e := encode(t, n, randomBytes(r, 10_000_000+n*200_000))
	for _, axis := range []Axis{Primary, Secondary} {
		layout, index := e.m.Layout(axis), r.IntN(n)
		w, z := int64(layout.Width), layout.SymbolSize
		if layout.Strips() < 4 {
			t.Fatalf("only %d strips", layout.Strips())
		}
		for _, targets := range [][]int{{0, 3}, {n - 1, 3, 4 * n / 10}} {
			_, whole, err := e.m.Expand(axis, index, bytes.NewReader(e.sliver(axis, index)), targets)
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range [][2]int64{{0, z}, {0, w}, {w, 2 * w}, {2 * w, z - 2*w}, {(z - 1) / w * w, (z-1)%w + 1}} {
				got, read := make([][]byte, len(targets)), int64(0)
				err := e.m.ReadSymbols(axis, index, countingReader{bytes.NewReader(e.sliver(axis, index)), &read}, targets, part[0],
					part[1], func(parts [][]byte) error {
						for i, p := range parts {
							got[i] = append(got[i], p...)
						}
						return nil
					})
				if err != nil {
					t.Fatal(err)
				}
				if want := part[1] * int64(layout.Symbols); read != want {
					t.Errorf("%s, bytes %v of %d: read %d bytes, want %d", axis, part, z, read, want)
				}
				for i := range targets {
					if !bytes.Equal(got[i], whole[i][part[0]:][:part[1]]) {
						t.Errorf("%s, bytes %v of %d: symbol %d is wrong", axis, part, z, targets[i])
					}
				}
			}
			for _, part := range [][2]int64{{1, w}, {0, w - 2}, {0, z + w}, {z, w}, {0, 0}, {-w, w}} {
				if err := e.m.ReadSymbols(axis, index, bytes.NewReader(e.sliver(axis, index)), targets, part[0],
					part[1], nil); err == nil {
					t.Errorf("read bytes %v of symbols of %d", part, z)
				}
			}
		}
	}
}

type countingReader struct {
	*bytes.Reader
	read *int64
}

func (c countingReader) ReadAt(p []byte, off int64) (int, error) {
	*c.read += int64(len(p))
	return c.Reader.ReadAt(p, off)
}
