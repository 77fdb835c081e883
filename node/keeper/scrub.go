package keeper

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"walrus/internal/pause"
	"walrus/store"
)

const (
	// stateScrub is the store's key for how far the scrub has come: the second in which it began, i64, big-endian ‖
	// store.Position.
	stateScrub = "scrub"
	// scrubKeep is the pause between writes of that. A killed node reads again what it read since.
	scrubKeep = 10 * time.Minute
	// scrubShare bounds the scrub to one part in so many of the disk's time, scrubHurry while it reads the newest writes.
	scrubShare, scrubHurry = 10, 2
	// scrubRate is the least rate in bytes per second. A store that this reads in less than the period rests between.
	scrubRate = 4 << 20
	// scrubSettle leaves the disk to others when the node starts. A node that restarts again and again reads nothing.
	scrubSettle = time.Minute
)

// scrubber reads everything stored back, once in each period.
type scrubber struct {
	shelf  *shelf
	note   func(store.Ref, error) // takes damage
	period time.Duration
	log    *slog.Logger

	read int64 // bytes since the start; owned by run
}

// run reads, after an unclean stop, the newest writes, and then calls first. After that it continues where the last
// process was.
func (s *scrubber) run(ctx context.Context, first func()) error {
	if err := s.readNewest(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	first()
	if !pause.For(ctx, min(scrubSettle, s.period/100)) {
		return nil
	}
	began, at := s.resume()
	for {
		if err := s.pass(ctx, began, at); err != nil || ctx.Err() != nil {
			return err
		}
		if !pause.For(ctx, time.Until(began.Add(s.period))) {
			return nil
		}
		began, at = time.Now(), store.Position{}
	}
}

// readNewest reads what was written last before an unclean stop.
func (s *scrubber) readNewest(ctx context.Context) error {
	at := s.shelf.Newest()
	for !at.Done() {
		if took, _, err := s.part(ctx, &at); err != nil || !pause.For(ctx, scrubPause(took, 0, scrubHurry, 0)) {
			return err
		}
	}
	return nil
}

// pass reads from at to the end, at the pace of the period, and keeps how far it has come.
func (s *scrubber) pass(ctx context.Context, began time.Time, at store.Position) error {
	if at.Done() {
		return nil
	}
	start, kept, before := time.Now(), time.Now(), s.read
	defer func() { s.keep(began, at) }()
	for {
		took, n, err := s.part(ctx, &at)
		if err != nil || at.Done() {
			if err == nil {
				s.log.Info("read back everything stored", "bytes", s.read-before,
					"took", time.Since(start).Round(time.Millisecond).String())
			}
			return err
		}
		if time.Since(kept) >= scrubKeep {
			s.keep(began, at)
			kept = time.Now()
		}
		stats, err := s.shelf.Stats()
		if err != nil {
			return ignoreClosed(err)
		}
		if !pause.For(ctx, scrubPause(took, n, scrubShare, max(scrubRate, rateOver(stats.Bytes, s.period)))) {
			return nil
		}
	}
}

// part reads a part and returns how long that took, and its bytes. After ctx has ended it returns no error.
func (s *scrubber) part(ctx context.Context, at *store.Position) (took time.Duration, n int64, err error) {
	start := time.Now()
	stats, err := s.shelf.ScrubPart(ctx, at, s.note)
	s.read += stats.Bytes
	if err != nil && ctx.Err() == nil {
		return 0, 0, fmt.Errorf("read back the store: %w", err)
	}
	return time.Since(start), stats.Bytes, nil
}

// rateOver returns the bytes per second that read a store in nine tenths of the period.
func rateOver(bytes int64, period time.Duration) int64 {
	return int64(float64(bytes) / period.Seconds() * 10 / 9)
}

// scrubPause returns the rest after a read of n bytes: of the disk's time the scrub takes one part in share, and it
// reads rate bytes per second at most; 0 is no limit.
func scrubPause(took time.Duration, n int64, share, rate int64) time.Duration {
	rest := took * time.Duration(share-1)
	if rate > 0 {
		rest = max(rest, time.Duration(float64(n)/float64(rate)*float64(time.Second))-took)
	}
	return rest
}

// resume returns when the current pass began and where it stands. Without that, a new one begins.
func (s *scrubber) resume() (began time.Time, at store.Position) {
	b, err := s.shelf.State(stateScrub)
	if err == nil && len(b) > 8 {
		began = time.Unix(int64(binary.BigEndian.Uint64(b)), 0)
		if at.UnmarshalBinary(b[8:]) == nil && !began.After(time.Now()) {
			return began, at
		}
	}
	return time.Now(), store.Position{}
}

// keep stores when the pass began and where it stands.
func (s *scrubber) keep(began time.Time, at store.Position) {
	where, err := at.MarshalBinary()
	if err == nil {
		b := binary.BigEndian.AppendUint64(nil, uint64(began.Unix()))
		err = s.shelf.PutState(stateScrub, append(b, where...))
	}
	if ignoreClosed(err) != nil {
		s.log.Warn("cannot note how far the scrub has come; after a restart it reads some data again", "err", err)
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, store.ErrClosed) {
		return nil
	}
	return err
}
