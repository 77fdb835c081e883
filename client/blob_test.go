package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"walrus/shards"
)

// fetched returns the number of requests for slivers since its last call, by primary index.
func (f *fakeSwarm) fetched() map[int]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	rows := f.rowsAsked
	f.rowsAsked = map[int]int{}
	return rows
}

// opened stores data and opens it.
func opened(t *testing.T, c *Client, data []byte) *Blob {
	t.Helper()
	res, err := store(t, c, data, StoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Open(t.Context(), res.BlobID)
	if err != nil {
		t.Fatal(err)
	}
	if b.ID() != res.BlobID || b.Size() != uint64(len(data)) {
		t.Fatalf("opened %v of %d bytes", b.ID(), b.Size())
	}
	return b
}

// TestCopyRange reads ranges with rows in memory, mixed, and on disk: the bytes are right and no other rows are
// fetched.
func TestCopyRange(t *testing.T) {
	for _, size := range []int{0, 1, 2, 1000, 1_234_567} {
		for _, memory := range []int64{1, 300_000, 64 << 20} {
			t.Run(fmt.Sprintf("size=%d/memory=%d", size, memory), func(t *testing.T) {
				f, c := newFake(t, 7, 28)
				c.cfg.ReadMemory = memory
				data := noise(50, size)
				b := opened(t, c, data)
				row := int(f.com.Params().Layout(shards.Primary, uint64(size)).Size())
				ranges := [][2]int{{0, 0}, {size, 0}, {0, size}, {size / 2, size - size/2}, {max(0, size-1), min(1, size)}}
				if size > 3*row {
					ranges = append(ranges, [][2]int{{row, row}, {row - 1, 2}, {row / 2, 2 * row}, {row + 3, 5},
						{2*row - 1, row + 2}}...)
				}
				r := rand.New(rand.NewPCG(51, uint64(size)))
				for range 10 {
					off := r.IntN(size + 1)
					ranges = append(ranges, [2]int{off, r.IntN(size - off + 1)})
				}
				for _, x := range ranges {
					off, n := x[0], x[1]
					f.fetched()
					var out bytes.Buffer
					var done, total int64
					got, err := b.CopyRange(t.Context(), &out, int64(off), int64(n),
						ReadOptions{Progress: func(_ Stage, d, all int64) { done, total = d, all }})
					if err != nil || !bytes.Equal(out.Bytes(), data[off:off+n]) || done != int64(n) || total != int64(n) {
						t.Fatalf("%d bytes from %d on: %v, %d bytes, progress %d of %d", n, off, err, out.Len(), done, total)
					}
					want := 0
					if n > 0 {
						want = (off+n-1)/row - off/row + 1
					}
					asked := f.fetched()
					if len(asked) != want || got.Fetched != int64(want*row) {
						t.Errorf("%d bytes from %d on are in %d rows, fetched %v: %d bytes", n, off, want, asked, got.Fetched)
					}
				}
			})
		}
	}
}

// TestCopyRangeStrict checks the whole blob and writes only the range.
func TestCopyRangeStrict(t *testing.T) {
	_, c := newFake(t, 7, 28)
	data := noise(52, 100_000)
	b := opened(t, c, data)
	var out bytes.Buffer
	got, err := b.CopyRange(t.Context(), &out, 777, 1001, ReadOptions{Strict: true})
	if err != nil || !bytes.Equal(out.Bytes(), data[777:1778]) || got.Fetched < int64(len(data)) {
		t.Errorf("%d bytes, %+v, %v", out.Len(), got, err)
	}
}

func TestRangeOutside(t *testing.T) {
	_, c := newFake(t, 4, 4)
	b := opened(t, c, noise(53, 1000))
	for _, x := range [][2]int64{{-1, 1}, {0, -1}, {0, 1001}, {1000, 1}, {1001, 0}, {999, math.MaxInt64},
		{math.MaxInt64, math.MaxInt64}, {math.MinInt64, 0}} {
		var out bytes.Buffer
		_, err := b.CopyRange(t.Context(), &out, x[0], x[1], ReadOptions{})
		var outside *RangeError
		if !errors.Is(err, ErrRange) || !errors.As(err, &outside) || outside.Size != 1000 || out.Len() > 0 {
			t.Errorf("%d bytes from %d on of 1000: %v", x[1], x[0], err)
		}
	}
}

// TestRangeThrough reads a range while nodes with rows of it misbehave.
func TestRangeThrough(t *testing.T) {
	for _, m := range []mood{down, silent, lying, cutting, lacking, busyOnce, slow} {
		t.Run(fmt.Sprintf("mood=%d", m), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, c := newFake(t, 7, 28)
				data := noise(54, 1_234_567)
				b := opened(t, c, data)
				row := f.com.Params().Layout(shards.Primary, uint64(len(data))).Size()
				f.moods[1], f.moods[5] = m, m
				first := int64(-1) // a row of a bad node, followed by one more row
				for i := range int64(5) {
					o := f.rowOwner(b.id, int(i))
					if o == 1 || o == 5 {
						first = i
						break
					}
				}
				if first < 0 {
					t.Fatal("no row of the bad nodes among the first five")
				}
				off, n := first*row+10, row+100
				var out bytes.Buffer
				got, err := b.CopyRange(t.Context(), &out, off, n, ReadOptions{})
				if err != nil || !bytes.Equal(out.Bytes(), data[off:off+n]) {
					t.Fatalf("%d bytes, %v", out.Len(), err)
				}
				if m == busyOnce {
					if len(got.Bad) != 0 || got.Decoded != 0 {
						t.Errorf("busy nodes: %+v", got)
					}
					return
				}
				if got.Decoded == 0 || len(got.Bad) == 0 || got.Bad[0].Lied != (m == lying) {
					t.Errorf("%+v", got)
				}
				for _, bad := range got.Bad {
					if bad.Name != "node-1" && bad.Name != "node-5" {
						t.Errorf("named %s, who did nothing wrong", bad)
					}
				}
			})
		})
	}
}

// rowOwner returns the index of the node that holds a row.
func (f *fakeSwarm) rowOwner(id shards.BlobID, row int) int {
	p := f.com.Params()
	i, _ := f.com.Member(f.com.Owner(p.ShardOfPair(id, p.PairOfSliver(shards.Primary, row))).Node)
	return i
}

// TestFirstByteEarly: the second row comes much later than the first, whose bytes do not wait for it.
func TestFirstByteEarly(t *testing.T) {
	f, c := newFake(t, 7, 28)
	data := noise(55, 1_000_000)
	b := opened(t, c, data)
	row := f.com.Params().Layout(shards.Primary, uint64(len(data))).Size()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.moods[f.rowOwner(b.id, 1)] = silent
	w := &cancelling{cancel: cancel}
	_, err := b.CopyRange(ctx, w, row-10, 20, ReadOptions{})
	if !errors.Is(err, context.Canceled) || !bytes.Equal(w.Bytes(), data[row-10:row]) {
		t.Errorf("wrote %d bytes, %v", w.Len(), err)
	}
}

// cancelling cancels a context at the first byte.
type cancelling struct {
	bytes.Buffer
	cancel context.CancelFunc
}

func (c *cancelling) Write(p []byte) (int, error) {
	c.cancel()
	return c.Buffer.Write(p)
}

func TestReaderAt(t *testing.T) {
	_, c := newFake(t, 7, 28)
	data := noise(56, 100_000)
	r := opened(t, c, data).ReaderAt(t.Context())
	got, err := io.ReadAll(io.NewSectionReader(r, 0, 1<<40))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	for _, x := range []struct {
		off     int64
		n, want int
		err     error
	}{{5, 10, 10, nil}, {99_990, 10, 10, nil}, {99_990, 11, 10, io.EOF}, {100_000, 1, 0, io.EOF}, {1 << 50, 1, 0, io.EOF},
		{-1, 1, 0, ErrRange}, {5, 0, 0, nil}} {
		p := make([]byte, x.n)
		n, err := r.ReadAt(p, x.off)
		if n != x.want || !errors.Is(err, x.err) || n > 0 && !slices.Equal(p[:n], data[x.off:int(x.off)+n]) {
			t.Errorf("%d bytes from %d on: %d, %v", x.n, x.off, n, err)
		}
	}
}
