package store

import (
	"sync"
	"time"
)

// Incident is damage that was found: by Open, which moved a database aside, or by a read.
type Incident struct {
	Time  time.Time // of the latest sighting
	Path  string    // what is damaged or was moved aside: a directory
	Moved string    // where to, if moved aside
	Err   error
	Count int // sightings
}

// maxIncidents bounds the list; the oldest go first.
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

// Incidents lists the damage found since Open, latest last, bounded to the last 256 different ones.
func (s *Store) Incidents() []Incident {
	s.incidents.mu.Lock()
	defer s.incidents.mu.Unlock()
	return append([]Incident(nil), s.incidents.list...)
}
