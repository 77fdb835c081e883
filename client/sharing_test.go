package client

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
)

// TestSharedFetch reads one blob 256 times at once: each row is fetched once, also without a cache.
func TestSharedFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := newFake(t, 7, 28)
		data := noise(64, 300_000)
		b := opened(t, c, data)
		f.latency = 10 * time.Millisecond
		var g errgroup.Group
		for i := range 256 {
			g.Go(func() error {
				r := rand.New(rand.NewPCG(65, uint64(i)))
				off := r.IntN(len(data))
				n := min(1+r.IntN(5000), len(data)-off)
				var out bytes.Buffer
				_, err := b.CopyRange(t.Context(), &out, int64(off), int64(n), ReadOptions{})
				if err == nil && !bytes.Equal(out.Bytes(), data[off:off+n]) {
					err = errors.New("wrong bytes")
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		asked := f.fetched()
		for row, times := range asked {
			if times != 1 {
				t.Errorf("row %d was fetched %d times", row, times)
			}
		}
		if len(asked) != f.com.Params().Rows() || len(c.flights.calls) != 0 {
			t.Errorf("fetched %v, %d flights are left", asked, len(c.flights.calls))
		}
	})
}

// TestSharedCancel cancels concurrent readers one by one: the others get their row, and the fetch ends with the last
// reader.
func TestSharedCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := newFake(t, 7, 28)
		data := noise(66, 300_000)
		b := opened(t, c, data)
		f.latency = time.Second
		read := func(ctx context.Context) <-chan error {
			done := make(chan error, 1)
			go func() {
				var out bytes.Buffer
				_, err := b.CopyRange(ctx, &out, 0, 100, ReadOptions{})
				if err == nil && !bytes.Equal(out.Bytes(), data[:100]) {
					err = errors.New("wrong bytes")
				}
				done <- err
			}()
			synctest.Wait()
			return done
		}
		ctx, cancel := context.WithCancel(t.Context())
		first := read(ctx)
		second := read(t.Context())
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		if err := <-second; err != nil || f.cut != 0 || f.fetched()[0] != 1 {
			t.Errorf("the other: %v, %d fetches were cut off", err, f.cut)
		}

		ctx, cancel = context.WithCancel(t.Context())
		first, second = read(ctx), read(ctx)
		start := time.Now()
		cancel()
		if err := errors.Join(<-first, <-second); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		if f.cut != 1 || time.Since(start) > 0 || len(c.flights.calls) != 0 {
			t.Errorf("%d fetches were cut off after %v, %d are left", f.cut, time.Since(start), len(c.flights.calls))
		}
	})
}

// TestSharedDecoding reads one blob 256 times at once while a node is down: missing rows are decoded once, and no row
// is fetched twice.
func TestSharedDecoding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := newFake(t, 7, 28)
		cached(t, c, t.TempDir(), 10<<20)
		defer c.Close()
		data := noise(67, 300_000)
		b := opened(t, c, data)
		f.latency = 10 * time.Millisecond
		f.moods[1], f.moods[5] = down, silent
		missing := 0
		for i := range f.com.Params().Rows() {
			if o := f.rowOwner(b.id, i); o == 1 || o == 5 {
				missing++
			}
		}
		var decoded atomic.Int64
		var g errgroup.Group
		for range 256 {
			g.Go(func() error {
				var out bytes.Buffer
				res, err := b.CopyRange(t.Context(), &out, 0, int64(len(data)), ReadOptions{})
				if err == nil && !bytes.Equal(out.Bytes(), data) {
					err = errors.New("wrong bytes")
				}
				decoded.Add(int64(res.Decoded))
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		if decoded.Load() != int64(missing) {
			t.Errorf("%d rows are missing, %d were decoded", missing, decoded.Load())
		}
		for row, times := range f.fetched() {
			if times != 1 && f.rowOwner(b.id, row) != 5 {
				t.Errorf("row %d was fetched %d times", row, times)
			}
		}
	})
}
