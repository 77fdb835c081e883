package walrus

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"walrus/client"
	"walrus/quilt"
)

// fakeQuilt holds files in memory and counts fetches.
type fakeQuilt struct {
	index   quilt.Index
	content map[string]string
	copied  []string
}

func newFakeQuilt(content map[string]string) *fakeQuilt {
	q := &fakeQuilt{content: content}
	for name := range content {
		q.index.Patches = append(q.index.Patches, quilt.Patch{Identifier: name, Size: -1})
	}
	slices.SortFunc(q.index.Patches, func(a, b quilt.Patch) int { return strings.Compare(a.Identifier, b.Identifier) })
	return q
}

func (q *fakeQuilt) Index() *quilt.Index { return &q.index }

func (q *fakeQuilt) Stat(_ context.Context, p quilt.Patch) (quilt.Patch, error) {
	p.Size = int64(len(q.content[p.Identifier]))
	return p, nil
}

func (q *fakeQuilt) CopyFile(_ context.Context, w io.Writer, p quilt.Patch) (quilt.Patch, *client.QuiltRead, error) {
	q.copied = append(q.copied, p.Identifier)
	_, err := io.WriteString(w, q.content[p.Identifier])
	return p, &client.QuiltRead{}, err
}

// TestQuiltFS runs the standard library's file system checks, with one file larger than contentMemory.
func TestQuiltFS(t *testing.T) {
	q := newFakeQuilt(map[string]string{
		"a.txt": "a", "empty": "", "x/y/z.txt": "zzz", "x/large": strings.Repeat("walrus", contentMemory/3),
	})
	fsys := newQuiltFS(t.Context(), q, t.TempDir())
	if err := fstest.TestFS(fsys, "a.txt", "empty", "x/y/z.txt", "x/large"); err != nil {
		t.Fatal(err)
	}
	for name, want := range q.content {
		if got, err := fs.ReadFile(fsys, name); err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(want))
		}
	}
}

// TestQuiltFSFetches: listing and asking for sizes fetches no content.
func TestQuiltFSFetches(t *testing.T) {
	q := newFakeQuilt(map[string]string{"a": "1", "b/c": "22"})
	fsys := newQuiltFS(t.Context(), q, t.TempDir())
	var sizes []int64
	err := fs.WalkDir(fsys, ".", func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		sizes = append(sizes, info.Size())
		return err
	})
	if err != nil || !slices.Equal(sizes, []int64{1, 2}) || len(q.copied) > 0 {
		t.Errorf("sizes %v, fetched %v, %v", sizes, q.copied, err)
	}
}

// TestQuiltFSNames: identifiers that are no fs.FS path are left out, and no file is also a folder.
func TestQuiltFSNames(t *testing.T) {
	q := newFakeQuilt(map[string]string{
		"/root": "", "../up": "", "a//b": "", ".": "", "./c": "", "ok": "1", "ok/below": "2", "ok/b/e/low": "3",
		"d/e": "4", "e/": "",
	})
	fsys := newQuiltFS(t.Context(), q, t.TempDir())
	var names []string
	if err := fs.WalkDir(fsys, ".", func(path string, _ fs.DirEntry, err error) error {
		names = append(names, path)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if want := []string{".", "d", "d/e", "ok"}; !slices.Equal(names, want) {
		t.Errorf("names %q, want %q", names, want)
	}
	if err := fstest.TestFS(fsys, "ok", "d/e"); err != nil {
		t.Error(err)
	}
}

// TestRestOf: what was read of a source before is not stored.
func TestRestOf(t *testing.T) {
	for skip, want := range map[int64]string{0: "walrus", 2: "lrus", 6: "", 9: ""} {
		src := strings.NewReader("walrus")
		if _, err := src.Seek(skip, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		rest, err := restOf(src)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(rest); err != nil || string(got) != want {
			t.Errorf("after %d bytes: %q, %v; want %q", skip, got, err, want)
		}
	}
}

// TestSpool: a source of unknown length is kept completely, in memory or in a file, and removed afterwards.
func TestSpool(t *testing.T) {
	for _, size := range []int{0, 1, contentMemory, contentMemory + 1, 3 * contentMemory} {
		c := &Client{tempDir: t.TempDir()}
		want := strings.Repeat("w", size)
		k, err := c.spool(t.Context(), io.MultiReader(strings.NewReader(want)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(io.NewSectionReader(k.reader(), 0, k.size))
		if err != nil || string(got) != want {
			t.Errorf("%d bytes: read %d, %v", size, len(got), err)
		}
		if (k.file != nil) != (size > contentMemory) {
			t.Errorf("%d bytes: in a file: %t", size, k.file != nil)
		}
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	}
	broken := errors.New("broken")
	c := &Client{tempDir: t.TempDir()}
	if _, err := c.spool(t.Context(), readerFunc(func([]byte) (int, error) { return 0, broken })); !errors.Is(err,
		broken) {
		t.Errorf("a broken source: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.spool(ctx, strings.NewReader("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled copy: %v", err)
	}
}
