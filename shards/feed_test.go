package shards

import (
	"bytes"
	"io"
	"testing"
)

// TestFeedGivesItsSlabBack takes parts, keeps some beyond the next take, and counts the calls of done.
func TestFeedGivesItsSlabBack(t *testing.T) {
	const count, size = 4, 64
	var back [][]byte
	f := newFeed(nil, count, size, func(slab []byte) { back = append(back, slab) })
	first := f.take(count)
	for k := range count - 1 {
		if &first[k][:size+1][size] != &first[k+1][0] {
			t.Errorf("part %d is not beside the next one", k)
		}
	}
	f.put(first[2])
	f.put(first[0])
	second := f.take(count) // two of them newly made
	seen := map[*byte]bool{&first[1][0]: true, &first[3][0]: true}
	for _, part := range second {
		if len(part) != size || seen[&part[0]] {
			t.Errorf("a part of %d bytes, or one in use", len(part))
		}
		seen[&part[0]] = true
	}
	if &second[0][0] != &first[0][0] || &second[1][0] != &first[2][0] {
		t.Error("parts of the slab do not come in its order")
	}
	f.put(first[1])
	f.close()
	for _, part := range second {
		if len(back) > 0 {
			t.Fatal("the slab is back before its parts")
		}
		f.put(part)
	}
	if len(back) > 0 {
		t.Fatal("the slab is back before its parts")
	}
	f.put(first[3])
	if len(back) != 1 || len(back[0]) != count*size {
		t.Errorf("%d slabs back", len(back))
	}
}

// TestKeptStripsStay keeps every strip until the end of the encoding, from a blob read in several windows, and
// compares them with the slivers of Encode. Then it encodes again in the released memory.
func TestKeptStripsStay(t *testing.T) {
	p := mustParams(t, 4)
	blob := randomBytes(newRand(t), 6*3*p.StripWidth()-5)
	_, pairs, err := Encode(p, blob)
	if err != nil {
		t.Fatal(err)
	}
	for _, inMemory := range []bool{false, true} {
		e := newTestEncoder(t, p, blob, inMemory)
		for range 2 {
			if _, err := e.Metadata(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			var kept []*Strip
			if err := e.Strips(t.Context(), func(s *Strip) error { kept = append(kept, s); return nil }); err != nil {
				t.Fatal(err)
			}
			layout := p.Layout(Primary, uint64(len(blob)))
			for i, pair := range pairs {
				for _, s := range kept {
					offset, size := layout.Strip(s.Index())
					if string(s.Sliver(Primary, i)) != string(pair.Primary[offset:][:size]) {
						t.Fatalf("primary sliver %d, strip %d differs", i, s.Index())
					}
				}
			}
			for _, s := range kept {
				s.Release()
			}
		}
	}
}

func newTestEncoder(t *testing.T, p Params, blob []byte, inMemory bool) *Encoder {
	t.Helper()
	var r io.ReaderAt = bytes.NewReader(blob)
	if inMemory {
		r = Bytes(blob)
	}
	e, err := NewEncoder(p, r, uint64(len(blob)))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestStripsThatAreReadTogether encodes a blob of which several strips share a slot, and verifies slivers of each
// kind against the roots of pass one.
func TestStripsThatAreReadTogether(t *testing.T) {
	if testing.Short() {
		t.Skip("a large blob")
	}
	p := mustParams(t, 1000)
	blob := randomBytes(newRand(t), 46_000_001) // symbols of 208 bytes
	for _, inMemory := range []bool{false, true} {
		e := newTestEncoder(t, p, blob, inMemory)
		m, err := e.Metadata(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		slivers := [2]map[int][]byte{{}, {}}
		for _, axis := range []Axis{Primary, Secondary} {
			own := p.SourceSymbols(1 - axis)
			for _, i := range []int{0, own / 2, own - 1, own, p.n - 1} {
				slivers[axis][i] = nil
			}
		}
		if err := e.Strips(t.Context(), func(s *Strip) error {
			defer s.Release()
			for axis, some := range slivers {
				for i := range some {
					some[i] = append(some[i], s.Sliver(Axis(axis), i)...)
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for axis, some := range slivers {
			for i, sliver := range some {
				if err := m.VerifySliver(Axis(axis), i, sliver); err != nil {
					t.Errorf("in memory: %v: %v sliver %d: %v", inMemory, Axis(axis), i, err)
				}
			}
		}
	}
}
