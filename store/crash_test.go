package store

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
)

// TestKill kills a writing process again and again: synced data is present, and all present data is whole.
func TestKill(t *testing.T) {
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	dir := t.TempDir()
	next, synced := 0, -1
	for round := range rounds {
		c := command(t.Context(), "writer", dir, fmt.Sprintf("STORE_TEST_START=%d", next))
		out, err := c.StdoutPipe()
		check(t, err)
		check(t, c.Start())
		lines := bufio.NewScanner(out)
		for range 3 + rand.IntN(12) {
			if !lines.Scan() {
				break
			}
			n, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatalf("round %d: %s", round, lines.Text())
			}
			synced = n
		}
		check(t, c.Process.Kill())
		for lines.Scan() { // what was said before the signal came
			if n, err := strconv.Atoi(lines.Text()); err == nil {
				synced = n
			}
		}
		if err := c.Wait(); err == nil {
			t.Fatal("the writer ended by itself")
		}
		next = afterKill(t, dir, synced)
	}
}

// afterKill checks the store and returns the number of the first sliver that is missing.
func afterKill(t *testing.T, dir string, synced int) int {
	s, err := Open(small(dir))
	check(t, err)
	if doubts := wantCounts(t, s); doubts > 0 {
		t.Errorf("%d databases are in doubt: a kill loses nothing", doubts)
	}
	n := 0
	for ; ; n++ {
		ref := Ref{Blob: blobID(n), Shard: n % 4}
		got, err := get(s, ref)
		if err == nil && !bytes.Equal(got, content(ref, killSize(n))) {
			t.Fatalf("sliver %d differs", n)
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			t.Fatal(err)
		}
		if n > synced {
			if err != nil {
				break
			}
			continue
		}
		check(t, err)
		m, err := s.Metadata(ref.Blob)
		check(t, err)
		if !bytes.Equal(m, meta(n)) {
			t.Fatalf("metadata %d differs", n)
		}
	}
	_, err = s.Scrub(context.Background(), func(r Ref, err error) {
		t.Errorf("%v: %v", r, err)
	})
	check(t, err)
	check(t, s.tending.settle(t.Context()))
	if i := s.Incidents(); len(i) > 0 {
		t.Errorf("incidents after a kill: %+v", i)
	}
	check(t, s.Close())
	return n
}
