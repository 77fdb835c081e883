package shards

import (
	"bytes"
	"fmt"
	"testing"

	"golang.org/x/crypto/blake2b"

	"walrus/shards/fft16"
)

// naive encodes by the definition, symbol by symbol. The encoder is compared with it where no other implementation
// exists.
type naive struct {
	p     Params
	z     int
	cells [][][]byte // n rows of n symbols
}

func newNaive(p Params, blob []byte) *naive {
	x := &naive{p: p, z: int(p.SymbolSize(uint64(len(blob))))}
	padded := make([]byte, p.Rows()*p.Columns()*x.z)
	copy(padded, blob)
	x.cells = make([][][]byte, p.n)
	for i := range x.cells {
		x.cells[i] = make([][]byte, p.n)
		for j := range p.Columns() {
			if i < p.Rows() {
				x.cells[i][j], padded = padded[:x.z], padded[x.z:]
			}
		}
	}
	rows, cols := p.code(Primary), p.code(Secondary)
	for j := range p.Columns() {
		for i := p.Rows(); i < p.n; i++ {
			x.cells[i][j] = x.sum(cols, i-p.Rows(), func(k int) []byte { return x.cells[k][j] })
		}
	}
	for i := range p.n {
		for j := p.Columns(); j < p.n; j++ {
			x.cells[i][j] = x.sum(rows, j-p.Columns(), func(k int) []byte { return x.cells[i][k] })
		}
	}
	return x
}

func (x *naive) sum(c code, recovery int, symbol func(k int) []byte) []byte {
	sum := make([]byte, x.z)
	for k := range c.k {
		factor, in := c.coefficient(recovery, k), symbol(k)
		for g := 0; g < x.z; g += 64 {
			half := min(64, x.z-g) / 2
			for e := g; e < g+half; e++ {
				y := fft16.Mul(factor, uint16(in[e])|uint16(in[e+half])<<8)
				sum[e] ^= byte(y)
				sum[e+half] ^= byte(y >> 8)
			}
		}
	}
	return sum
}

func (x *naive) sliver(axis Axis, index int) (symbols [][]byte) {
	for k := range x.p.n {
		if axis == Primary {
			symbols = append(symbols, x.cells[index][k])
		} else {
			symbols = append(symbols, x.cells[k][index])
		}
	}
	return symbols
}

func naiveRoot(symbols [][]byte) Hash {
	var level []Hash
	for _, s := range symbols {
		level = append(level, blake2b.Sum256(append([]byte{0}, s...)))
	}
	for len(level) > 1 {
		if len(level)%2 == 1 {
			level = append(level, Hash{})
		}
		var up []Hash
		for i := 0; i < len(level); i += 2 {
			up = append(up, blake2b.Sum256(bytes.Join([][]byte{{1}, level[i][:], level[i+1][:]}, nil)))
		}
		level = up
	}
	return level[0]
}

// TestEncodeMatchesDefinition covers lengths around the ends of strips and of the windows of hashing.
func TestEncodeMatchesDefinition(t *testing.T) {
	r := newRand(t)
	for _, n := range []int{4, 5, 6, 7, 10, 13, 17, 33} {
		p := mustParams(t, n)
		cells := p.Rows() * p.Columns()
		sizes := []int{2, 4, 30, 62, 64, 66, 126, 128, 130, 190, 192, 194, 254, 256, 258, 4094, 4096, 4098}
		if w := p.StripWidth(); n <= 5 && !testing.Short() {
			sizes = append(sizes, 20_000, 65_538, w-2, w, w+2, w+62, w+64, w+66, w+128, 2*w, 2*w+2)
		}
		for _, z := range sizes {
			if n > 10 && z > 300 {
				continue
			}
			blob := randomBytes(r, cells*z-r.IntN(min(cells, 100)))
			t.Run(fmt.Sprintf("n=%d/length=%d", n, len(blob)), func(t *testing.T) { checkNaive(t, p, blob) })
		}
	}
}

func checkNaive(t *testing.T, p Params, blob []byte) {
	m, pairs, err := Encode(p, blob)
	if err != nil {
		t.Fatal(err)
	}
	want := newNaive(p, blob)
	for _, axis := range []Axis{Primary, Secondary} {
		for i := range p.n {
			symbols := want.sliver(axis, i)
			plain := bytes.Join(symbols[:p.SourceSymbols(axis)], nil)
			if !bytes.Equal(plainOrder(m.Layout(axis), sliverOf(pairs, p, axis, i)), plain) {
				t.Fatalf("%s sliver %d differs", axis, i)
			}
			if m.Root(axis, i) != naiveRoot(symbols) {
				t.Fatalf("root of %s sliver %d differs", axis, i)
			}
		}
	}
}
