package guard

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// limit bounds the running requests and the waiting ones. Waiting requests run in order of arrival.
type limit struct {
	name    string
	running chan struct{}
	waiting chan struct{}
	gauge   prometheus.Gauge
}

func newLimit(name string, size LimitConfig, m *metrics) *limit {
	return &limit{name, make(chan struct{}, size.Running), make(chan struct{}, size.Waiting),
		m.waiting.WithLabelValues(name)}
}

// enter waits for a place. full: no place is free, not even to wait. It also fails when ctx ends.
func (l *limit) enter(ctx context.Context) (leave func(), full bool, err error) {
	leave = func() { <-l.running }
	select {
	case l.running <- struct{}{}:
		return leave, false, nil
	default:
	}
	select {
	case l.waiting <- struct{}{}:
	default:
		return nil, true, nil
	}
	l.gauge.Inc()
	defer func() { l.gauge.Dec(); <-l.waiting }()
	select {
	case l.running <- struct{}{}:
		return leave, false, nil
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
}

// admit bounds the concurrent requests to the publisher and to the aggregator.
func (g *Guard) admit(next http.Handler) http.Handler {
	publisher := newLimit("publisher", g.cfg.Publisher, g.metrics)
	aggregator := newLimit("aggregator", g.cfg.Aggregator, g.metrics)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var l *limit
		switch visited(r.Context()).class {
		case read:
			l = aggregator
		case write, resume, manage:
			l = publisher
		default:
			next.ServeHTTP(w, r)
			return
		}
		leave, full, err := l.enter(r.Context())
		switch {
		case full || err == context.DeadlineExceeded: //nolint:errorlint // of the context itself
			g.metrics.rejected.WithLabelValues(l.name).Inc()
			text := "the " + l.name + " is receiving too many requests; please try again later"
			writeAll(w, r, http.StatusTooManyRequests, "text/plain; charset=utf-8", time.Second, []byte(text))
		case err != nil: // the client has left
		default:
			defer leave()
			next.ServeHTTP(w, r)
		}
	})
}
