package client

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"walrus/internal/ledgertest"
	"walrus/ledger"
)

// waking is a ledger that was stalled: a read of its newest state waits for the next block.
type waking struct{ *ledgertest.Chain }

func (w waking) Read(ctx context.Context, keys ...[]byte) (ledger.Reader, error) {
	select {
	case <-time.After(13 * time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return w.Chain.Read(ctx, keys...)
}

func (w waking) Peek(ctx context.Context, keys ...[]byte) (ledger.Reader, error) {
	r, err := w.Chain.Read(ctx, keys...)
	if err != nil {
		return nil, err
	}
	return r, fmt.Errorf("%w: it wakes", ErrStalled)
}

// TestNobodyWaits: operations that need no newest state get an answer at once while the ledger wakes.
func TestNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := newFake(t, 7, 28)
		data := noise(1, 50_000)
		res, err := store(t, c, data, StoreOptions{})
		if err != nil {
			t.Fatal(err)
		}
		c = f.client(f.wallet)
		c.chain = waking{f.chain}
		start := time.Now()
		var out bytes.Buffer
		if _, err := c.Read(t.Context(), res.BlobID, &out, ReadOptions{}); err != nil || !bytes.Equal(out.Bytes(), data) {
			t.Errorf("read: %v", err)
		}
		if h, err := c.Health(t.Context()); err != nil || !h.OK {
			t.Errorf("health: %v", err)
		}
		if st, err := c.BlobStatus(t.Context(), res.BlobID); err != nil || st.LedgerErr == nil {
			t.Errorf("status: %v", err)
		}
		if b, err := c.Record(t.Context(), res.Object); err != nil || b.BlobID != res.BlobID {
			t.Errorf("record: %v", err)
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("it took %v", took)
		}
	})
}

// TestWhyUnconfirmed stores while nodes fail to confirm in different ways: the result says what each node did, never
// that something was cancelled.
func TestWhyUnconfirmed(t *testing.T) {
	for _, m := range []mood{down, silent, mute, slow} {
		synctest.Test(t, func(t *testing.T) {
			f, c := newFake(t, 7, 28)
			f.moods[2] = m
			res, err := store(t, c, noise(1, 3_000_000), StoreOptions{})
			if err != nil {
				t.Fatal(err)
			}
			n := res.Nodes[2]
			if n.Confirmed || n.Why == "" || strings.Contains(n.Why, "context") || strings.Contains(n.Err.Error(), "context") {
				t.Errorf("mood %d: confirmed %v: %q, %v", m, n.Confirmed, n.Why, n.Err)
			}
		})
	}
}

// TestTail stores while two nodes are slower than the others: one that takes twice as long is waited for, one that
// takes five times as long is not.
func TestTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := newFake(t, 7, 140)
		f.pace = map[int]time.Duration{}
		for i := range f.moods {
			f.pace[i] = time.Second
		}
		f.pace[2], f.pace[4] = 2*time.Second, 5*time.Second
		start := time.Now()
		res, err := store(t, c, noise(1, 3_000_000), StoreOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range res.Nodes {
			if n.Confirmed != (i != 4) {
				t.Errorf("node %d: confirmed %v: %s", i, n.Confirmed, n.Why)
			}
		}
		if took := time.Since(start); took > 23*time.Second { // a node takes 10 s for its part
			t.Errorf("it took %v", took)
		}
	})
}
