package gateway

import (
	"context"
	"sync"
	"time"
)

// recent holds the newest answer to one question. Callers share a fetch in progress, and it continues when they leave.
// The zero value has no answer.
type recent[T any] struct {
	mu     sync.Mutex
	value  T // guarded by mu, as the next three
	err    error
	at     time.Time     // zero: never fetched
	flight chan struct{} // closed at the end of the fetch in progress; nil without one
}

// start begins a fetch unless one is in progress. It returns a channel that is closed at the end of the fetch.
func (r *recent[T]) start(ctx context.Context, work *sync.WaitGroup, fetch func(context.Context) (T, error)) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flight != nil {
		return r.flight
	}
	done := make(chan struct{})
	r.flight = done
	work.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), exploreLimit)
		defer cancel()
		value, err := fetch(ctx)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.value, r.err, r.at, r.flight = value, err, time.Now(), nil
		close(done)
	})
	return done
}

// last returns the newest answer and its age. ok reports whether the answer may still be shown.
func (r *recent[T]) last() (value T, age time.Duration, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	age = time.Since(r.at)
	return r.value, age, !r.at.IsZero() && r.err == nil && age < exploreStale
}

// fresh reports whether the newest answer, or error, is still current.
func (r *recent[T]) fresh() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.at.IsZero() && time.Since(r.at) < exploreFresh
}

// get returns a current answer. If old is set and an old answer exists, it waits only briefly for a new one.
func (r *recent[T]) get(ctx context.Context, work *sync.WaitGroup, old bool, fetch func(context.Context) (T, error)) (T, error) {
	var none T
	if !r.fresh() {
		done := r.start(ctx, work, fetch)
		value, _, ok := r.last()
		var enough <-chan time.Time
		if old && ok {
			t := time.NewTimer(explorePatience)
			defer t.Stop()
			enough = t.C
		}
		select {
		case <-done:
		case <-enough:
			return value, nil
		case <-ctx.Done():
			return none, ctx.Err()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.value, r.err
}

// idle reports that nobody waits and the answer is no longer current.
func (r *recent[T]) idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.flight == nil && time.Since(r.at) >= exploreFresh
}
