package client

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"walrus/ledger"
	"walrus/shards"
)

// countingLedger counts reads of values.
type countingLedger struct {
	Ledger
	reads atomic.Int64
}

func (l *countingLedger) Peek(ctx context.Context, keys ...[]byte) (ledger.Reader, error) {
	l.reads.Add(1)
	return l.Ledger.Peek(ctx, keys...)
}

// TestOpenShared opens one blob many times at once, and soon after: it is looked for once, and again after some time.
func TestOpenShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := newFake(t, 7, 28)
		data := noise(70, 10_000)
		res, err := store(t, c, data, StoreOptions{})
		if err != nil {
			t.Fatal(err)
		}
		counting := &countingLedger{Ledger: c.chain}
		c.chain = counting
		open := func() {
			var g errgroup.Group
			for range 256 {
				g.Go(func() error {
					_, err := c.Open(t.Context(), res.BlobID)
					return err
				})
			}
			if err := g.Wait(); err != nil {
				t.Fatal(err)
			}
		}
		for want := int64(1); want <= 2; want++ {
			open()
			open()
			if n := counting.reads.Load(); n != want {
				t.Errorf("the ledger was asked %d times, not %d", n, want)
			}
			time.Sleep(openFresh)
		}
		// deletion by others is noticed late
		open()
		if _, err := f.client(f.wallet).Delete(t.Context(), res.Object); err != nil {
			t.Fatal(err)
		}
		open()
		time.Sleep(openFresh)
		if _, err := c.Open(t.Context(), res.BlobID); !errors.Is(err, ErrNotFound) {
			t.Errorf("deleted by another: %v", err)
		}
	})
}

// TestOpenForgets: a blob that this client deletes is gone at once, and a blob not found before is found once it
// exists.
func TestOpenForgets(t *testing.T) {
	_, c := newFake(t, 7, 28)
	data := noise(71, 10_000)
	b := opened(t, c, data)
	list, err := c.ListBlobs(t.Context(), false)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if _, err := c.Delete(t.Context(), list[0].Object); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(t.Context(), b.id, io.Discard, ReadOptions{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
	copyAll(t, opened(t, c, data), data)
}

// TestOpenCancelled cancels one of two concurrent Opens: the other succeeds.
func TestOpenCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := newFake(t, 7, 28)
		res, err := store(t, c, noise(72, 10_000), StoreOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range f.moods {
			f.moods[i] = silent
		}
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { _, err := c.Open(ctx, res.BlobID); first <- err }()
		synctest.Wait()
		go func() { _, err := c.Open(t.Context(), res.BlobID); second <- err }()
		synctest.Wait()
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		var few *NotEnoughError
		if err := <-second; !errors.As(err, &few) {
			t.Errorf("the other: %v", err)
		}
	})
}

func TestOpenedBound(t *testing.T) {
	o := newOpenedBlobs()
	id := func(i int) shards.BlobID { return shards.BlobID{byte(i), byte(i >> 8)} }
	for i := range maxOpened + 10 {
		o.put(&foundBlob{blob: &Blob{id: id(i)}})
		o.put(&foundBlob{blob: &Blob{id: id(i)}})
		if o.get(id(0)) == nil {
			t.Fatal("the one used last is forgotten")
		}
	}
	if len(o.byID) != maxOpened || o.order.Len() != maxOpened || o.get(id(1)) != nil || o.get(id(maxOpened)) == nil {
		t.Errorf("remembers %d", len(o.byID))
	}
}
