package client

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestPayAfterAccepted: nothing is paid before nodes with a quorum of shards have accepted the blob, however long
// they are busy, and nothing at all if too few ever do.
func TestPayAfterAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := newFake(t, 7, 28)
		data := noise(1, 1000)
		start := time.Now()
		f.busy = func(i int, pairs bool) bool { return i > 1 && !pairs && time.Since(start) < 5*time.Minute }
		before := f.balance()
		res := make(chan error, 1)
		go func() {
			_, err := c.Store(t.Context(), bytes.NewReader(data), 1000, StoreOptions{})
			res <- err
		}()
		time.Sleep(4 * time.Minute)
		if f.balance() != before {
			t.Error("paid while most nodes were busy")
		}
		if err := <-res; err != nil || time.Since(start) < 5*time.Minute {
			t.Errorf("after %v: %v", time.Since(start), err)
		}

		before = f.balance()
		f.busy = func(int, bool) bool { return true }
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := c.Store(short, bytes.NewReader(noise(2, 1000)), 1000,
			StoreOptions{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the user has left: %v", err)
		}
		f.busy = nil
		f.moods[4], f.moods[5], f.moods[6] = full, full, full
		_, err := c.Store(t.Context(), bytes.NewReader(noise(3, 1000)), 1000, StoreOptions{})
		var few *NotEnoughError
		if !errors.As(err, &few) || few.Have != 16 || few.Needed != 19 || len(few.Nodes) != 3 ||
			!strings.Contains(err.Error(), "16 of 28 shards accepted") || !strings.Contains(err.Error(), "nothing was paid") {
			t.Errorf("three nodes are full: %v", err)
		}
		if f.balance() != before {
			t.Errorf("%v were paid for nothing", before-f.balance())
		}
	})
}

// TestBusyBeforeEachByte: a node that is busy when the pairs come is asked again, and gets each byte once.
func TestBusyBeforeEachByte(t *testing.T) {
	for _, size := range []int{1000, 4 << 20} { // sent with the request, and after it
		synctest.Test(t, func(t *testing.T) {
			f, c := newFake(t, 7, 28)
			var asked atomic.Int32
			f.busy = func(_ int, pairs bool) bool { return pairs && asked.Add(1) < 60 }
			data := noise(4, size)
			res, err := store(t, c, data, StoreOptions{})
			if err != nil || res.Confirmed < res.Needed {
				t.Fatalf("%d bytes: %v", size, err)
			}
			var sent, got int64
			for i, n := range res.Nodes {
				sent += n.Sent
				got += f.nodes[i].received
			}
			if want := 28 * layoutsOf(f, size); sent != want || got != want {
				t.Errorf("%d bytes: sent %d, received %d, want %d", size, sent, got, want)
			}
		})
	}
}
