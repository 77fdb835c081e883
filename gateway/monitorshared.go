package gateway

import (
	"context"
	"strings"
	"sync"
	"time"
)

// maxShared bounds the answers of a sharedMonitor that are kept.
const maxShared = 64

// sharedMonitor asks a Monitor each question at most once in exploreFresh, however many readers there are: an answer
// may cost the reading of a month.
type sharedMonitor struct {
	Monitor // constant

	work    sync.WaitGroup // questions in progress
	mu      sync.Mutex
	answers map[string]*recent[any] // guarded by mu
}

// shareMonitor returns nil for nil.
func shareMonitor(m Monitor) *sharedMonitor {
	if m == nil {
		return nil
	}
	return &sharedMonitor{Monitor: m, answers: map[string]*recent[any]{}}
}

// place returns the place for the answers to a question. If there are too many, it drops old ones, or any if all are
// new.
func (s *sharedMonitor) place(key string) *recent[any] {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.answers[key]
	if r != nil {
		return r
	}
	for k, old := range s.answers {
		if len(s.answers) >= maxShared && old.idle() {
			delete(s.answers, k)
		}
	}
	for k := range s.answers {
		if len(s.answers) < maxShared {
			break
		}
		delete(s.answers, k) // callers that wait for it still hold it
	}
	r = &recent[any]{}
	s.answers[key] = r
	return r
}

// shared asks a question together with all who ask it now.
func shared[T any](ctx context.Context, s *sharedMonitor, key string, ask func(context.Context) (T, error)) (none T, err error) {
	v, err := s.place(key).get(ctx, &s.work, false, func(ctx context.Context) (any, error) { return ask(ctx) })
	if err != nil {
		return none, err
	}
	out, _ := v.(T)
	return out, nil
}

// Overview implements Monitor.
func (s *sharedMonitor) Overview(ctx context.Context) (*MonitorOverview, error) {
	return shared(ctx, s, "overview", s.Monitor.Overview)
}

// Hours implements Monitor.
func (s *sharedMonitor) Hours(ctx context.Context, nodes []string, from time.Time) ([]NodeHours, error) {
	return shared(ctx, s, "hours "+from.UTC().Format(time.RFC3339)+" "+strings.Join(nodes, " "), func(ctx context.Context) ([]NodeHours, error) {
		return s.Monitor.Hours(ctx, nodes, from)
	})
}

// Matrix implements Monitor.
func (s *sharedMonitor) Matrix(ctx context.Context) (*MonitorMatrix, error) {
	return shared(ctx, s, "matrix", s.Monitor.Matrix)
}

// Risk implements Monitor.
func (s *sharedMonitor) Risk(ctx context.Context) (*BlobRisks, error) {
	return shared(ctx, s, "risk", s.Monitor.Risk)
}

// Evidence implements Monitor.
func (s *sharedMonitor) Evidence(ctx context.Context, node string) ([]Evidence, error) {
	return shared(ctx, s, "evidence "+node, func(ctx context.Context) ([]Evidence, error) { return s.Monitor.Evidence(ctx, node) })
}
