package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"walrus/internal/wrongtest"
	"walrus/quilt"
	"walrus/shards"
)

// mustProve checks that err has the proof that a blob is invalid, and that nodes have got it.
func (f *fakeSwarm) mustProve(what string, e *wrongtest.Encoding, err error) {
	f.t.Helper()
	var invalid *InvalidBlobError
	if !errors.As(err, &invalid) || invalid.Cell == nil || invalid.Mark != nil {
		f.t.Fatalf("%s: %v, want a proof that is not on the ledger", what, err)
	}
	if err := invalid.Cell.Verify(e.Params, e.ID); err != nil {
		f.t.Errorf("%s: %v", what, err)
	}
	if len(f.proofs) == 0 {
		f.t.Errorf("%s: no node has got the proof", what)
	}
	f.proofs = nil
}

// TestRowCheck: a read of a whole blob compares its rows with some columns. It does not give the last row.
func TestRowCheck(t *testing.T) {
	f, c := newFake(t, 7, 28)
	content := wrongtest.Content(50_000, 3)
	e := wrongtest.Mix(t, "all columns", f.com.Params(), content, wrongtest.Content(50_000, 4),
		func(axis shards.Axis, _ int) bool { return axis == shards.Secondary })
	f.keep(e)
	for _, down := range []int{-1, 3} { // with a node down rows are decoded
		if down >= 0 {
			f.moods[down] = 1
		}
		for range 20 { // the columns may lie on the node that is down
			c.secret = rand.Uint64()
			c.opened.forget(e.ID)
			var b bytes.Buffer
			_, err := c.Read(t.Context(), e.ID, &b, ReadOptions{})
			if err == nil && down >= 0 {
				continue
			}
			f.mustProve("read", e, err)
			if b.Len() >= len(content) || !bytes.Equal(b.Bytes(), content[:b.Len()]) {
				t.Errorf("%d bytes that are no prefix of the content", b.Len())
			}
			break
		}
	}
}

// wrongQuilt returns the wrong encoding of a quilt with one file, in which some columns are those of a quilt with
// another.
func (f *fakeSwarm) wrongQuilt(t *testing.T, foreign func(column int) bool) *wrongtest.Encoding {
	t.Helper()
	var blobs [2][]byte
	for i := range blobs {
		data := wrongtest.Content(20_000, byte(i+1))
		q, err := quilt.New(f.com.Params(), []quilt.File{{Identifier: "file", Size: 20_000, Content: bytes.NewReader(data)}})
		if err != nil {
			t.Fatal(err)
		}
		blobs[i] = make([]byte, q.Size())
		if _, err := q.ReadAt(blobs[i], 0); err != nil && err != io.EOF {
			t.Fatal(err)
		}
	}
	e := wrongtest.Mix(t, "quilt", f.com.Params(), blobs[0], blobs[1],
		func(axis shards.Axis, i int) bool { return axis == shards.Secondary && foreign(i) })
	f.keep(e)
	return e
}

// TestColumnCheck: a file of a quilt is not read from columns that contradict the rows.
func TestColumnCheck(t *testing.T) {
	f, c := newFake(t, 7, 28)
	e := f.wrongQuilt(t, func(column int) bool { return column > 0 })
	q, err := c.OpenQuilt(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	for name, opt := range map[string]ReadOptions{"default": {}, "strict": {Strict: true}} {
		var out bytes.Buffer
		_, err := q.Read(t.Context(), q.Index().Patches, opt, func(_ quilt.Patch, content io.WriterTo) error {
			_, err := content.WriteTo(&out)
			return err
		})
		f.mustProve(name, e, err)
		if out.Len() > 0 {
			t.Errorf("%s: %d bytes of the other quilt", name, out.Len())
		}
	}
	good := f.wrongQuilt(t, func(int) bool { return false })
	f.moods[2], f.moods[5] = 1, 3 // a node is down, one lies
	if q, err = c.OpenQuilt(t.Context(), good.ID); err != nil {
		t.Fatal(err)
	}
	for name, opt := range map[string]ReadOptions{"default": {}, "strict": {Strict: true}} {
		var out bytes.Buffer
		_, err := q.Read(t.Context(), q.Index().Patches, opt, func(_ quilt.Patch, content io.WriterTo) error {
			_, err := content.WriteTo(&out)
			return err
		})
		if err != nil || !bytes.Equal(out.Bytes(), wrongtest.Content(20_000, 1)) {
			t.Errorf("%s, a right quilt among a liar and a dead node: %v", name, err)
		}
	}
}

// TestOneContent reads blobs encoded wrongly in random ways: by rows as a whole, by a range, and by columns. What is
// read without an error is the same content.
func TestOneContent(t *testing.T) {
	kinds := 1000
	if testing.Short() {
		kinds = 60
	}
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	f, c := newFake(t, 5, 10)
	p := f.com.Params()
	refused := 0
	for kind := range kinds {
		size := 400 + r.IntN(3000)
		content := wrongtest.Content(size, byte(r.Uint32()))
		var e *wrongtest.Encoding
		if kind%10 == 0 {
			e = wrongtest.OneCell(t, p, content, r.IntN(p.Shards()), r.IntN(p.Shards()))
		} else {
			share := []float64{0.05, 0.1, 0.3, 0.5, 0.9}
			rows, columns := share[r.IntN(len(share))], share[r.IntN(len(share))]
			foreign := [2][]bool{make([]bool, p.Shards()), make([]bool, p.Shards())}
			for i := range p.Shards() {
				foreign[0][i], foreign[1][i] = r.Float64() < rows, r.Float64() < columns
			}
			e = wrongtest.Mix(t, "random", p, content, wrongtest.Content(size, byte(r.Uint32())),
				func(axis shards.Axis, i int) bool { return foreign[axis][i] })
		}
		f.keep(e)
		if err := f.readAllWays(t, c, e, r); err != nil {
			refused++
		}
		if t.Failed() {
			t.Fatalf("kind %d of seed %d", kind, seed)
		}
		for i := range f.nodes { // a blob that was read is not read again
			clear(f.nodes[i].slivers)
		}
	}
	if refused < kinds/4 {
		t.Errorf("%d of %d wrong encodings were noticed: not worth a test", refused, kinds)
	}
}

// readAllWays reads a blob in several ways, and compares what comes without an error.
func (f *fakeSwarm) readAllWays(t *testing.T, c *Client, e *wrongtest.Encoding, r *rand.Rand) (refused error) {
	blob, err := c.Open(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	size := int(blob.Size())
	known := make([]int, size) // bytes read so far; −1: none
	for i := range known {
		known[i] = -1
	}
	note := func(how string, at int, b byte) {
		if at >= size { // padding
			return
		}
		if known[at] >= 0 && known[at] != int(b) {
			t.Errorf("%s: byte %d is %d, and was %d before", how, at, b, known[at])
		}
		known[at] = int(b)
	}
	off := r.IntN(size)
	n := r.IntN(size-off) + 1
	for _, part := range [][2]int{{0, size}, {off, n}} {
		var out bytes.Buffer
		if _, err := blob.CopyRange(t.Context(), &out, int64(part[0]), int64(part[1]), ReadOptions{}); err != nil {
			refused = err
			continue
		}
		for i, b := range out.Bytes() {
			note(fmt.Sprint("rows from ", part[0]), part[0]+i, b)
		}
	}
	q := &Quilt{c: c, com: f.com, meta: blob.meta, id: blob.id, dialHedge: blob.dialHedge}
	reader := q.newReader(&QuiltRead{})
	defer reader.close()
	z := int(blob.meta.Layout(shards.Primary).SymbolSize)
	for column := range f.com.Params().Columns() {
		got, err := reader.batch(t.Context(), []int{column})
		if err != nil {
			refused = err
			continue
		}
		for i, b := range got[0].plain {
			row := i / z
			note(fmt.Sprint("column ", column), (row*f.com.Params().Columns()+column)*z+i%z, b)
		}
	}
	return refused
}
