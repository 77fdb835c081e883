package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"testing"
	"testing/synctest"

	"walrus/quilt"
	"walrus/shards"
)

// quiltFiles returns files of one size, such as folder/0007.bin, with one tag each.
func quiltFiles(count, size int) ([]quilt.File, map[string][]byte) {
	var files []quilt.File
	want := map[string][]byte{}
	for i := range count {
		b := make([]byte, size)
		for k := range b {
			b[k] = byte(i*31 + k*7 + k>>8)
		}
		f := quilt.File{
			Identifier: fmt.Sprintf("folder/%04d.bin", i), Tags: map[string]string{"parity": []string{"even", "odd"}[i%2]},
			Size: int64(size), Content: bytes.NewReader(b),
		}
		files, want[f.Identifier] = append(files, f), b
	}
	return files, want
}

// readAll reads patches and compares the bytes.
func readAll(t *testing.T, q *Quilt, patches []quilt.Patch, want map[string][]byte) *QuiltRead {
	t.Helper()
	seen := 0
	res, err := q.Read(t.Context(), patches, ReadOptions{}, func(p quilt.Patch, content io.WriterTo) error {
		var b bytes.Buffer
		seen++
		n, err := content.WriteTo(&b)
		if n != p.Size || !bytes.Equal(b.Bytes(), want[p.Identifier]) {
			t.Errorf("%s came back with other bytes: %d of %d", p.Identifier, n, p.Size)
		}
		return err
	})
	if err != nil || seen != len(patches) {
		t.Fatalf("read %d of %d files: %v", seen, len(patches), err)
	}
	return res
}

// TestQuilt stores files and reads them back, while nodes are well and while one misbehaves.
func TestQuilt(t *testing.T) {
	for name, m := range map[string]mood{"well": well, "down": down, "lying": lying, "silent": silent, "cutting": cutting,
		"lacking": lacking, "busy": busyOnce, "slow": slow} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, c := newFake(t, 5, 31)
				files, want := quiltFiles(12, 5000)
				stored, err := c.StoreQuilt(t.Context(), files, StoreOptions{})
				if err != nil {
					t.Fatal(err)
				}
				f.moods[2] = m
				q, err := c.OpenQuilt(t.Context(), stored.BlobID)
				if err != nil {
					t.Fatal(err)
				}
				if len(q.Index().Patches) != len(files) || q.ID() != stored.BlobID || q.Size() != stored.Size {
					t.Fatalf("opened %s of %d bytes with %d files", q.ID(), q.Size(), len(q.Index().Patches))
				}
				res := readAll(t, q, q.Index().Patches, want)
				if broken := m != well && m != busyOnce; broken != (res.Recovered > 0) {
					t.Errorf("recovered %d columns", res.Recovered)
				}
				if m == lying && (len(res.Bad) != 1 || !res.Bad[0].Lied || res.Bad[0].Name != "node-2") {
					t.Errorf("blamed %v, want node-2 for lying", res.Bad)
				}
				if odd := q.Index().Tagged("parity", "odd"); len(odd) != 6 {
					t.Errorf("%d odd files", len(odd))
				}
				for _, p := range stored.Patches { // one by one, without the index
					visited := false
					_, err := c.ReadPatches(t.Context(), []quilt.PatchID{p.ID}, ReadOptions{},
						func(found quilt.Patch, content io.WriterTo) error {
							var b bytes.Buffer
							_, err := content.WriteTo(&b)
							visited = found.Identifier == p.Identifier && bytes.Equal(b.Bytes(), want[p.Identifier]) && len(found.Tags) == 1
							return err
						})
					if err != nil || !visited {
						t.Errorf("%s by its patch ID: %v", p.Identifier, err)
					}
				}
			})
		})
	}
}

// TestQuiltColumnsOnly: reading one of 600 files fetches only its columns.
func TestQuiltColumnsOnly(t *testing.T) {
	if testing.Short() {
		t.Skip("encodes for 1000 shards")
	}
	f, c := newFake(t, 4, 1000)
	files, want := quiltFiles(600, 10<<10)
	stored, err := c.StoreQuilt(t.Context(), files, StoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	q, err := c.OpenQuilt(t.Context(), stored.BlobID)
	if err != nil {
		t.Fatal(err)
	}
	column := q.meta.Layout(shards.Secondary).Size()
	p, _ := q.Index().Find("folder/0333.bin")
	f.sliversAsked = map[sliverKey]int{}
	res := readAll(t, q, []quilt.Patch{p}, want)
	t.Logf("a quilt of %d bytes; the index took %d, one file of %d took %d", stored.Size, q.Opened().Fetched,
		len(want[p.Identifier]), res.Fetched)
	cells := columnCells * q.meta.Layout(shards.Secondary).SymbolSize // for the comparison with rows
	if p.End != p.Start+1 || res.Fetched != column+cells || res.Columns != 1 || column > 12<<10 {
		t.Errorf("file in columns %d to %d of %d bytes: fetched %d bytes in %d columns", p.Start, p.End-1, column,
			res.Fetched, res.Columns)
	}
	columns := func() map[sliverKey]int { // of rows, single cells are compared
		asked := maps.Clone(f.sliversAsked)
		maps.DeleteFunc(asked, func(k sliverKey, _ int) bool { return k.axis == shards.Primary })
		return asked
	}
	if want := map[sliverKey]int{{stored.BlobID, shards.Secondary, p.Start}: 1}; !maps.Equal(columns(), want) {
		t.Errorf("asked for %v, want %v", columns(), want)
	}
	clear(f.sliversAsked)
	all := readAll(t, q, q.Index().Patches, want)
	if len(columns()) != 600 || all.Columns != 600 {
		t.Errorf("600 files: asked for %d columns, %d by its own count", len(columns()), all.Columns)
	}
}

// TestQuiltLarge has columns too large for memory, and one that is recovered.
func TestQuiltLarge(t *testing.T) {
	f, c := newFake(t, 4, 4)
	c.cfg.ReadMemory = 4096
	files, want := quiltFiles(2, 100_000)
	stored, err := c.StoreQuilt(t.Context(), files, StoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.lose(1)
	q, err := c.OpenQuilt(t.Context(), stored.BlobID)
	if err != nil {
		t.Fatal(err)
	}
	readAll(t, q, q.Index().Patches, want)
}

func TestQuiltErrors(t *testing.T) {
	f, c := newFake(t, 4, 10)
	blob := bytes.Repeat([]byte("no quilt"), 100)
	plain, err := c.Store(t.Context(), bytes.NewReader(blob), uint64(len(blob)), StoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.OpenQuilt(t.Context(), plain.BlobID); !errors.Is(err, quilt.ErrFormat) {
		t.Errorf("opened a plain blob: %v", err)
	}
	if _, err := c.OpenQuilt(t.Context(), shards.BlobID{1}); !errors.Is(err, ErrNotFound) {
		t.Errorf("opened what is not there: %v", err)
	}
	if _, err := c.StoreQuilt(t.Context(), nil, StoreOptions{}); !errors.Is(err, quilt.ErrCount) {
		t.Errorf("stored nothing: %v", err)
	}
	files, _ := quiltFiles(3, 1000)
	stored, err := c.StoreQuilt(t.Context(), files, StoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	q, err := c.OpenQuilt(t.Context(), stored.BlobID)
	if err != nil {
		t.Fatal(err)
	}
	patches := q.Index().Patches
	if found, err := q.Find("folder/0002.bin", "folder/0000.bin"); err != nil || found[0].Start != patches[2].Start ||
		found[1].Start != patches[0].Start {
		t.Errorf("found %+v, %v", found, err)
	}
	if _, err := q.Find("folder/0000.bin", "nothing"); !errors.Is(err, ErrNoFile) {
		t.Errorf("found what is not there: %v", err)
	}
	for _, bad := range []quilt.Patch{{Start: 0, End: 1}, {Start: 6, End: 9},
		{Start: patches[0].Start + 1, End: patches[0].End + 1, Identifier: "folder/0000.bin"}} {
		if _, _, err := q.CopyFile(t.Context(), io.Discard, bad); !errors.Is(err, quilt.ErrFormat) {
			t.Errorf("read %+v: %v", bad, err)
		}
	}
	if _, res, err := q.CopyFile(t.Context(), &limitedWriter{10}, patches[0]); !errors.Is(err, errWriter) || res == nil {
		t.Errorf("wrote to a full writer: %v", err)
	}
	skipped := 0 // content that is not requested
	if _, err := q.Read(t.Context(), patches, ReadOptions{},
		func(quilt.Patch, io.WriterTo) error { skipped++; return nil }); err != nil || skipped != 3 {
		t.Errorf("looked at %d files: %v", skipped, err)
	}
	for i := range f.moods[:3] {
		f.moods[i] = lacking
	}
	notEnough := (*NotEnoughError)(nil)
	if _, err := q.Read(t.Context(), patches, ReadOptions{}, func(_ quilt.Patch, content io.WriterTo) error {
		_, err := content.WriteTo(io.Discard)
		return err
	}); !errors.As(err, &notEnough) || notEnough.Needed != 4 {
		t.Errorf("read without most nodes: %v", err)
	}
}
