package keeper

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"walrus/shards"
	"walrus/store"
)

const scrubSlivers, scrubSliver = 50, 200_000

// fillStore makes a store with some 10 MB of slivers.
func fillStore(t *testing.T, dir string) {
	t.Helper()
	st := openStore(t, dir)
	id := shards.BlobID{1}
	if err := st.PutBlob(id, []byte("m"), 5); err != nil {
		t.Fatal(err)
	}
	for i := range scrubSlivers {
		w, err := st.Create(store.Ref{Blob: id, Shard: i}, scrubSliver)
		if err == nil {
			_, err = w.Write(bytes.Repeat([]byte{byte(i)}, scrubSliver))
		}
		if err == nil {
			err = w.Commit()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}

func openStore(t *testing.T, dir string) *store.Store {
	t.Helper()
	st, err := store.Open(store.Default(dir))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// scrubFor runs a scrubber with the default period on the store in dir for some time, and returns the bytes it read.
func scrubFor(t *testing.T, dir string, d time.Duration) int64 {
	t.Helper()
	st := openStore(t, dir)
	s := &scrubber{
		shelf: &shelf{Store: st}, period: Default().Scrub, log: slog.New(slog.DiscardHandler),
		note: func(ref store.Ref, err error) { t.Errorf("%v: %v", ref, err) },
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	checked := false
	if err := s.run(ctx, func() { checked = true }); err != nil || !checked {
		t.Errorf("scrub: %v, newest writes checked: %t", err, checked)
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
	return s.read
}

// TestScrubRestarts: restarts in a row read next to nothing, a node that is left alone reads everything once in a
// period, at its pace, and continues after a restart.
func TestScrubRestarts(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		fillStore(t, dir)
		const all = scrubSlivers * scrubSliver
		var read int64
		for range 30 {
			read += scrubFor(t, dir, 20*time.Second)
		}
		if read > all/100 {
			t.Errorf("30 restarts read %d of %d bytes", read, all)
		}
		read = scrubFor(t, dir, scrubSettle+time.Second)
		if read == 0 || read > all*3/4 {
			t.Errorf("read %d of %d bytes in a second", read, all)
		}
		read += scrubFor(t, dir, time.Hour)
		if read < all || read > all*5/4 {
			t.Errorf("read %d of %d bytes in two runs", read, all)
		}
		if read = scrubFor(t, dir, 24*time.Hour); read > 0 {
			t.Errorf("read %d bytes again on the same day", read)
		}
		if read = scrubFor(t, dir, Default().Scrub); read < all {
			t.Errorf("read %d of %d bytes in the next period", read, all)
		}
	})
}

func TestScrubPause(t *testing.T) {
	for _, c := range []struct {
		took        time.Duration
		n           int64
		share, rate int64
		want        time.Duration
	}{
		{time.Second, 4 << 20, 10, 4 << 20, 9 * time.Second},                  // a slow disk: a tenth of its time
		{10 * time.Millisecond, 4 << 20, 10, 4 << 20, 990 * time.Millisecond}, // a fast one: the rate
		{10 * time.Millisecond, 40 << 20, 2, 0, 10 * time.Millisecond},
		{0, 0, 10, 1, 0},
	} {
		if got := scrubPause(c.took, c.n, c.share, c.rate); got != c.want {
			t.Errorf("%v, %d bytes, share %d, rate %d: rests %v, want %v", c.took, c.n, c.share, c.rate, got, c.want)
		}
	}
	if got := rateOver(10<<40, 14*24*time.Hour); got < 10<<40/(14*24*3600) || got > 11<<40/(14*24*3600)*11/10 {
		t.Errorf("10 TiB in 14 days at %d bytes per second", got)
	}
}
