package keeper

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"walrus/certs"
	"walrus/p2p"
	"walrus/shards"
)

// TestNotAdmitted: a node that others cannot reach takes no uploads, confirms nothing and does not serve; once admitted
// it does.
func TestNotAdmitted(t *testing.T) {
	var closed atomic.Bool
	closed.Store(true)
	a := &admission{refusal: func() error {
		if closed.Load() {
			return errors.New("nobody has dialled back")
		}
		return nil
	}}
	r, c := &receiver{admitted: a, meters: newMeters()}, &confirmer{admitted: a}
	_, offer := r.PutMetadata(t.Context(), "", shards.BlobID{}, nil, 0, nil)
	upload := r.StorePairs(t.Context(), "", shards.BlobID{}, nil, nil, nil, 0)
	_, confirm := c.Confirm(t.Context(), shards.BlobID{}, certs.Persistence{})
	for name, err := range map[string]error{"offer": offer, "upload": upload, "confirm": confirm} {
		if !errors.Is(err, p2p.ErrUnavailable) || !strings.Contains(err.Error(), "nobody has dialled back") {
			t.Errorf("%s: %v", name, err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		l := newLife(slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- l.runServing(ctx, a.wait) }()
		l.heard.set()
		time.Sleep(time.Minute)
		synctest.Wait()
		if l.now() == Serving {
			t.Error("serves before it is admitted")
		}
		closed.Store(false)
		time.Sleep(admissionPoll + startPatience + time.Second)
		synctest.Wait()
		if l.now() != Serving || <-ended != nil {
			t.Errorf("admitted, but %s", l.now())
		}
	})
	if err := (&admission{}).check(); err != nil {
		t.Errorf("a node without a rule: %v", err)
	}
}
