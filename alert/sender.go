package alert

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"walrus/internal/pause"
)

// way is one way to the operator.
type way interface {
	name() string
	// send delivers one alert. An error made by final is not worth another attempt. Errors show neither secrets nor paths.
	send(ctx context.Context, a Alert) error
}

// finalError wraps an error that another attempt would meet again.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

func final(err error) error { return finalError{err} }

// pauses are the waits between the attempts of one way to deliver one alert. With the timeouts of the ways an alert is
// given up after a little more than a minute.
var pauses = []time.Duration{time.Second, 5 * time.Second, 20 * time.Second}

// maxQueued bounds the alerts that wait for one way. The book makes a handful in an hour.
const maxQueued = 32

// Sender delivers alerts by all configured ways, each at its own speed.
type Sender struct {
	log    *slog.Logger
	queues []queue // constant, as is log
	sent   atomic.Int64
}

type queue struct {
	way
	alerts chan Alert
	failed *atomic.Int64
}

// NewSender makes a sender. It starts nothing. c must be valid.
func NewSender(c Config, log *slog.Logger) *Sender {
	s := &Sender{log: log}
	for _, w := range ways(c) {
		s.queues = append(s.queues, queue{w, make(chan Alert, maxQueued), new(atomic.Int64)})
	}
	return s
}

// ways returns the configured ways beside the log.
func ways(c Config) (list []way) {
	if c.Webhook != "" {
		list = append(list, newWebhook(c.Webhook))
	}
	if len(c.Command) > 0 {
		list = append(list, command{c.Command})
	}
	if len(c.Mail) > 0 {
		list = append(list, newMail(c))
	}
	return list
}

// Send logs an alert and queues it for every other way. It never blocks.
func (s *Sender) Send(a Alert) {
	s.sent.Add(1)
	Log(s.log, a)
	for _, q := range s.queues {
		select {
		case q.alerts <- a:
		default:
			q.failed.Add(1)
			s.log.Error("an alert was dropped: too many wait", "way", q.name(), "alert", a.ID)
		}
	}
}

// Log writes an alert to a structured log: trouble as an error, the rest as information.
func Log(log *slog.Logger, a Alert) {
	write := log.Error
	if a.State != Firing {
		write = log.Info
	}
	fields := []any{"alert", a.ID, "state", string(a.State), "cause", string(a.Cause)}
	for _, p := range [][2]string{{"blob", a.BlobID}, {"axis", a.Axis}, {"monitor", a.Monitor}, {"evidence", a.Evidence}} {
		if p[1] != "" {
			fields = append(fields, p[0], p[1])
		}
	}
	for _, p := range []struct {
		name  string
		value *int
	}{{"sliver", a.Sliver}, {"row", a.Row}, {"column", a.Column}} {
		if p.value != nil {
			fields = append(fields, p.name, *p.value)
		}
	}
	if a.Further > 0 {
		fields = append(fields, "further", a.Further)
	}
	write(a.Text, fields...)
}

// Run delivers what was queued until ctx ends.
func (s *Sender) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, q := range s.queues {
		wg.Go(func() { s.work(ctx, q) })
	}
	wg.Wait()
	return nil
}

func (s *Sender) work(ctx context.Context, q queue) {
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-q.alerts:
			if err := deliver(ctx, q.way, a, pauses); err != nil && ctx.Err() == nil {
				q.failed.Add(1)
				s.log.Error("an alert could not be delivered", "way", q.name(), "alert", a.ID, "err", err)
			}
		}
	}
}

// deliver makes up to one attempt more than there are pauses.
func deliver(ctx context.Context, w way, a Alert, pauses []time.Duration) error {
	for i := 0; ; i++ {
		err := w.send(ctx, a)
		if err == nil {
			return nil
		}
		if i == len(pauses) || errors.As(err, new(finalError)) {
			return fmt.Errorf("attempt %d: %w", i+1, err)
		}
		if !pause.For(ctx, pauses[i]) {
			return ctx.Err()
		}
	}
}

// Sent counts the alerts since the start.
func (s *Sender) Sent() int64 { return s.sent.Load() }

// Failed counts, by the name of each configured way, the alerts that it could not deliver.
func (s *Sender) Failed() map[string]int64 {
	out := map[string]int64{}
	for _, q := range s.queues {
		out[q.name()] = q.failed.Load()
	}
	return out
}

// Result of one way in a test.
type Result struct {
	Way string
	Err error
	// Took: the time of the attempt.
	Took time.Duration
}

// Try sends one alert by each way of c, once, at the same time, and reports what became of it.
func Try(ctx context.Context, c Config, a Alert) []Result {
	list := ways(c)
	out := make([]Result, len(list))
	var wg sync.WaitGroup
	for i, w := range list {
		wg.Go(func() {
			began := time.Now()
			err := deliver(ctx, w, a, nil)
			out[i] = Result{Way: w.name(), Err: err, Took: time.Since(began)}
		})
	}
	wg.Wait()
	return out
}
