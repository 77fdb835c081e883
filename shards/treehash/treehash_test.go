package treehash

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/crypto/blake2b"
)

// message returns a different message for each leaf and length.
func message(leaf, length int) []byte {
	b := make([]byte, length)
	x := uint32(leaf*7919 + length + 1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// hash absorbs messages of one length, step bytes at a time.
func hash(messages [][]byte, step int) []Hash {
	length := len(messages[0])
	l := NewLeaves(len(messages))
	for at := 0; at < length || at == 0; at += step {
		parts := make([][]byte, len(messages))
		for i, m := range messages {
			// Without room behind a part, the race detector and the page table both detect a read beyond its end.
			parts[i] = bytes.Clone(m[at:min(at+step, length)])
		}
		l.Absorb(parts, int64(at), int64(length))
	}
	digests := make([]Hash, len(messages))
	l.Digests(digests)
	return digests
}

func check(t *testing.T, messages [][]byte, step int) {
	t.Helper()
	for i, got := range hash(messages, step) {
		if want := blake2b.Sum256(append([]byte{0}, messages[i]...)); got != want {
			t.Fatalf("%d leaves of %d bytes, %d at a time: leaf %d: %x: want %x",
				len(messages), len(messages[0]), step, i, got, want)
		}
	}
}

func TestLeavesOfEveryLengthAndCount(t *testing.T) {
	lengths := []int{383, 384, 385, 511, 512, 513, 639, 640, 641, 1023, 1024, 1025, 4096, 4097, 10_000}
	for length := range 301 {
		lengths = append(lengths, length)
	}
	eachPath(t, func(t *testing.T) {
		for _, length := range lengths {
			for _, count := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 16, 17, 23} {
				var messages [][]byte
				for leaf := range count {
					messages = append(messages, message(leaf, length))
				}
				for _, step := range []int{Window, 2 * Window, 3 * Window, 8 * Window, 1 << 20} {
					check(t, messages, step)
				}
			}
		}
	})
}

func TestNodes(t *testing.T) {
	parent := func(l, r Hash) Hash {
		return blake2b.Sum256(append(append([]byte{1}, l[:]...), r[:]...))
	}
	eachPath(t, func(t *testing.T) {
		for count := range 60 {
			level := make([]Hash, count)
			for i := range level {
				copy(level[i][:], message(i, Size))
			}
			before := append([]Hash{}, level...)
			reversed := make([]Hash, count)
			for i := range reversed {
				reversed[i] = level[count-1-i]
			}
			Parents(reversed, level, reversed)
			for i := range reversed {
				if want := parent(before[i], before[count-1-i]); reversed[i] != want {
					t.Fatalf("parent %d of %d: %x: want %x", i, count, reversed[i], want)
				}
			}
			up := Fold(level)
			if len(up) != (count+1)/2 {
				t.Fatalf("fold %d: %d parents", count, len(up))
			}
			for i := range up {
				var right Hash
				if 2*i+1 < count {
					right = before[2*i+1]
				}
				if want := parent(before[2*i], right); up[i] != want {
					t.Fatalf("fold %d: parent %d: %x: want %x", count, i, up[i], want)
				}
			}
		}
	})
}

// TestRows folds trees side by side, from leaves that are not adjacent.
func TestRows(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		for width := 1; width <= 17; width++ {
			for count := 1; count < 40; count++ {
				level, want := make([]Hash, count*width), make([]Hash, 0, width)
				all := NewLeaves(Padded(count) * width)
				for c := range width {
					column := make([]Hash, count)
					leaves := all.Slice(c*Padded(count), c*Padded(count)+count)
					data := make([][]byte, count)
					for i := range data {
						data[i] = message(c, 2*i+2)[2*i:]
					}
					leaves.Absorb(data, 0, 2)
					leaves.Digests(column)
					leaves.Spread(level[c:], width)
					for len(column) > 1 {
						column = Fold(column)
					}
					want = append(want, column[0])
				}
				for dst := make([]Hash, (count+1)/2*width); len(level) > width; {
					level = FoldRows(dst, level, width)
				}
				if !slices.Equal(level, want) {
					t.Fatalf("%d trees over %d leaves: other roots than one by one", width, count)
				}
			}
		}
	})
}

func TestAbsorbRefusesWrongParts(t *testing.T) {
	part := func(length int) [][]byte { return [][]byte{make([]byte, length), make([]byte, length)} }
	for name, absorb := range map[string]func(Leaves){
		"too many":          func(l Leaves) { l.Absorb(part(Window)[:1], 0, Window) },
		"different lengths": func(l Leaves) { l.Absorb([][]byte{{1}, {1, 2}}, 0, 1) },
		"beyond the end":    func(l Leaves) { l.Absorb(part(Window), 0, Window-1) },
		"no whole window":   func(l Leaves) { l.Absorb(part(Window-1), 0, Window) },
		"not at a window":   func(l Leaves) { l.Absorb(part(Window), 1, Window+1) },
		"slice inside":      func(l Leaves) { l.Slice(1, 2) },
		"slice beyond":      func(l Leaves) { l.Slice(0, 3) },
		"no room":           func(l Leaves) { l.Spread(make([]Hash, 2), 2) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			absorb(NewLeaves(2))
		})
	}
}

func TestNoAllocation(t *testing.T) {
	data := make([][]byte, 61)
	for i := range data {
		data[i] = make([]byte, 300)
	}
	l, nodes := NewLeaves(len(data)), make([]Hash, 61)
	eachPath(t, func(t *testing.T) {
		if n := testing.AllocsPerRun(10, func() {
			l.Reset()
			l.Absorb(data, 0, 300)
			l.Digests(nodes)
			Fold(nodes)
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

func FuzzLeaves(f *testing.F) {
	f.Add([]byte("walrus"), uint8(8), uint8(1))
	f.Add(bytes.Repeat([]byte{7}, 129), uint8(3), uint8(2))
	f.Fuzz(func(t *testing.T, m []byte, count, step uint8) {
		messages := make([][]byte, 1+count%20)
		for i := range messages {
			messages[i] = bytes.Clone(m)
			if len(m) > 0 {
				messages[i][i%len(m)] ^= byte(i)
			}
		}
		eachPath(t, func(t *testing.T) { check(t, messages, Window*(1+int(step%8))) })
	})
}

func BenchmarkLeaves(b *testing.B) {
	for _, size := range []int{6, 152, 1024, 4096} {
		data := make([][]byte, 1000)
		for i := range data {
			data[i] = make([]byte, size)
		}
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			eachPath(b, func(b *testing.B) {
				l := NewLeaves(len(data))
				b.SetBytes(int64(len(data) * size))
				for b.Loop() {
					l.Reset()
					l.Absorb(data, 0, int64(size))
				}
			})
			b.Run("x-crypto", func(b *testing.B) {
				b.SetBytes(int64(len(data) * size))
				for b.Loop() {
					for _, d := range data {
						blake2b.Sum256(d)
					}
				}
			})
		})
	}
}

func BenchmarkFold(b *testing.B) {
	eachPath(b, func(b *testing.B) {
		nodes := make([]Hash, 1024)
		for i := range nodes {
			nodes[i][0] = byte(rand.Uint32())
		}
		for b.Loop() {
			for level := nodes; len(level) > 1; level = Fold(level) {
			}
		}
	})
}
