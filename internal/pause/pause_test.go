package pause

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		wake := make(chan struct{})
		time.AfterFunc(90*time.Second, func() { close(wake) })
		for _, c := range []struct {
			what string
			wait func() bool
			want bool
			at   time.Duration // since the start
		}{
			{"the whole time", func() bool { return For(ctx, time.Minute) }, true, time.Minute},
			{"the whole time, not woken", func() bool { return Until(ctx, time.Second, wake) }, true, 61 * time.Second},
			{"woken", func() bool { return Until(ctx, time.Minute, wake) }, false, 90 * time.Second},
			{"until ctx ends", func() bool { return For(ctx, time.Hour) }, false, 2 * time.Minute},
			{"after ctx has ended", func() bool { return For(ctx, 0) }, false, 2 * time.Minute},
		} {
			if got := c.wait(); got != c.want || time.Since(start) != c.at {
				t.Errorf("%s: %v after %v, want %v after %v", c.what, got, time.Since(start), c.want, c.at)
			}
		}
	})
}
