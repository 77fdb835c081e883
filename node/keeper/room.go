package keeper

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"walrus/store"
)

// roomLook is the pause between runRoom's checks of the disk, which serve the log. Uploads check by themselves.
const roomLook = 10 * time.Second

// runRoom logs when the node stops taking new data, and when it takes data again.
func (s *shelf) runRoom(ctx context.Context, log *slog.Logger) error {
	look := time.NewTicker(roomLook)
	defer look.Stop()
	refused := false
	for {
		err := s.Refuses()
		if full := errors.Is(err, store.ErrFull); full != refused {
			if refused = full; refused {
				log.Error("node takes no new data and repairs nothing; it goes on serving its data", "why", err)
			} else {
				log.Info("node takes new data again")
			}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
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
