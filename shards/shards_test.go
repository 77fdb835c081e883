package shards

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// encoded is a blob with its whole encoding.
type encoded struct {
	p     Params
	blob  []byte
	m     *Metadata
	pairs []Pair
}

func encode(t testing.TB, n int, blob []byte) *encoded {
	t.Helper()
	p := mustParams(t, n)
	m, pairs, err := Encode(p, blob)
	if err != nil {
		t.Fatal(err)
	}
	return &encoded{p, blob, m, pairs}
}

func (e *encoded) sliver(axis Axis, index int) []byte { return sliverOf(e.pairs, e.p, axis, index) }

func (e *encoded) some(axis Axis, indices []int) map[int][]byte {
	slivers := make(map[int][]byte)
	for _, i := range indices {
		slivers[i] = e.sliver(axis, i)
	}
	return slivers
}

// lengths returns lengths of blobs of one and of several strips, with and without a tail.
func lengths(p Params) []int {
	cells, w := p.Rows()*p.Columns(), p.StripWidth()
	all := []int{0, 1, cells * 2, cells*64 + 1, cells*130 - 1}
	if big := cells * (w + 70); big < 4<<20 {
		all = append(all, big, cells*2*w)
	}
	return all
}

func TestDecodeEverySubsetOfSlivers(t *testing.T) {
	r := newRand(t)
	for n := 4; n <= 8; n++ {
		e := encode(t, n, randomBytes(r, 1+r.IntN(5000)))
		for _, axis := range []Axis{Primary, Secondary} {
			need := e.p.SourceSymbols(axis.Other())
			for mask := range 1 << n {
				var indices []int
				for i := range n {
					if mask>>i&1 == 1 {
						indices = append(indices, i)
					}
				}
				got, err := e.m.Decode(axis, e.some(axis, indices))
				switch {
				case len(indices) < need && !errors.Is(err, ErrNotEnough):
					t.Errorf("n=%d %s %v: %v: want ErrNotEnough", n, axis, indices, err)
				case len(indices) >= need && (err != nil || !bytes.Equal(got, e.blob)):
					t.Errorf("n=%d %s %v: wrong blob, %v", n, axis, indices, err)
				}
			}
		}
	}
}

func TestDecodeAndRebuildRandom(t *testing.T) {
	r := newRand(t)
	for _, n := range []int{4, 5, 9, 10, 31, 100, 256, 301} {
		p := mustParams(t, n)
		for _, length := range lengths(p) {
			if n > 100 && length > 1<<20 {
				continue
			}
			e := encode(t, n, randomBytes(r, length))
			t.Run(fmt.Sprintf("n=%d/length=%d", n, length), func(t *testing.T) {
				for _, axis := range []Axis{Primary, Secondary} {
					got, err := e.m.Decode(axis, e.some(axis, r.Perm(n)[:p.SourceSymbols(axis.Other())]))
					if err != nil || !bytes.Equal(got, e.blob) {
						t.Errorf("decode %s: wrong blob, %v", axis, err)
					}
					e.rebuild(t, r, axis, r.IntN(n))
				}
			})
		}
	}
}

// rebuild rebuilds one sliver from symbols extracted from random crossing slivers.
func (e *encoded) rebuild(t *testing.T, r *rand.Rand, axis Axis, index int) {
	t.Helper()
	symbols := make(map[int][]byte)
	for _, from := range r.Perm(e.p.n)[:e.p.SourceSymbols(axis)] {
		got, err := e.m.ExtractSymbols(axis.Other(), from, bytes.NewReader(e.sliver(axis.Other(), from)), []int{index})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.m.VerifySymbol(axis.Other(), from, index, got[0]); err != nil {
			t.Fatal(err)
		}
		symbols[from] = got[0].Data
	}
	sliver, err := e.m.Rebuild(axis, index, symbols)
	if err != nil || !bytes.Equal(sliver, e.sliver(axis, index)) {
		t.Errorf("rebuild %s sliver %d: wrong bytes, %v", axis, index, err)
	}
	for from := range symbols {
		symbols[from] = bytes.Clone(symbols[from])
		symbols[from][r.IntN(len(symbols[from]))] ^= 1 << r.IntN(8)
		if _, err := e.m.Rebuild(axis, index, symbols); !errors.Is(err, ErrInconsistent) {
			t.Errorf("rebuild %s sliver %d from a wrong symbol: %v: want ErrInconsistent", axis, index, err)
		}
		delete(symbols, from)
		break
	}
	if _, err := e.m.Rebuild(axis, index, symbols); !errors.Is(err, ErrNotEnough) {
		t.Errorf("rebuild %s sliver %d from too few: %v: want ErrNotEnough", axis, index, err)
	}
}

func TestEverySliverVerifies(t *testing.T) {
	r := newRand(t)
	for _, n := range []int{4, 5, 7, 10, 33, 100} {
		p := mustParams(t, n)
		for _, length := range lengths(p) {
			e := encode(t, n, randomBytes(r, length))
			for _, axis := range []Axis{Primary, Secondary} {
				for i := range n {
					sliver := e.sliver(axis, i)
					if err := e.m.VerifySliver(axis, i, sliver); err != nil {
						t.Fatalf("n=%d length=%d: %v", n, length, err)
					}
					bad := bytes.Clone(sliver)
					bad[r.IntN(len(bad))] ^= 1 << r.IntN(8)
					if err := e.m.VerifySliver(axis, i, bad); !errors.Is(err, ErrSliver) {
						t.Fatalf("n=%d length=%d %s sliver %d with a flipped bit: %v", n, length, axis, i, err)
					}
					if length > 1<<16 {
						break
					}
				}
			}
		}
	}
}

func TestEveryFlippedBitIsCaught(t *testing.T) {
	r := newRand(t)
	e := encode(t, 7, randomBytes(r, 15*10))
	flips := func(b []byte, check func(bit int)) {
		for bit := range 8 * len(b) {
			b[bit/8] ^= 1 << (bit % 8)
			check(bit)
			b[bit/8] ^= 1 << (bit % 8)
		}
	}
	for _, axis := range []Axis{Primary, Secondary} {
		for i := range 7 {
			sliver := e.sliver(axis, i)
			flips(sliver, func(bit int) {
				if err := e.m.VerifySliver(axis, i, sliver); !errors.Is(err, ErrSliver) {
					t.Errorf("%s sliver %d bit %d: %v: want ErrSliver", axis, i, bit, err)
				}
			})
			symbols, err := e.m.ExtractSymbols(axis, i, bytes.NewReader(sliver), []int{0, 6, 3})
			if err != nil {
				t.Fatal(err)
			}
			for k, target := range []int{0, 6, 3} {
				sym := symbols[k]
				check := func(bit int) {
					if err := e.m.VerifySymbol(axis, i, target, sym); !errors.Is(err, ErrSymbol) {
						t.Errorf("%s sliver %d symbol %d bit %d: %v: want ErrSymbol", axis, i, target, bit, err)
					}
				}
				flips(sym.Data, check)
				for up := range sym.Proof {
					flips(sym.Proof[up][:], check)
				}
			}
		}
	}
	metadata, id := e.m.Marshal(), e.m.ID()
	flips(metadata, func(bit int) {
		if _, err := UnmarshalMetadata(e.p, id, metadata); !errors.Is(err, ErrMetadata) {
			t.Errorf("metadata bit %d: %v: want ErrMetadata", bit, err)
		}
	})
}

// TestVerifySymbols changes one symbol among many of several slivers.
func TestVerifySymbols(t *testing.T) {
	r := newRand(t)
	e := encode(t, 40, randomBytes(r, 50_000))
	for _, axis := range []Axis{Primary, Secondary} {
		var claims []Claim
		for _, index := range []int{0, 5, 39} {
			targets := r.Perm(40)
			symbols, err := e.m.ExtractSymbols(axis, index, bytes.NewReader(e.sliver(axis, index)), targets)
			if err != nil {
				t.Fatal(err)
			}
			for k, target := range targets {
				claims = append(claims, Claim{index, target, symbols[k]})
			}
		}
		if err := e.m.VerifySymbols(axis, nil); err != nil {
			t.Errorf("no symbols: %v", err)
		}
		for count := 1; count <= len(claims); count += 1 + r.IntN(20) {
			if err := e.m.VerifySymbols(axis, claims[:count]); err != nil {
				t.Errorf("%d symbols: %v", count, err)
			}
			i := r.IntN(count)
			good := claims[i]
			for name, wrong := range map[string]func(c *Claim){
				"data":     func(c *Claim) { c.Data = randomBytes(r, len(c.Data)) },
				"proof":    func(c *Claim) { c.Proof = append([]Hash{{}}, c.Proof[1:]...) },
				"target":   func(c *Claim) { c.Target ^= 1 },
				"index":    func(c *Claim) { c.Index++ },
				"beyond":   func(c *Claim) { c.Target = 40 },
				"negative": func(c *Claim) { c.Target = -1 },
				"size":     func(c *Claim) { c.Data = c.Data[1:] },
				"depth":    func(c *Claim) { c.Proof = c.Proof[1:] },
			} {
				wrong(&claims[i])
				err := e.m.VerifySymbols(axis, claims[:count])
				if claims[i].Index < 40 && !errors.Is(err, ErrSymbol) || err == nil {
					t.Errorf("%s of symbol %d of %d: %v: want ErrSymbol", name, i, count, err)
				}
				claims[i] = good
			}
		}
	}
}

func TestVerifierRefusesWrongSizes(t *testing.T) {
	e := encode(t, 4, randomBytes(newRand(t), 6*2*mustParams(t, 4).StripWidth()))
	sliver := e.sliver(Primary, 1)
	_, first := e.m.Layout(Primary).Strip(0)
	for name, strips := range map[string][][]byte{
		"none":      {},
		"too few":   {sliver[:first]},
		"too short": {sliver[:first-1]},
		"too long":  {sliver[:first+1]},
		"too many":  {sliver[:first], sliver[first:], sliver[:first]},
		"swapped":   {sliver[first:], sliver[:first]},
	} {
		v, err := NewVerifier(e.m, Primary, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, strip := range strips {
			if err = v.WriteStrip(strip); err != nil {
				break
			}
		}
		if err == nil {
			err = v.Close()
		}
		if !errors.Is(err, ErrSliver) {
			t.Errorf("%s: %v: want ErrSliver", name, err)
		}
	}
}

func TestHostileArguments(t *testing.T) {
	e := encode(t, 7, []byte("walrus"))
	sym, err := e.m.ExtractSymbols(Primary, 0, bytes.NewReader(e.sliver(Primary, 0)), []int{1})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*Metadata{e.m, {}, {Length: 1 << 63, Pairs: make([]PairRoots, 7)}} {
		for _, axis := range []Axis{Primary, Secondary, 2, 255} {
			for _, index := range []int{-1, 7, math.MaxInt} {
				if err := m.VerifySliver(axis, index, nil); err == nil {
					t.Errorf("%v %d: VerifySliver: no error", axis, index)
				}
				if err := m.VerifySymbol(axis, index, 1, sym[0]); err == nil {
					t.Errorf("%v %d: VerifySymbol: no error", axis, index)
				}
				if _, err := m.Rebuild(axis, index, nil); err == nil {
					t.Errorf("%v %d: Rebuild: no error", axis, index)
				}
				if _, err := m.ExtractSymbols(axis, index, bytes.NewReader(nil), []int{0}); err == nil {
					t.Errorf("%v %d: ExtractSymbols: no error", axis, index)
				}
			}
			if _, err := m.Decode(axis, map[int][]byte{-1: nil, 1: nil, 2: nil, 3: nil, 7: nil}); err == nil {
				t.Errorf("%v: Decode: no error", axis)
			}
		}
	}
	for _, target := range []int{-1, 7, math.MaxInt} {
		if err := e.m.VerifySymbol(Primary, 0, target, sym[0]); !errors.Is(err, ErrSymbol) {
			t.Errorf("VerifySymbol at %d: %v", target, err)
		}
		if _, err := e.m.ExtractSymbols(Primary, 0, bytes.NewReader(e.sliver(Primary, 0)), []int{target}); err == nil {
			t.Errorf("ExtractSymbols at %d: no error", target)
		}
	}
	if _, err := NewDecoder(e.p, 2, []int{0, 1, 2}); err == nil {
		t.Error("NewDecoder on axis 2: no error")
	}
	if _, err := NewEncoder(e.p, bytes.NewReader(nil), MaxLength+1); err == nil {
		t.Error("NewEncoder over the limit: no error")
	}
}

func TestDecoderStrip(t *testing.T) {
	r := newRand(t)
	e := encode(t, 10, randomBytes(r, 28*66))
	want := e.some(Primary, []int{0, 1, 2, 3})
	for _, axis := range []Axis{Primary, Secondary} {
		indices := r.Perm(10)[:e.p.SourceSymbols(axis.Other())]
		d, err := NewDecoder(e.p, axis, indices)
		if err != nil {
			t.Fatal(err)
		}
		var in [][]byte
		for _, i := range indices {
			in = append(in, e.sliver(axis, i))
		}
		out := [][]byte{make([]byte, 7*66), nil, make([]byte, 7*66), make([]byte, 7*66)}
		if err := d.Strip(66, in, out); err != nil {
			t.Fatal(err)
		}
		for row := range out {
			if out[row] != nil && !bytes.Equal(out[row], want[row]) {
				t.Errorf("%s %v: row %d is wrong", axis, indices, row)
			}
		}
		for name, err := range map[string]error{
			"odd width":   d.Strip(65, in, out),
			"no width":    d.Strip(0, in, out),
			"other width": d.Strip(64, in, out),
			"few slivers": d.Strip(66, in[1:], out),
			"few rows":    d.Strip(66, in, out[1:]),
			"short row":   d.Strip(66, in, [][]byte{out[0][1:], nil, nil, nil}),
		} {
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		}
	}
}

// TestDecodeInconsistent decodes slivers that each match their root but belong to no single matrix.
func TestDecodeInconsistent(t *testing.T) {
	r := newRand(t)
	a, b := encode(t, 10, randomBytes(r, 1000)), encode(t, 10, randomBytes(r, 1000))
	mixed := &Metadata{Length: 1000, Pairs: mixedPairs(a.m, b.m)}
	slivers := a.some(Primary, []int{0, 2, 4})
	slivers[9] = b.sliver(Primary, 9)
	for i, s := range slivers {
		if err := mixed.VerifySliver(Primary, i, s); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := mixed.Decode(Primary, slivers); !errors.Is(err, ErrInconsistent) {
		t.Errorf("%v: want ErrInconsistent", err)
	}
}

// mixedPairs returns the pairs of a, but the last one of b.
func mixedPairs(a, b *Metadata) []PairRoots {
	last := len(a.Pairs) - 1
	return append(append([]PairRoots(nil), a.Pairs[:last]...), b.Pairs[last])
}

func TestEncoderStopsAtErrors(t *testing.T) {
	p := mustParams(t, 4)
	length := 6*2*p.StripWidth() + 1
	boom := errors.New("boom")
	e, err := NewEncoder(p, bytes.NewReader(make([]byte, length-1)), uint64(length))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Metadata(t.Context(), nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Metadata of a short source: %v: want unexpected EOF", err)
	}
	err = e.Strips(t.Context(), func(s *Strip) error { s.Release(); return nil })
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Strips of a short source: %v: want unexpected EOF", err)
	}
	e, err = NewEncoder(p, readerAt{iotest.ErrReader(boom)}, uint64(length))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Metadata(t.Context(), nil); !errors.Is(err, boom) {
		t.Errorf("Metadata: %v: want the reader's error", err)
	}
	e, err = NewEncoder(p, bytes.NewReader(make([]byte, length)), uint64(length))
	if err != nil {
		t.Fatal(err)
	}
	strips := 0
	err = e.Strips(t.Context(), func(s *Strip) error { strips++; s.Release(); return boom })
	if !errors.Is(err, boom) || strips != 1 {
		t.Errorf("Strips: %v after %d strips: want the receiver's error after 1", err, strips)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Metadata(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Metadata: %v: want canceled", err)
	}
	if err := e.Strips(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Strips: %v: want canceled", err)
	}
}

type readerAt struct {
	r interface{ Read([]byte) (int, error) }
}

func (r readerAt) ReadAt(b []byte, _ int64) (int, error) { return r.r.Read(b) }

func TestStripsAreKeptUntilReleased(t *testing.T) {
	r := newRand(t)
	p := mustParams(t, 4)
	e := encode(t, 4, randomBytes(r, 6*3*p.StripWidth()-5))
	enc, err := NewEncoder(p, bytes.NewReader(e.blob), uint64(len(e.blob)))
	if err != nil {
		t.Fatal(err)
	}
	var kept []*Strip
	if err := enc.Strips(t.Context(), func(s *Strip) error { kept = append(kept, s); return nil }); err != nil {
		t.Fatal(err)
	}
	for at, s := range kept {
		if s.Index() != at {
			t.Errorf("strip %d has index %d", at, s.Index())
		}
		for _, axis := range []Axis{Primary, Secondary} {
			offset, size := e.m.Layout(axis).Strip(at)
			for i := range p.n {
				if !bytes.Equal(s.Sliver(axis, i), e.sliver(axis, i)[offset:][:size]) {
					t.Errorf("strip %d of %s sliver %d is wrong", at, axis, i)
				}
			}
		}
		s.Release()
	}
}

func TestProgressReachesTheEnd(t *testing.T) {
	for _, length := range []int{0, 1, 100_000, 3_000_000} {
		e, err := NewEncoder(mustParams(t, 10), bytes.NewReader(make([]byte, length)), uint64(length))
		if err != nil {
			t.Fatal(err)
		}
		last := int64(-1)
		_, err = e.Metadata(t.Context(), func(done, total int64) {
			if done < last || total != int64(length) {
				t.Errorf("progress %d of %d after %d", done, total, last)
			}
			last = done
		})
		if err != nil || last != int64(length) {
			t.Errorf("length %d: progress ended at %d, %v", length, last, err)
		}
	}
}
