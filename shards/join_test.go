package shards

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
)

// TestJoinColumns compares trees grown side by side, with a range of equal nodes, with single trees.
func TestJoinColumns(t *testing.T) {
	r := newRand(t)
	for range 3000 {
		width, rows := 1+r.IntN(9), 1+r.IntN(90)
		from := r.IntN(rows)
		equal := run{from, from + 1 + r.IntN(rows-from)}
		level := make([]Hash, rows*width)
		want := make([]Hash, width)
		for c := range width {
			column := make([]Hash, rows)
			for i := range column {
				column[i][0], column[i][1], column[i][2] = byte(i+1), byte(c), byte(r.Uint32())
				if i > equal.from && i < equal.to {
					column[i] = column[equal.from]
				} else {
					level[i*width+c] = column[i]
				}
			}
			want[c] = merkleRoot(column)
		}
		got := joinColumns(make([]Hash, (rows+1)/2*width), level, width, equal)
		if !slices.Equal(got, want) {
			t.Fatalf("%d trees over %d rows of which %d are equal: wrong roots", width, rows, equal)
		}
	}
}

func TestJoinLevel(t *testing.T) {
	r := newRand(t)
	const rows = 3
	for range 1000 {
		count := 1 + r.IntN(40)
		from := r.IntN(count)
		to := from + 1 + r.IntN(count-from)
		level := make([][]Hash, count)
		trees := make([][]Hash, rows)
		for b := range level {
			level[b] = make([]Hash, rows)
			for i := range rows {
				level[b][i][0], level[b][i][1] = byte(b+1), byte(i)
			}
			if b > from && b < to {
				level[b] = level[from]
			}
			for i := range rows {
				trees[i] = append(trees[i], level[b][i])
			}
		}
		for len(level) > 1 {
			level = joinLevel(level, make([]Hash, rows))
		}
		for i := range rows {
			if level[0][i] != merkleRoot(trees[i]) {
				t.Fatalf("%d blocks, equal from %d to %d: wrong root", count, from, to)
			}
		}
	}
}

// TestSparseBlobsMatchDefinition covers blobs that end in any row or column, with so many columns that they are
// hashed side by side.
func TestSparseBlobsMatchDefinition(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	r := newRand(t)
	for _, n := range []int{33, 40, 66} {
		p := mustParams(t, n)
		row := 2 * p.Columns()
		for _, length := range []int{
			1, 16, row / 2, row - 17, row, row + 1, row * p.Rows() / 2, row * p.Rows(), 3*row*p.Rows() - 1,
			7 * row * p.Rows() / 2,
		} {
			t.Run(fmt.Sprintf("n=%d/length=%d", n, length), func(t *testing.T) { checkNaive(t, p, randomBytes(r, length)) })
		}
	}
}

// TestTabledLeaves has so many symbols of two bytes that their leaves come from a table. Slivers are verified without
// the table.
func TestTabledLeaves(t *testing.T) {
	r := newRand(t)
	p := mustParams(t, 270)
	row := 2 * p.Columns()
	for _, length := range []int{1, row / 2, row, row + 1, row*p.Rows() - 1} {
		e := encode(t, p.n, randomBytes(r, length))
		for _, axis := range []Axis{Primary, Secondary} {
			for i := range p.n {
				if err := e.m.VerifySliver(axis, i, e.sliver(axis, i)); err != nil {
					t.Fatalf("length %d: %v", length, err)
				}
			}
		}
	}
}
