package quilt

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"walrus/shards"
)

func mustParams(t testing.TB, n int) shards.Params {
	t.Helper()
	p, err := shards.NewParams(n)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// content returns the content of the file with this seed in testdata/vectors.json.
func content(seed, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(seed*31 + i*7 + i>>8)
	}
	return b
}

func newFile(identifier string, b []byte, tags map[string]string) File {
	return File{Identifier: identifier, Tags: tags, Size: int64(len(b)), Content: bytes.NewReader(b)}
}

func blobOf(t testing.TB, q *Quilt) []byte {
	t.Helper()
	b := make([]byte, q.Size())
	if _, err := q.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

// columns reads the columns start…end−1 of a blob, one after the other, out of the matrix.
func columns(p shards.Params, blob []byte, start, end int) io.Reader {
	z := int(p.SymbolSize(uint64(len(blob))))
	var out bytes.Buffer
	for c := start; c < end; c++ {
		for r := range p.Rows() {
			cell := blob[(r*p.Columns()+c)*z:]
			out.Write(cell[:z])
		}
	}
	return &out
}

// wantFiles reads all files back from the blob's columns.
func wantFiles(t interface {
	Fatalf(string, ...any)
	Errorf(string, ...any)
}, p shards.Params, blob []byte, files []File) {
	x, err := ReadIndex(p, uint64(len(blob)), columns(p, blob, 0, min(indexColumns, p.Columns())))
	if err != nil {
		t.Fatalf("index: %v", err)
	}
	if len(x.Patches) != len(files) {
		t.Fatalf("%d files in the index, want %d", len(x.Patches), len(files))
	}
	for _, f := range files {
		patch, ok := x.Find(f.Identifier)
		if !ok {
			t.Fatalf("%q is not in the index", f.Identifier)
		}
		for _, p2 := range []Patch{patch, patch.ID(shards.BlobID{}).Patch()} { // with the index, and without
			r := columns(p, blob, patch.Start, patch.End)
			got, err := ReadFile(p, uint64(len(blob)), p2, r)
			if err != nil {
				t.Fatalf("%q: %v", f.Identifier, err)
			}
			if got.Identifier != f.Identifier || got.Size != f.Size || !maps.Equal(got.Tags, f.Tags) ||
				got.Start != patch.Start || got.End != patch.End {
				t.Errorf("got %+v, want %q of %d bytes, %v", got, f.Identifier, f.Size, f.Tags)
			}
			b, want := make([]byte, got.Size), make([]byte, f.Size)
			_, err = io.ReadFull(r, b)
			_, _ = f.Content.ReadAt(want, 0)
			if err != nil || !bytes.Equal(b, want) {
				t.Errorf("%q came back with other bytes, %v", f.Identifier, err)
			}
		}
	}
}

func TestNested(t *testing.T) {
	for _, tt := range []struct {
		names       []string
		file, below string
	}{
		{[]string{"x", "y", "xy/z", "x-/y"}, "", ""},
		{[]string{"x/y", "x-", "x"}, "x", "x/y"},
		{[]string{"a/b/c", "a/b/d", "a/b"}, "a/b", "a/b/c"},
		{[]string{"a", "a/b/c/d"}, "a", "a/b/c/d"},
		{[]string{"", "/x"}, "", "/x"},
		{nil, "", ""},
	} {
		file, below, found := Nested(slices.Values(tt.names))
		if file != tt.file || below != tt.below || found != (tt.below != "") {
			t.Errorf("%q: %q and %q, %v: want %q and %q", tt.names, file, below, found, tt.file, tt.below)
		}
	}
}

// TestSymbolSize has cases from the original's tests.
func TestSymbolSize(t *testing.T) {
	for _, tt := range []struct {
		sizes         []int64
		columns, rows int
		want          int64
	}{
		{[]int64{1}, 3, 2, 4},
		{[]int64{20, 20, 20}, 3, 5, 4},
		{[]int64{5, 5, 5}, 5, 1, 6},
		{[]int64{10, 0, 0, 0}, 17, 9, 2},
		{[]int64{
			416, 253, 258, 384, 492, 303, 276, 464, 143, 251, 388, 263, 515, 433, 505,
			385, 346, 69, 48, 495, 329, 450, 494, 104, 539, 245, 109, 317, 60,
		}, 34, 16, 32},
	} {
		if got := symbolSize(tt.sizes, int64(tt.rows), tt.columns); got != tt.want {
			t.Errorf("%v in %d columns of %d rows: symbols of %d bytes, want %d", tt.sizes, tt.columns, tt.rows, got, tt.want)
		}
	}
}

// TestRoundTrip makes quilts of random files, reads them in random pieces and takes them apart.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, err := shards.NewParams(rapid.SampledFrom([]int{4, 5, 7, 10, 13, 31}).Draw(t, "n"))
		if err != nil {
			t.Fatal(err)
		}
		identifiers := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-zé日/. ]{0,12}[a-z]`), 1, MaxFiles(p),
			rapid.ID).Draw(t, "identifiers")
		tags := rapid.MapOfN(rapid.StringN(0, 5, -1), rapid.String(), 0, 3)
		var files []File
		for i, id := range identifiers {
			files = append(files, newFile(id, content(i, rapid.IntRange(0, 5000).Draw(t, "size")), tags.Draw(t, "tags")))
		}
		q, err := New(p, files)
		if err != nil {
			t.Fatal(err)
		}
		var blob []byte
		for uint64(len(blob)) < q.Size() {
			b := make([]byte, rapid.IntRange(1, 4000).Draw(t, "piece"))
			n, err := q.ReadAt(b, int64(len(blob)))
			if n < len(b) != (err == io.EOF) {
				t.Fatalf("read %d of %d bytes: %v", n, len(b), err)
			}
			blob = append(blob, b[:n]...)
		}
		if got := p.SymbolSize(q.Size()); got != q.z {
			t.Errorf("symbols of %d bytes, the encoding makes %d of the length", q.z, got)
		}
		wantFiles(t, p, blob, files)
	})
}

// TestColumnsAreSlivers encodes a quilt: the columns of a file are secondary slivers.
func TestColumnsAreSlivers(t *testing.T) {
	p := mustParams(t, 100)
	q, err := New(p, []File{newFile("a", content(1, 8_000_000), nil), newFile("b", content(2, 100), nil)})
	if err != nil {
		t.Fatal(err)
	}
	blob := blobOf(t, q)
	meta, pairs, err := shards.Encode(p, blob)
	if err != nil {
		t.Fatal(err)
	}
	layout := meta.Layout(shards.Secondary)
	var slivers bytes.Buffer
	patch, _ := q.Index().Find("a")
	for c := patch.Start; c < patch.End; c++ {
		plain, sliver := make([]byte, layout.Size()), pairs[p.PairOfSliver(shards.Secondary, c)].Secondary
		for i := range layout.Strips() {
			off, size := layout.Strip(i)
			layout.Scatter(plain, i, sliver[off:off+int64(size)])
		}
		slivers.Write(plain)
	}
	if layout.Strips() < 2 {
		t.Errorf("%d strip: the test wants several", layout.Strips())
	}
	got, err := ReadFile(p, q.Size(), patch, &slivers)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(io.LimitReader(&slivers, got.Size))
	if err != nil || !bytes.Equal(b, content(1, 8_000_000)) {
		t.Errorf("read %d bytes that are not the file: %v", len(b), err)
	}
}

func TestRefused(t *testing.T) {
	p := mustParams(t, 7)
	big := File{Identifier: "big", Size: MaxFile, Content: bytes.NewReader(nil)}
	many := slices.Repeat([]File{newFile("x", nil, nil)}, MaxFiles(p)+1)
	for name, tt := range map[string]struct {
		files []File
		want  error
	}{
		"none":              {nil, ErrCount},
		"too many":          {many, ErrCount},
		"twice":             {many[:2], ErrDuplicate},
		"no identifier":     {[]File{newFile("", nil, nil)}, ErrIdentifier},
		"long identifier":   {[]File{newFile(strings.Repeat("a", MaxIdentifier+1), nil, nil)}, ErrIdentifier},
		"trailing space":    {[]File{newFile("a ", nil, nil)}, ErrIdentifier},
		"trailing nbsp":     {[]File{newFile("a\u00a0", nil, nil)}, ErrIdentifier},
		"control character": {[]File{newFile("a\x7fb", nil, nil)}, ErrIdentifier},
		"C1 character":      {[]File{newFile("a\u0085b", nil, nil)}, ErrIdentifier},
		"no UTF-8":          {[]File{newFile("a\xff", nil, nil)}, ErrIdentifier},
		"long tags":         {[]File{newFile("a", nil, map[string]string{"k": strings.Repeat("v", MaxTags)})}, ErrTags},
		"tags no UTF-8":     {[]File{newFile("a", nil, map[string]string{"k": "\xff"})}, ErrTags},
		"large file":        {[]File{big}, ErrTooLarge},
		"negative":          {[]File{{Identifier: "a", Size: -1}}, ErrTooLarge},
	} {
		if _, err := New(p, tt.files); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	if _, err := New(p, []File{newFile(strings.Repeat("a", MaxIdentifier), nil, nil),
		newFile(" _.a", nil, nil)}); err != nil {
		t.Errorf("what is just allowed: %v", err)
	}
	big.Size -= int64(len("big")) + 3
	if _, err := New(p, []File{big}); err != nil {
		t.Errorf("the largest file: %v", err)
	}
}

// TestShrunk reads a file that became shorter than its stated size.
func TestShrunk(t *testing.T) {
	f := newFile("short", content(1, 100), nil)
	f.Size = 200
	q, err := New(mustParams(t, 7), []File{f})
	if err != nil {
		t.Fatal(err)
	}
	_, err = q.ReadAt(make([]byte, q.Size()), 0)
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "short") {
		t.Errorf("got %v, want an unexpected end of the file, named", err)
	}
}

func TestPatchID(t *testing.T) {
	const example = "6XUOE-Q5-nAXHRifN6n9nomVDtHZQbGuAkW3PjlBuKoBAQDQAA" // from the original's documentation
	id, err := ParsePatchID(example)
	if err != nil {
		t.Fatal(err)
	}
	if id.Start != 1 || id.End != 208 || id.Quilt.String() != "6XUOE-Q5-nAXHRifN6n9nomVDtHZQbGuAkW3PjlBuKo" ||
		id.String() != example {
		t.Errorf("got %+v", id)
	}
	patch := Patch{Start: 1, End: 208}
	if patch.ID(id.Quilt) != id {
		t.Errorf("got %v", patch.ID(id.Quilt))
	}
	for _, bad := range []string{
		"", example[:49], example + "A", example[:43], strings.Replace(example, "-", "+", 1),
		example[:43] + "CAQDQAA",                             // version 2
		example[:42] + "oBAADQAA", example[:42] + "oB0ADQAA", // column 0, and none at all
	} {
		if _, err := ParsePatchID(bad); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestIndexJSON(t *testing.T) {
	b, err := json.Marshal(&Index{[]Patch{{Identifier: "a", Start: 1, End: 3}}})
	if want := `{"v1":{"quiltPatches":[{"startIndex":1,"endIndex":3,"identifier":"a","tags":{}}]}}`; err != nil ||
		string(b) != want {
		t.Errorf("got %s, %v, want %s", b, err, want)
	}
}
