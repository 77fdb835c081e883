package shards

import (
	"testing"

	"walrus/shards/fft16"
)

// TestCodeIsPolynomial computes recoveries by interpolation, as docs/protocol.md describes the code, without
// transforms.
func TestCodeIsPolynomial(t *testing.T) {
	rnd := newRand(t)
	for _, size := range [][2]int{{3, 2}, {5, 2}, {2, 1}, {4, 4}, {5, 7}, {4, 6}, {3, 7}, {34, 66}, {67, 33}} {
		k, r := size[0], size[1]
		c := newCode(k, r)
		in, out := make([]byte, groupSize*k), make([]byte, groupSize*r)
		originals := make([]uint16, k)
		for i := range originals {
			originals[i] = uint16(rnd.Uint32())
			in[i*groupSize], in[i*groupSize+groupSize/2] = byte(originals[i]), byte(originals[i]>>8)
		}
		strided := func(b []byte) fft16.Strided {
			return fft16.Strided{Buf: b, Stride: groupSize, Parts: 1, Width: groupSize}
		}
		ws := newWorkspace()
		c.extend(ws.vectors(c.span(), groupSize), operands(strided(in), k), strided(out), false)
		ws.release()

		powerK, powerR := nextPow2(k), nextPow2(r)
		first, count, recovery := 0, powerK, powerK // low rate: originals, their zeros included, and recoveries
		if powerK > powerR || powerK == powerR && k <= r {
			first, count, recovery = powerR, nextPow2(powerR+k)-powerR, 0
		}
		values := make([]uint16, count)
		copy(values, originals)
		for i := range r {
			want := interpolate(first, values, recovery+i)
			if got := uint16(out[i*groupSize]) | uint16(out[i*groupSize+groupSize/2])<<8; got != want {
				t.Errorf("k=%d r=%d: recovery %d is %04x, want %04x", k, r, i, got, want)
			}
		}
	}
}

// interpolate evaluates the polynomial of least degree with values at the points from first on.
func interpolate(first int, values []uint16, at int) (sum uint16) {
	for i, v := range values {
		for j := range values {
			if j != i {
				distance := fft16.Log(uint16((first + i) ^ (first + j)))
				v = fft16.Mul(v, fft16.Mul(uint16(at^(first+j)), fft16.Exp(fft16.Modulus-distance)))
			}
		}
		sum ^= v
	}
	return sum
}
