package store

import (
	"errors"
	"sync"
	"time"
)

// Incident records damage found by Open, which repairs a database or moves it aside, or by a read.
type Incident struct {
	Time  time.Time // of the latest sighting
	Path  string    // the directory of the damaged database
	Moved string    // its new path if it was moved aside
	Err   error
	Count int // sightings
}

// maxIncidents bounds the list; the oldest are forgotten first.
const maxIncidents = 256

type incidents struct {
	mu   sync.Mutex
	list []Incident // guarded by mu
}

func (l *incidents) add(i Incident) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i.Time, i.Count = time.Now(), 1
	for k, old := range l.list {
		if old.Path == i.Path && old.Err.Error() == i.Err.Error() {
			i.Count += old.Count
			l.list = append(l.list[:k], l.list[k+1:]...)
			break
		}
	}
	if len(l.list) == maxIncidents {
		l.list = l.list[1:]
	}
	l.list = append(l.list, i)
}

// blame turns damage into a *CorruptError and records an incident. It returns other errors unchanged.
func (l *incidents) blame(kind string, r Ref, extent int, err error, path string) error {
	if !errors.Is(err, ErrCorrupt) {
		return err
	}
	e := &CorruptError{Kind: kind, Ref: r, Extent: extent, Err: err}
	l.add(Incident{Path: path, Err: e})
	return e
}

// Incidents lists the last 256 different incidents since Open, latest last.
func (s *Store) Incidents() []Incident {
	s.incidents.mu.Lock()
	defer s.incidents.mu.Unlock()
	return append([]Incident(nil), s.incidents.list...)
}
