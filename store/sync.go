package store

import (
	"errors"
	"sync"
)

// group lets concurrent callers share one run of a function. Callers that arrive during a run share the next one.
type group struct {
	mu   sync.Mutex
	next *round     // the run that has not begun; guarded by mu
	run  sync.Mutex // held during a run
}

type round struct {
	done chan struct{}
	err  error
}

func (g *group) do(fn func() error) error {
	g.mu.Lock()
	r, leader := g.next, false
	if r == nil {
		r, leader = &round{done: make(chan struct{})}, true
		g.next = r
	}
	g.mu.Unlock()
	if !leader {
		<-r.done
		return r.err
	}
	g.run.Lock()
	defer g.run.Unlock()
	g.mu.Lock()
	g.next = nil
	g.mu.Unlock()
	defer close(r.done)
	r.err = fn()
	return r.err
}

// Sync makes everything committed or put before the call durable. Concurrent callers share one sync. After an error:
//
//   - slivers that were not yet durable may be forgotten and must be written again;
//   - records are kept, and the next Sync writes and syncs them again.
func (s *Store) Sync() error {
	if err := s.life.open(); err != nil {
		return err
	}
	return s.group.do(s.syncAll)
}

func (s *Store) syncAll() error {
	var errs []error
	var list []*segment
	s.segments.each(func(b *segment) {
		if !b.clean() || !b.idle() {
			list = append(list, b)
		}
	})
	// First the data, then the places that lead to the records, then the records: see doc.go.
	var steps []flushing
	for _, b := range list {
		f := b.flush()
		if err := f.data(&s.places); err != nil {
			errs = append(errs, ignoreDropped(s, err))
			continue
		}
		steps = append(steps, f)
	}
	if err := s.catalog.db.sync(); err != nil {
		return s.life.closedError(errors.Join(append(errs, err)...))
	}
	for _, f := range steps {
		errs = append(errs, ignoreDropped(s, f.records(&s.catalog.locks)))
	}
	return s.life.closedError(errors.Join(errs...))
}
