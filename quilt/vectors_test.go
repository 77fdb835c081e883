package quilt

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

type vector struct {
	Name   string
	Shards int
	Files  [][]json.RawMessage // identifier, size, tags
	Length int
	SHA256 string
	Hex    string
	Ranges [][2]int
}

// TestVectors compares with another implementation's quilts of the same files.
func TestVectors(t *testing.T) {
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Vectors []vector }
	if err := json.Unmarshal(raw, &list); err != nil || len(list.Vectors) < 10 {
		t.Fatalf("%d vectors, %v", len(list.Vectors), err)
	}
	for _, v := range list.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			var files []File
			for seed, f := range v.Files {
				var identifier string
				var size int
				var tags map[string]string
				for i, into := range []any{&identifier, &size, &tags}[:len(f)] {
					if err := json.Unmarshal(f[i], into); err != nil {
						t.Fatal(err)
					}
				}
				files = append(files, newFile(identifier, content(seed, size), tags))
			}
			p := mustParams(t, v.Shards)
			q, err := New(p, files)
			if err != nil {
				t.Fatal(err)
			}
			blob := blobOf(t, q)
			for i, r := range v.Ranges {
				if got := q.Index().Patches[i]; got.Start != r[0] || got.End != r[1] {
					t.Errorf("%s is in columns %d to before %d, want %v", got.Identifier, got.Start, got.End, r)
				}
			}
			if v.Hex != "" && hex.EncodeToString(blob) != v.Hex {
				t.Errorf("blob\n%x\nwant\n%s", blob, v.Hex)
			}
			if sum := sha256.Sum256(blob); len(blob) != v.Length || hex.EncodeToString(sum[:]) != v.SHA256 {
				t.Errorf("a blob of %d bytes and hash %x, want %d and %s", len(blob), sum, v.Length, v.SHA256)
			}
			if got := p.SymbolSize(q.Size()); got != q.z {
				t.Errorf("symbols of %d bytes, the encoding makes %d of the length", q.z, got)
			}
			wantFiles(t, p, blob, files)
		})
	}
}
