package light

import (
	"errors"
	"testing"
	"time"

	"walrus/ledger"
)

// TestHeaderBefore finds the newest block before every moment of a chain, and none before its first.
func TestHeaderBefore(t *testing.T) {
	w := newWorld(t)
	c := w.asking(t, w.honest)
	first, err := c.Header(limited(t), 2)
	if err != nil {
		t.Fatal(err)
	}
	end := w.height()
	for i := range 20 {
		w.add(t, blockOf{time: time.Now().Add(-2*time.Minute + time.Duration(i)*5*time.Second)})
	}
	for height := end + 1; height <= end+20; height++ {
		at, err := c.Header(limited(t), height)
		if err != nil {
			t.Fatal(err)
		}
		h, err := c.HeaderBefore(limited(t), at.Time)
		if err != nil || h.Height != height-1 {
			t.Errorf("before the time of block %d: %+v, %v", height, h, err)
		}
		h, err = c.HeaderBefore(limited(t), at.Time.Add(1))
		if err != nil || h.Height != height || h.AppHash != at.AppHash || h.AppHash == ([32]byte{}) {
			t.Errorf("just after block %d: %+v, %v", height, h, err)
		}
	}
	if h, err := c.HeaderBefore(limited(t), first.Time.Add(-24*time.Hour)); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("before the ledger: %+v, %v", h, err)
	}
}
