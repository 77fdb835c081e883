package shards

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// TestWindowsAgree reads blobs through an io.ReaderAt, from memory into a buffer, and in place, and compares every
// byte.
func TestWindowsAgree(t *testing.T) {
	r := newRand(t)
	for range 200 {
		p := mustParams(t, 4+r.IntN(20))
		blob := randomBytes(r, 8*r.IntN(2000))
		src := source{Params: p, r: bytes.NewReader(blob), length: int64(len(blob)), z: p.SymbolSize(uint64(len(blob)))}
		inMemory := src
		inMemory.r = Bytes(blob)
		live := src.live()
		unit := int(min(int64(groupSize*(1+r.IntN(4))), src.z))
		read, gathered, place := newWindow(&src, live, unit), newWindow(&inMemory, live, unit), newWindow(&inMemory, live,
			unit)
		gathered.place = false
		windows := []*window{read, gathered, place}
		for _, w := range windows[:2] {
			w.reach = min(w.reach, unit*(1+r.IntN(5)))
		}
		for at := int64(0); at < src.z; at += int64(unit) {
			width := int(min(int64(unit), src.z-at))
			for _, w := range windows {
				if err := w.load(at, width, nil); err != nil {
					t.Fatal(err)
				}
				plane := w.plane(at)
				for i := range live {
					for j := range p.Columns() {
						want := make([]byte, width)
						if from := (int64(i*p.Columns()+j))*src.z + at; from < src.length {
							copy(want, blob[from:])
						}
						if got := plane.cell(i, j)[:width]; !bytes.Equal(got, want) {
							t.Fatalf("n=%d, blob of %d: symbol (%d, %d) from %d differs", p.n, len(blob), i, j, at)
						}
						if got := w.near(i, at).cell(i, j)[:width]; !bytes.Equal(got, want) {
							t.Fatalf("n=%d, blob of %d: symbol (%d, %d) from %d differs where it was seen", p.n, len(blob), i, j, at)
						}
					}
				}
			}
		}
	}
}

// TestLoadSeesEachRowOnce counts the rows that load passes to seen, whether it reads or not.
func TestLoadSeesEachRowOnce(t *testing.T) {
	p := mustParams(t, 10)
	blob := make([]byte, 20_000)
	for _, r := range []io.ReaderAt{bytes.NewReader(blob), Bytes(blob)} {
		src := source{Params: p, r: r, length: int64(len(blob)), z: p.SymbolSize(uint64(len(blob)))}
		w := newWindow(&src, p.Rows(), groupSize)
		for range 2 {
			seen := make([]bool, p.Rows())
			if err := w.load(0, groupSize, func(_ *workspace, i int) {
				if seen[i] {
					t.Errorf("row %d twice", i)
				}
				seen[i] = true
			}); err != nil {
				t.Fatal(err)
			}
			for i := range seen {
				if !seen[i] {
					t.Errorf("row %d not seen", i)
				}
			}
		}
	}
}

func TestBytes(t *testing.T) {
	b := Bytes("walrus")
	buf := make([]byte, 3)
	if n, err := b.ReadAt(buf, 2); n != 3 || err != nil || string(buf) != "lru" {
		t.Errorf("%d, %v, %q", n, err, buf)
	}
	if n, err := b.ReadAt(buf, 5); n != 1 || err != io.EOF {
		t.Errorf("past the end: %d, %v", n, err)
	}
	if n, err := b.ReadAt(buf, 7); n != 0 || err != io.EOF {
		t.Errorf("after the end: %d, %v", n, err)
	}
	if _, err := b.ReadAt(buf, -1); err == nil {
		t.Error("negative offset: no error")
	}
	e, err := NewEncoder(mustParams(t, 10), b, 100)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Metadata(t.Context(), nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("blob shorter than said: %v", err)
	}
}
