package pin

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"walrus/shards"
)

// The schedules that can be woken.
const (
	bellFetch = iota
	bellAnnounce
	bellTend
	bellCheck
	bells
)

// tendEvery is the pause between looks at what has ended and what was served.
const tendEvery = 10 * time.Second

// schedules wake those who wait for something to be due.
type schedules [bells]chan struct{}

func newSchedules() (s schedules) {
	for i := range s {
		s[i] = make(chan struct{}, 1)
	}
	return s
}

// wake lets all of them look for what is due.
func (s *schedules) wake() {
	for i := range s {
		s.ring(i)
	}
}

func (s *schedules) ring(i int) {
	select {
	case s[i] <- struct{}{}:
	default:
	}
}

// await waits until t, the bell, or the end of ctx, which it reports by false.
func await(ctx context.Context, t time.Time, bell <-chan struct{}) bool {
	timer := time.NewTimer(max(time.Until(t), time.Millisecond))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-bell:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// sleep waits, and reports whether ctx lasted that long.
func sleep(ctx context.Context, d time.Duration) bool { return await(ctx, time.Now().Add(d), nil) }

// stay is a file that could not be removed.
type stay struct {
	tries int
	until time.Time
}

// tend removes the files of what nobody wants any more, ends requests, and writes down what was served.
func (k *Keeper) tend(ctx context.Context) error {
	last := time.Now()
	stuck := map[shards.BlobID]stay{}
	for {
		ids, err := k.dropped(perQueue, func(id shards.BlobID) bool { return time.Now().Before(stuck[id].until) })
		if err != nil {
			return err
		}
		for _, id := range ids {
			switch err := k.removeFiles(ctx, id); {
			case errors.Is(err, errStays):
				tries := stuck[id].tries + 1
				stuck[id] = stay{tries, k.plan.retry(time.Now(), tries)}
				k.log.Warn("the file of a blob that nobody wants is tried again later", "blob", id.String(), "tries", tries, "err", err)
			case err != nil:
				return err
			default:
				delete(stuck, id)
			}
		}
		if time.Since(last) >= tendEvery {
			last = time.Now()
			if err := k.regular(ctx); err != nil {
				return err
			}
		}
		if !await(ctx, last.Add(tendEvery), k.schedules[bellTend]) {
			return nil
		}
	}
}

// regular does what is done at intervals.
func (k *Keeper) regular(ctx context.Context) error {
	if err := k.flushServed(); err != nil {
		return err
	}
	used, err := k.db.used()
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.used = used
	k.mu.Unlock()
	return k.endRequests(ctx)
}

// endRequests removes the requests whose end has come.
func (k *Keeper) endRequests(ctx context.Context) error {
	if k.cfg.Epoch == nil {
		return nil
	}
	now := k.cfg.Epoch()
	var ended []string
	if err := k.db.view(func(t *tx) error {
		return t.keys([]byte{keyEnd}, nil, false, func(key []byte) (bool, error) {
			if binary.BigEndian.Uint32(key[1:]) > now {
				return false, nil
			}
			ended = append(ended, string(key[5:]))
			return len(ended) < 1000, nil
		})
	}); err != nil {
		return err
	}
	if len(ended) > 0 {
		k.log.Info("pins have ended and are removed", "requests", len(ended), "first", ended[0], "epoch", now)
	}
	for _, id := range ended {
		if err := k.Remove(ctx, id); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}
