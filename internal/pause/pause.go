// Package pause waits, but no longer than a context.
package pause

import (
	"context"
	"time"
)

// For waits for d. It reports false if ctx ended first.
func For(ctx context.Context, d time.Duration) bool {
	return Until(ctx, d, nil)
}

// Until waits for d, or until wake delivers. It reports false if wake delivered or ctx ended first.
func Until(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-wake:
	case <-ctx.Done():
	}
	return false
}
