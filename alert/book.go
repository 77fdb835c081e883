package alert

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"walrus/shards"
)

const (
	// Quiet separates two alerts for one cause.
	Quiet = time.Hour
	// maxOpen bounds the slivers whose repair a cause waits for. Further ones are counted and not waited for.
	maxOpen = 1024
	// maxRecent bounds the alerts remembered.
	maxRecent = 50
)

// Book decides which facts become alerts. It is pure: no clock, no I/O; its caller serializes the calls. The zero Book
// knows of no trouble.
//
// A fact of a cause that has been quiet for an hour becomes an alert at once. Facts that follow within the hour are
// counted; at its end one alert names the latest of them and the number of the others, if the trouble is not over. The
// end of trouble is told if the trouble was told. So one cause makes at most one alert and one recovery in an hour.
//
// Missing is over when every sliver named is stored again. Wrong is over when in addition no wrong bytes were seen for
// an hour, since a fault of memory or of the program leaves a right sliver on the disk. Unreachable and Disk are over
// when a fact says so.
type Book struct {
	node   Node
	causes map[Cause]*trouble
	recent []Alert // oldest first
}

// Sliver names a sliver of this node.
type Sliver struct {
	Blob  shards.BlobID
	Axis  shards.Axis
	Index int
}

// trouble is the state of one cause.
type trouble struct {
	open   map[Sliver]bool // not stored again yet
	began  time.Time       // of this trouble; zero: there is none
	told   time.Time       // time of the last alert; zero: never
	firing bool            // the operator knows of this trouble
	latest Fact            // the newest that no alert has named
	more   int             // facts that no alert has named
	seen   time.Time       // time of the newest fact of trouble
}

// NewBook makes the book of a node without any trouble.
func NewBook(n Node) *Book { return &Book{node: n, causes: map[Cause]*trouble{}} }

// Note takes a fact and returns the alerts that follow from it, now.
func (b *Book) Note(f Fact, now time.Time) []Alert {
	t := b.causes[f.Cause]
	if t == nil {
		t = &trouble{open: map[Sliver]bool{}}
		b.causes[f.Cause] = t
	}
	if f.Over {
		delete(t.open, f.sliver())
		return b.settle(f.Cause, t, f.Cause.whole(), now)
	}
	if f.Cause == Unreachable && t.firing {
		t.seen = now
		return nil // known, and nothing new in it
	}
	if t.began.IsZero() {
		t.began = now
	}
	if !f.Cause.whole() && len(t.open) < maxOpen {
		t.open[f.sliver()] = true
	}
	t.latest, t.seen = f, now
	t.more++
	return b.tell(f.Cause, t, now)
}

func (f *Fact) sliver() Sliver { return Sliver{f.Blob, f.Axis, f.Sliver} }

// Due returns the alerts that are due now without a new fact. Call it at the time that Next returns.
func (b *Book) Due(now time.Time) (out []Alert) {
	for _, c := range Causes {
		if t := b.causes[c]; t != nil {
			out = append(out, b.settle(c, t, false, now)...)
			out = append(out, b.tell(c, t, now)...)
		}
	}
	return out
}

// Next returns the time of the next call of Due; zero: only after a fact.
func (b *Book) Next() (next time.Time) {
	for c, t := range b.causes {
		at := time.Time{}
		switch {
		case t.began.IsZero():
		case t.more > 0:
			at = t.told.Add(Quiet)
		case t.firing && len(t.open) == 0 && !c.whole():
			at = t.seen.Add(Quiet)
		}
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// tell makes the alert of facts that wait, if the last one is long enough ago.
func (b *Book) tell(c Cause, t *trouble, now time.Time) []Alert {
	if t.more == 0 || t.began.IsZero() || !t.told.IsZero() && now.Before(t.told.Add(Quiet)) {
		return nil
	}
	a := b.make(c, Firing, t.began, now)
	a.Place, a.Further = t.latest.place(), t.more-1
	if c.whole() {
		a.Further = 0
	}
	a.Text = a.text(t.latest.Detail)
	t.told, t.firing, t.more, t.latest = now, true, 0, Fact{}
	return b.remember(a)
}

// settle ends trouble that is over.
func (b *Book) settle(c Cause, t *trouble, over bool, now time.Time) []Alert {
	switch c {
	case Missing:
		over = len(t.open) == 0
	case Wrong:
		over = len(t.open) == 0 && !now.Before(t.seen.Add(Quiet))
	}
	if !over || t.began.IsZero() {
		return nil
	}
	told, began := t.firing, t.began
	*t = trouble{open: t.open, told: t.told}
	if !told {
		return nil
	}
	a := b.make(c, Recovered, began, now)
	a.Text = a.text("")
	return b.remember(a)
}

func (b *Book) make(c Cause, s State, began, now time.Time) Alert {
	return Alert{ID: alertID(c, began), State: s, Cause: c, Time: now.UTC().Truncate(time.Second), Node: b.node}
}

func (b *Book) remember(a Alert) []Alert {
	b.recent = append(b.recent, a)
	if n := len(b.recent) - maxRecent; n > 0 {
		b.recent = append([]Alert(nil), b.recent[n:]...)
	}
	return []Alert{a}
}

// Recent lists the last alerts, oldest first.
func (b *Book) Recent() []Alert { return append([]Alert(nil), b.recent...) }

// Firing reports whether there is trouble of a cause, told or not.
func (b *Book) Firing(c Cause) bool { return b.causes[c] != nil && !b.causes[c].began.IsZero() }

// Open lists the slivers whose repair is waited for, for a cause.
func (b *Book) Open(c Cause) (list []Sliver) {
	if t := b.causes[c]; t != nil {
		for s := range maps.Keys(t.open) {
			list = append(list, s)
		}
	}
	return list
}

// record is the form of a Book on the disk.
type record struct {
	Version int               `json:"version"`
	Recent  []Alert           `json:"alerts"`
	Causes  map[Cause]*openAs `json:"causes"`
}

type openAs struct {
	Began  time.Time `json:"began,omitzero"`
	Told   time.Time `json:"told,omitzero"`
	Seen   time.Time `json:"seen,omitzero"`
	Firing bool      `json:"firing,omitempty"`
	More   int       `json:"more,omitempty"`
	Latest *Fact     `json:"latest,omitempty"`
	Open   []Sliver  `json:"open,omitempty"`
}

// bookVersion is the version of the form on the disk.
const bookVersion = 1

// Marshal encodes the book, as JSON that commands read too.
func (b *Book) Marshal() ([]byte, error) {
	r := record{Version: bookVersion, Recent: b.recent, Causes: map[Cause]*openAs{}}
	for c, t := range b.causes {
		o := &openAs{Began: t.began, Told: t.told, Seen: t.seen, Firing: t.firing, More: t.more, Open: b.Open(c)}
		if t.more > 0 {
			o.Latest = &t.latest
		}
		r.Causes[c] = o
	}
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode alerts: %w", err)
	}
	return append(raw, '\n'), nil
}

// UnmarshalBook decodes what Marshal encoded, for node n.
func UnmarshalBook(n Node, raw []byte) (*Book, error) {
	var r record
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("decode alerts: %w", err)
	}
	if r.Version != bookVersion {
		return nil, fmt.Errorf("decode alerts: version %d: this program reads version %d", r.Version, bookVersion)
	}
	b := NewBook(n)
	b.recent = r.Recent[max(0, len(r.Recent)-maxRecent):]
	for _, c := range Causes {
		o := r.Causes[c]
		if o == nil {
			continue
		}
		t := &trouble{open: map[Sliver]bool{}, began: o.Began, told: o.Told, seen: o.Seen, firing: o.Firing, more: o.More}
		for _, s := range o.Open[:min(len(o.Open), maxOpen)] {
			t.open[s] = true
		}
		if t.more > 0 && o.Latest != nil {
			t.latest = *o.Latest
		} else {
			t.more = 0
		}
		b.causes[c] = t
	}
	return b, nil
}
