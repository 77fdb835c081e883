package pin

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"walrus/quilt"
	"walrus/shards"
)

// TestFiles: the files of a pinned quilt are read from its copy.
func TestFiles(t *testing.T) {
	for _, n := range []int{7, 31} {
		src := newSource(t, n)
		var files []quilt.File
		for _, name := range []string{"a", "b.txt", "c"} {
			tags := map[string]string{"name": name, "long": strings.Repeat(name, 2000)} // the index has many symbols
			files = append(files, quilt.File{Identifier: name, Tags: tags, Size: int64(len(name)), Content: strings.NewReader(name)})
		}
		q, err := quilt.New(src.params, files[:min(len(files), quilt.MaxFiles(src.params))])
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(io.NewSectionReader(q, 0, int64(q.Size())))
		if err != nil {
			t.Fatal(err)
		}
		k, _ := running(t, Config{Dir: t.TempDir(), Params: src.params, Source: src})
		id, plain := src.add(t, content), src.add(t, bytes.Repeat([]byte{9}, 5000))
		if _, err := k.Files(t.Context(), id); !errors.Is(err, ErrNotFound) {
			t.Errorf("not pinned: %v", err)
		}
		for _, blob := range []shards.BlobID{id, plain} {
			r, err := k.Add(t.Context(), Request{Blob: blob})
			if err != nil {
				t.Fatal(err)
			}
			awaitStatus(t, k, r.ID, Pinned)
		}
		got, err := k.Files(t.Context(), id)
		if err != nil || len(got) != len(q.Index().Patches) {
			t.Fatalf("n = %d: %d files, %v", n, len(got), err)
		}
		for i, want := range q.Index().Patches {
			if p := got[i]; p.Identifier != want.Identifier || p.Start != want.Start || p.End != want.End || p.Tags["name"] != want.Identifier {
				t.Errorf("n = %d: file %d is %+v, want %+v", n, i, p, want)
			}
		}
		if _, err := k.Files(t.Context(), plain); !errors.Is(err, ErrInvalid) {
			t.Errorf("n = %d: a blob that is no quilt: %v", n, err)
		}
	}
}
