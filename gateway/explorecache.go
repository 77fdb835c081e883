package gateway

import (
	"context"
	"sync"
	"time"
)

// recent is the newest answer to one question. Whoever asks while it is being fetched shares the fetch, which goes on
// when those who asked have left. The zero value has no answer.
type recent[T any] struct {
	mu     sync.Mutex
	value  T // guarded by mu, as the next three
	err    error
	at     time.Time     // zero: never fetched
	flight chan struct{} // closed at the end of the fetch that is under way; nil if none is
}

// start begins a fetch unless one is under way, and returns what is closed at its end.
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

// last is the newest answer and its age, if it is one that may still be shown.
func (r *recent[T]) last() (value T, age time.Duration, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	age = time.Since(r.at)
	return r.value, age, !r.at.IsZero() && r.err == nil && age < exploreStale
}

// fresh says whether the newest answer, or error, is as good as new.
func (r *recent[T]) fresh() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.at.IsZero() && time.Since(r.at) < exploreFresh
}

// get is an answer that is fresh; or, if old ones do and one is there, what is there after a short wait.
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

// idle says that nobody waits and the answer is no longer fresh.
func (r *recent[T]) idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.flight == nil && time.Since(r.at) >= exploreFresh
}
