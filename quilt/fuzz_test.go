package quilt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

// zeroAfter returns b followed by zeros, as columns of any content.
func zeroAfter(b []byte) io.Reader { return io.MultiReader(bytes.NewReader(b), zeros{}) }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// FuzzReadIndex: bytes that are no index give ErrFormat; an index encodes to the same bytes again.
func FuzzReadIndex(f *testing.F) {
	p := mustParams(f, 10)
	q, err := New(p, []File{newFile("a", nil, nil),
		newFile("b/c", content(1, 9), map[string]string{"k": "v", "kk": "", "j": "1"})})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint16(q.z), q.pieces[0].head)
	f.Add(uint16(2), []byte{1, 1, 0, 0, 0, 0})
	f.Add(uint16(100), []byte{1, 0xff, 0xff, 0xff, 0xff, 0x80})
	f.Fuzz(func(t *testing.T, z uint16, b []byte) {
		length := uint64(z&^1) * uint64(p.Rows()*p.Columns())
		x, err := ReadIndex(p, length, zeroAfter(b))
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Errorf("%v does not wrap ErrFormat", err)
			}
			return
		}
		last := 1
		for _, patch := range x.Patches {
			if patch.Start < last || patch.End <= patch.Start || patch.End > p.Columns() {
				t.Errorf("columns %d to before %d", patch.Start, patch.End)
			}
			last = patch.End
		}
		again := x.marshal()
		if n := min(len(again), len(b)); !bytes.Equal(again[:n], b[:n]) || int64(len(again)) != x.size() {
			t.Errorf("read\n%x\nwrote\n%x", b, again)
		}
	})
}

// FuzzReadFile: bytes that are no file give ErrFormat; a file fits into its columns.
func FuzzReadFile(f *testing.F) {
	p := mustParams(f, 10)
	for _, file := range []File{newFile("a", content(1, 20), nil),
		newFile("b/c", nil, map[string]string{"k": "v", "kk": "", "j": "1"})} {
		head, err := fileHead(&file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint16(32), head)
	}
	f.Add(uint16(2), []byte{1, 0xff, 0xff, 0xff, 0xff, 1, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, z uint16, b []byte) {
		length := uint64(z&^1) * uint64(p.Rows()*p.Columns())
		r := zeroAfter(b)
		patch, err := ReadFile(p, length, Patch{Start: 2, End: 5}, r)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Errorf("%v does not wrap ErrFormat", err)
			}
			return
		}
		room := 3 * int64(p.Rows()) * p.SymbolSize(length)
		if patch.Size < 0 || patch.Size > room {
			t.Errorf("%d bytes in columns of %d", patch.Size, room)
		}
		head, err := fileHead(&File{Identifier: patch.Identifier, Tags: patch.Tags, Size: patch.Size})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(head); n <= len(b) && len(patch.Tags) > 0 == (b[5]&hasTags != 0) {
			b[5] &= hasTags
			if !bytes.Equal(head, b[:n]) {
				t.Errorf("read\n%x\nwrote\n%x", b[:n], head)
			}
		}
	})
}

// FuzzParsePatchID: a parsed ID prints the same text.
func FuzzParsePatchID(f *testing.F) {
	f.Add("6XUOE-Q5-nAXHRifN6n9nomVDtHZQbGuAkW3PjlBuKoBAQDQAA")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParsePatchID(s)
		if err == nil && id.String() != s {
			t.Errorf("%q is written %q", s, id)
		}
		if err != nil && !errors.Is(err, ErrFormat) {
			t.Errorf("%v does not wrap ErrFormat", err)
		}
	})
}

// TestMalformed reads what a malicious writer may have stored.
func TestMalformed(t *testing.T) {
	p := mustParams(t, 10)
	length := uint64(1000 * p.Rows() * p.Columns())
	index := func(b ...byte) []byte {
		return append(binary.LittleEndian.AppendUint32([]byte{1}, uint32(len(b))), b...)
	}
	for name, b := range map[string][]byte{
		"version":          {2, 1, 0, 0, 0, 0},
		"too long":         {1, 0xff, 0xff, 0, 0, 0},
		"too many files":   index(7),
		"too short":        index(1, 2, 0),
		"too much":         index(0, 0),
		"long count":       index(0x80, 0),
		"no column":        index(1, 1, 0, 1, 'a', 0),
		"columns back":     index(2, 3, 0, 1, 'a', 0, 2, 0, 1, 'b', 0),
		"column beyond":    index(1, 8, 0, 1, 'a', 0),
		"no UTF-8":         index(1, 2, 0, 1, 0xff, 0),
		"long identifier":  index(1, 2, 0, 0xff, 0xff, 0xff, 0xff, 0x07, 0),
		"tags not sorted":  index(1, 2, 0, 1, 'a', 2, 1, 'k', 0, 1, 'j', 0),
		"tags twice":       index(1, 2, 0, 1, 'a', 2, 1, 'k', 0, 1, 'k', 0),
		"billions of tags": index(1, 2, 0, 1, 'a', 0xff, 0xff, 0xff, 0xff, 0x07),
	} {
		if x, err := ReadIndex(p, length, zeroAfter(b)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v, %v", name, x, err)
		}
	}
	for name, b := range map[string][]byte{
		"zeros":            {0},
		"too long":         {1, 0xff, 0xff, 0, 0, 0, 2, 0, 1, 'a'},
		"empty":            {1, 0, 0, 0, 0, 0},
		"short":            {1, 3, 0, 0, 0, 0, 2, 0, 1, 'a'},
		"identifier short": {1, 9, 0, 0, 0, 0, 3, 0, 1, 'a'},
		"identifier long":  {1, 9, 0, 0, 0, 0, 2, 0, 2, 'a', 'b'},
		"identifier space": {1, 4, 0, 0, 0, 0, 2, 0, 1, ' '},
		"no tags":          {1, 4, 0, 0, 0, 1, 2, 0, 1, 'a'},
		"tags long":        {1, 9, 0, 0, 0, 1, 2, 0, 1, 'a', 9, 0, 1},
	} {
		if patch, err := ReadFile(p, length, Patch{Start: 1, End: 2}, zeroAfter(b)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %+v, %v", name, patch, err)
		}
	}
	ok := []byte{1, 4, 0, 0, 0, 0, 2, 0, 1, 'a'}
	for _, patch := range []Patch{{Start: 0, End: 1}, {Start: 2, End: 2}, {Start: 1, End: 8},
		{Identifier: "b", Start: 1, End: 2}} {
		if _, err := ReadFile(p, length, patch, zeroAfter(ok)); !errors.Is(err, ErrFormat) {
			t.Errorf("%+v: %v", patch, err)
		}
	}
	for _, bad := range []uint64{0, 1, length - 1, length + 2, 1 << 62} {
		if _, err := ReadFile(p, bad, Patch{Start: 1, End: 2}, zeroAfter(ok)); !errors.Is(err, ErrFormat) {
			t.Errorf("a blob of %d bytes: %v", bad, err)
		}
	}
	failing := errors.New("the network is down")
	if _, err := ReadFile(p, length, Patch{Start: 1, End: 2},
		io.MultiReader(bytes.NewReader(ok[:7]), failed{failing})); !errors.Is(err, failing) || errors.Is(err, ErrFormat) {
		t.Errorf("got %v, want the reader's own error", err)
	}
}

type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }
