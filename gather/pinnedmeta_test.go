package gather

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"walrus/shards"
)

// TestMetadata: the first peer with the right metadata counts. Silent peers cost half a second each, those that fail or
// lie nothing, and all of them are told.
func TestMetadata(t *testing.T) {
	p, err := shards.NewParams(7)
	if err != nil {
		t.Fatal(err)
	}
	metadata := func(text string) *shards.Metadata {
		enc, err := shards.NewEncoder(p, shards.Bytes([]byte(text)), uint64(len(text)))
		if err != nil {
			t.Fatal(err)
		}
		m, err := enc.Metadata(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	right, wrong := metadata("right"), metadata("wrong")
	for _, tt := range []struct {
		peers  string // r: right, w: wrong, f: fails, s: silent
		who    int
		took   time.Duration
		failed string
	}{
		{"r", 0, 0, "[]"}, {"sr", 1, 0, "[]"}, {"ssr", 2, metadataHedge, "[]"}, {"wffr", 3, 0, "[0 1 2]"},
		{"ssssr", 4, 3 * metadataHedge, "[]"}, {"wff", -1, 0, "[0 1 2]"}, {"", -1, 0, "[]"}, {"ss", -1, time.Minute, "[]"},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			start := time.Now()
			failed := make([]bool, len(tt.peers))
			who, raw, meta := Metadata(ctx, p, right.ID(), len(tt.peers), func(ctx context.Context, i int) ([]byte, error) {
				<-time.After(time.Duration(i+1) * time.Microsecond) // one answer after the other
				switch tt.peers[i] {
				case 'r':
					return right.Marshal(), nil
				case 'w':
					return wrong.Marshal(), nil
				case 'f':
					return nil, errors.New("it has none")
				}
				<-ctx.Done()
				<-time.After(time.Microsecond)
				return nil, ctx.Err()
			}, func(i int, _ error) { failed[i] = true })
			told := []int{}
			for i, f := range failed {
				if f {
					told = append(told, i)
				}
			}
			if took := time.Since(start).Truncate(time.Millisecond); who != tt.who || took != tt.took || fmt.Sprint(told) != tt.failed {
				t.Errorf("%q: peer %d after %v, told of %v", tt.peers, who, took, told)
			}
			if who >= 0 && (meta.ID() != right.ID() || string(raw) != string(right.Marshal())) {
				t.Errorf("%q: the metadata of another blob", tt.peers)
			}
		})
	}
}
