package keeper

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"walrus/internal/pause"
	"walrus/store"
)

// roomLook is the pause between measurements of the disk space, for the status and the log. Uploads check by
// themselves.
const roomLook = 10 * time.Second

// gauge keeps the disk space measured last. A measurement looks at all files of the store: no request may cause one.
type gauge struct {
	shelf *shelf // constant

	mu   sync.Mutex
	last store.Room // guarded by mu, as is err
	err  error      // of the last measurement
}

// room returns the disk space measured last.
func (g *gauge) room() (store.Room, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last, g.err
}

// measure measures the disk space.
func (g *gauge) measure() store.Room {
	r, err := g.shelf.Room()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last, g.err = r, err
	return r
}

// run measures the disk space again and again, for at most a hundredth of the time. It logs when the node stops taking
// new data, and when it takes data again.
func (g *gauge) run(ctx context.Context, log *slog.Logger) error {
	refused := false
	for {
		start := time.Now()
		r := g.measure()
		if full := errors.Is(r.Refuses, store.ErrFull); full != refused {
			if refused = full; refused {
				log.Error("node takes no new data and repairs nothing; it goes on serving its data", "why", r.Refuses)
			} else {
				log.Info("node takes new data again")
			}
		}
		if !pause.For(ctx, max(roomLook, 100*time.Since(start))) {
			return nil
		}
	}
}

// refusal returns why the node takes no new data, in words that peers may see; empty if it takes data.
func refusal(err error) string {
	if !errors.Is(err, store.ErrFull) {
		return ""
	}
	var full *store.FullError
	if errors.As(err, &full) {
		return full.Reason()
	}
	return store.ErrFull.Error()
}
