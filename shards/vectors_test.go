package shards

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"testing"
)

// vector is one encoding made by the original Walrus (its WebAssembly build). The blob is testBlob(length). The
// hashes are the first 16 bytes of SHA-256: over all roots by pair (primary, secondary), over all primary slivers by
// index, and over all secondary ones, with their symbols one after the other.
type vector struct {
	N           int      `json:"n"`
	Length      int      `json:"length"`
	ID          string   `json:"id"`
	Pairs       string   `json:"pairs"`
	Primaries   string   `json:"primaries"`
	Secondaries string   `json:"secondaries"`
	Primary     []string `json:"primary"`   // the slivers themselves, for small blobs
	Secondary   []string `json:"secondary"` // likewise
}

// testBlob returns the SHA-256 hashes of 0, 1, 2… as 64-bit little-endian integers, cut to length.
func testBlob(length int) []byte {
	b := make([]byte, 0, length+sha256.Size)
	for i := uint64(0); len(b) < length; i++ {
		h := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, i))
		b = append(b, h[:]...)
	}
	return b[:length]
}

func readVectors(t testing.TB, path string) []vector {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	for line := range bytes.Lines(b) {
		var v vector
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		vectors = append(vectors, v)
	}
	return vectors
}

func TestVectors(t *testing.T) {
	for _, v := range readVectors(t, "testdata/vectors.jsonl") {
		if testing.Short() && v.N > 130 {
			continue
		}
		t.Run(fmt.Sprintf("n=%d/length=%d", v.N, v.Length), func(t *testing.T) { v.check(t) })
	}
}

func (v vector) check(t *testing.T) {
	p := mustParams(t, v.N)
	m, pairs, err := Encode(p, testBlob(v.Length))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.ID().String(); got != v.ID {
		t.Errorf("blob ID %s: want %s", got, v.ID)
	}
	hash := sha256.New()
	hash.Write(m.Marshal()[metadataHeader:])
	if got := hex.EncodeToString(hash.Sum(nil)[:16]); got != v.Pairs {
		t.Errorf("roots %s: want %s", got, v.Pairs)
	}
	for _, axis := range []Axis{Primary, Secondary} {
		want, whole := v.Primaries, v.Primary
		if axis == Secondary {
			want, whole = v.Secondaries, v.Secondary
		}
		hash := sha256.New()
		for i := range p.Shards() {
			sliver := plainOrder(m.Layout(axis), sliverOf(pairs, p, axis, i))
			hash.Write(sliver)
			if whole != nil && hex.EncodeToString(sliver) != whole[i] {
				t.Errorf("%s sliver %d: %x: want %s", axis, i, sliver, whole[i])
			}
		}
		if got := hex.EncodeToString(hash.Sum(nil)[:16]); got != want {
			t.Errorf("%s slivers %s: want %s", axis, got, want)
		}
	}
}

// TestPublishedIDs checks vectors published by others.
func TestPublishedIDs(t *testing.T) {
	for _, v := range []struct {
		n        int
		blob, id string
	}{
		{10, "walrus blob id v1 regression test", "RcU82Mwf-CFkv1LaI_2qcpANwpGUuG3TMwnVzZxD2kY"},
		{1000, "", "3GPQL3HZNnFhN_F7l5Aa-X1VOtAKwIsg9zuWk8R81v4"},
		{1000, "some other string", "M4hsZGQ1oCktdzegB6HnI6Mi28S2nqOPHxK-W7_4BUk"},
		{13, "hello walrus", "L7kEHGCfjbprqWB_nErMKo-ltQk0YEa01MiNytG1bJE"},
	} {
		m, _, err := Encode(mustParams(t, v.n), []byte(v.blob))
		if err != nil {
			t.Fatal(err)
		}
		if got := m.ID().String(); got != v.id {
			t.Errorf("n=%d %q: %s: want %s", v.n, v.blob, got, v.id)
		}
	}
}

func mustParams(t testing.TB, n int) Params {
	t.Helper()
	p, err := NewParams(n)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func sliverOf(pairs []Pair, p Params, axis Axis, index int) []byte {
	pair := pairs[p.PairOfSliver(axis, index)]
	if axis == Primary {
		return pair.Primary
	}
	return pair.Secondary
}

func plainOrder(l Layout, sliver []byte) []byte {
	plain := make([]byte, len(sliver))
	for t := range l.Strips() {
		offset, size := l.Strip(t)
		l.Scatter(plain, t, sliver[offset:][:size])
	}
	return plain
}

// TestLongSymbols compares pass one with the code for a single sliver, for blobs that take several windows of hashing
// and several strips and end with source rows of zeros.
func TestLongSymbols(t *testing.T) {
	r := newRand(t)
	for _, c := range []struct{ n, size, more int }{
		{1000, 256, 1}, {100, 2048, 1}, {100, 2100, -1}, {100, 4096, 3}, {67, 4096, 1}, {33, 4096, 1}, {16, 4100, 0},
	} {
		if testing.Short() && c.n > 100 {
			continue
		}
		p := mustParams(t, c.n)
		blob := randomBytes(r, p.Rows()*p.Columns()*c.size+c.more)
		t.Run(fmt.Sprintf("n=%d/length=%d", c.n, len(blob)), func(t *testing.T) {
			checkStreams(t, p, blob, []int{0, p.Rows() - 2, p.Rows() - 1, p.Rows(), p.Columns() - 1, p.Columns(),
				c.n - 1, r.IntN(c.n)})
		})
	}
}

// checkStreams verifies the slivers at indices strip by strip as they are encoded.
func checkStreams(t *testing.T, p Params, blob []byte, indices []int) {
	e, err := NewEncoder(p, bytes.NewReader(blob), uint64(len(blob)))
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.Metadata(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	verifiers := map[Axis]map[int]*Verifier{Primary: {}, Secondary: {}}
	for axis, of := range verifiers {
		for _, i := range indices {
			if of[i], err = NewVerifier(m, axis, i); err != nil {
				t.Fatal(err)
			}
		}
	}
	err = e.Strips(t.Context(), func(s *Strip) error {
		defer s.Release()
		for axis, of := range verifiers {
			for i, v := range of {
				if err := v.WriteStrip(s.Sliver(axis, i)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range verifiers {
		for _, v := range of {
			if err := v.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
