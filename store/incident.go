package store

import (
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

// Incidents lists the last 256 different incidents since Open, latest last.
func (s *Store) Incidents() []Incident {
	s.incidents.mu.Lock()
	defer s.incidents.mu.Unlock()
	return append([]Incident(nil), s.incidents.list...)
}
