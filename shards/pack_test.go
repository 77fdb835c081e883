package shards

import (
	"bytes"
	"fmt"
	"testing"
)

func TestPack(t *testing.T) {
	r := newRand(t)
	for width := 2; width <= 200; width += 2 {
		for count := 1; count < 40; count += 1 + r.IntN(5) {
			symbols := randomBytes(r, width*count)
			packed := randomBytes(r, packedSize(len(symbols)))
			pack(packed, symbols, width)
			element := 0
			for s := 0; s < len(symbols); s += width {
				for g := s; g < s+width; g += 64 {
					half := min(64, s+width-g) / 2
					for i := range half {
						at := element/32*64 + element%32
						if packed[at] != symbols[g+i] || packed[at+32] != symbols[g+half+i] {
							t.Fatalf("%d symbols of %d: element %d is wrong", count, width, element)
						}
						element++
					}
				}
			}
			for ; element%32 != 0; element++ {
				if at := element/32*64 + element%32; packed[at]|packed[at+32] != 0 {
					t.Fatalf("%d symbols of %d: no zero after the end", count, width)
				}
			}
			back := make([]byte, len(symbols))
			unpack(back, packed, width)
			if !bytes.Equal(back, symbols) {
				t.Fatalf("%d symbols of %d: unpack does not undo pack", count, width)
			}
			if count == 1 && !bytes.Equal(unpackInPlace(packed, width), symbols) {
				t.Fatalf("symbol of %d: unpackInPlace does not undo pack", width)
			}
		}
	}
}

func BenchmarkPack(b *testing.B) {
	for _, width := range []int{2, 6, 24, 38, 152} {
		count := 256 / width
		symbols, packed := make([]byte, max(count, 1)*width), make([]byte, packedSize(max(count, 1)*width))
		b.Run(fmt.Sprint(width), func(b *testing.B) {
			b.SetBytes(int64(len(symbols)))
			for b.Loop() {
				pack(packed, symbols, width)
				unpack(symbols, packed, width)
			}
		})
	}
}
