package shards

import (
	"math"
	"testing"
)

// units returns the units of the part of w with a name.
func units(w Work, name string) int64 {
	for _, part := range w.Parts {
		if part.Name == name {
			return part.Units
		}
	}
	return 0
}

func TestMetadataWork(t *testing.T) {
	p := mustParams(t, 10) // 4 rows, 7 columns; a tree over 10 has 5+3+2+1 nodes
	for _, tt := range []struct {
		name                  string
		length                uint64
		leaves, nodes, hashed int64
		extended              int64 // bytes of width along rows
	}{
		{"symbols of 126 bytes", 28 * 126, 100, 10*11 + 10*11, 100 * 126, 4 * 126},
		{"symbols of 128 bytes, 129 with the prefix", 28 * 128, 100 * 2, 10*11 + 10*11, 100 * 128, 4 * 128},
		// Rows 1 to 3 are zero: neither they nor the node over 2 and 3 in each column are hashed.
		{"one row", 14, 7 * 10, 7*11 + 10*10, 70 * 2, 2},
		// So are columns 1 to 6: the nodes over 2 and 3, and 4 and 5, in each row are not hashed either.
		{"one symbol", 1, 7 * 4, 7*9 + 4*10, 28 * 2, 2},
	} {
		w := p.MetadataWork(tt.length)
		got := []int64{units(w, "leaves"), units(w, "nodes"), w.Hashed, units(w, "extend primary")}
		for i, want := range []int64{tt.leaves, tt.nodes, tt.hashed, tt.extended} {
			if got[i] != want {
				t.Errorf("%s: number %d is %d: want %d", tt.name, i, got[i], want)
			}
		}
	}
	large := mustParams(t, 1000).MetadataWork(1 << 30)
	if perByte := float64(large.Hashed) / (1 << 30); math.Abs(perByte-4.5) > 0.02 {
		t.Errorf("%.3f bytes hashed for each byte of a large blob: want 4.5", perByte)
	}
	if got := units(mustParams(t, 1000).MetadataWork(1), "leaves"); got != 1<<16 {
		t.Errorf("%d leaves of two bytes: there are 65536", got)
	}
}

// TestTreeNodes counts nodes one by one.
func TestTreeNodes(t *testing.T) {
	for n := 1; n <= 20; n++ {
		for to := range n {
			for from := range to + 1 {
				level := make([]bool, n) // which nodes count
				for i := range level {
					level[i] = i < from || i >= to
				}
				want := 0
				for len(level) > 1 {
					up := make([]bool, (len(level)+1)/2)
					for i, counts := range level {
						up[i/2] = up[i/2] || counts
					}
					for _, counts := range up {
						if counts {
							want++
						}
					}
					level = up
				}
				if got := treeNodes(from, to, n); got != want {
					t.Errorf("treeNodes(%d, %d, %d) = %d: want %d", from, to, n, got, want)
				}
			}
		}
	}
}

func TestPlus(t *testing.T) {
	p := mustParams(t, 10)
	one, two := p.VerifyWork(Primary, 5000, 1), p.VerifyWork(Primary, 5000, 2)
	sum := one.Plus(two)
	if three := p.VerifyWork(Primary, 5000, 3); sum.Hashed != three.Hashed || len(sum.Parts) != len(three.Parts) {
		t.Errorf("%d bytes in %d parts: want %d in %d", sum.Hashed, len(sum.Parts), three.Hashed, len(three.Parts))
	} else {
		for _, part := range three.Parts {
			if got := units(sum, part.Name); got != part.Units {
				t.Errorf("%s: %d: want %d", part.Name, got, part.Units)
			}
		}
	}
	if before := p.VerifyWork(Primary, 5000, 1); units(one, "leaves") != units(before, "leaves") {
		t.Error("Plus changed what it adds to")
	}
}

// TestKernels checks that kernels do as much as their units say; units of the code are bytes of width.
func TestKernels(t *testing.T) {
	for name, k := range map[string]Kernel{
		"leaves of 2 bytes": LeafKernel(2), "leaves of 4 KiB": LeafKernel(4 << 10), "nodes": NodeKernel(),
		"extend":           mustParams(t, 10).ExtendKernel(Primary, 7),
		"extend one":       mustParams(t, 1000).ExtendKernel(Secondary, 1),
		"extend too many":  mustParams(t, 10).ExtendKernel(Secondary, 100),
		"recover few":      mustParams(t, 4).RecoverKernel(Primary),
		"recover":          mustParams(t, 1000).RecoverKernel(Secondary),
		"recover unlikely": mustParams(t, 7).RecoverKernel(Secondary),
	} {
		if k.Units <= 0 {
			t.Errorf("%s: %d units", name, k.Units)
		}
		if n := testing.AllocsPerRun(2, k.Run); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
