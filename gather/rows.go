package gather

import (
	"slices"
	"time"
)

// slowFactor: a row that takes this many times the median is late.
const slowFactor = 4

// Patience bounds how long a sliver may hold up a read.
type Patience struct {
	Hedge time.Duration // without a byte
	Dial  time.Duration // without a connection, if that is less
	First time.Duration // as a whole, as long as no other sliver has told how long one takes
}

// Motion tells how far a fetch has come.
type Motion struct {
	Connected bool
	Moved     time.Time // when bytes last came in
}

// Silent reports whether nothing has come in for longer than p allows.
func (p Patience) Silent(now time.Time, m Motion) bool {
	limit := p.Hedge
	if !m.Connected {
		limit = min(limit, p.Dial)
	}
	return now.Sub(m.Moved) > limit
}

// rowState says what has become of one row.
type rowState uint8

const (
	unknown  rowState = iota
	fetching          // on its way
	slow              // on its way, but too slow to count on
	busy              // its holder rests
	have              // verified and held
	failed            // cannot be fetched
	dropped           // written out and no longer held
)

// RowsConfig describes a read of rows.
type RowsConfig struct {
	Next, End int // the rows to write out, in order
	Sources   int // rows that decode all others
	Owner     []int
	Holders   Holders
	Window    int // rows fetched at a time
	Decoding  int // rows fetched at a time once some must be decoded
	Patience  Patience
	// Stored reports rows that can be had without their holders.
	Stored func(row int) bool
}

// Rows decides which rows a read fetches, which it no longer counts on, and when the missing ones are decoded from
// others. Rows does no I/O and reads no clock: each method takes one event and its time. Call Fetch after events.
type Rows struct {
	RowsConfig
	state  []rowState
	start  []time.Time     // of the newest fetch
	took   []time.Duration // of fetches that delivered
	decode bool            // some row to be written must be decoded
}

// NewRows returns the plan of a read that has fetched nothing.
func NewRows(cfg RowsConfig) *Rows {
	return &Rows{RowsConfig: cfg, state: make([]rowState, len(cfg.Owner)), start: make([]time.Time, len(cfg.Owner))}
}

// Done reports whether all rows are written out.
func (r *Rows) Done() bool { return r.Next == r.End }

// Has reports whether row i is verified and held.
func (r *Rows) Has(i int) bool { return r.state[i] == have }

// Held counts the rows that are verified and held.
func (r *Rows) Held() int { return r.count(have) }

// MustDecode reports whether some row must be decoded: every row is then worth keeping.
func (r *Rows) MustDecode() bool { return r.decode }

// CanDecode reports whether some row must be decoded, and enough others are held.
func (r *Rows) CanDecode() bool { return r.decode && r.count(have) >= r.Sources }

// Impossible reports whether some row cannot be fetched, and too few others may still come to decode it. Ask after
// Fetch.
func (r *Rows) Impossible() bool {
	return slices.Contains(r.state[r.Next:r.End], failed) && len(r.state)-r.count(failed) < r.Sources
}

// Arrived records that row i is verified and held. fetched is false if its holder was not asked.
func (r *Rows) Arrived(i int, fetched bool) {
	r.state[i] = have
	if fetched {
		r.Holders.Deliver(r.Owner[i])
	}
}

// Took records how long a row took that was fetched for this read alone.
func (r *Rows) Took(took time.Duration) { r.took = append(r.took, took) }

// Failed records that row i cannot be fetched now.
func (r *Rows) Failed(now time.Time, i int, err error) {
	r.state[i] = failed
	if r.Holders.Fail(now, r.Owner[i], err) == Busy {
		r.state[i] = busy
	}
}

// Lost records that row i is no longer held, or can be had again: it is fetched when it is wanted.
func (r *Rows) Lost(i int) { r.state[i] = unknown }

// Wrote records that the next row was written out. If kept is false it is no longer held.
func (r *Rows) Wrote(kept bool) {
	if !kept {
		r.state[r.Next] = dropped
	}
	r.Next++
}

// Fetch decides which rows to fetch now: the next ones within the window or, once a row must be decoded, as many as
// decoding lacks. flying counts the fetches under way, abandoned ones too.
func (r *Rows) Fetch(now time.Time, flying int) (rows []int) {
	r.Decide(now)
	if !r.decode {
		for i := r.Next; i < min(r.Next+r.Window, r.End); i++ {
			// the next row even if fetches that hang, and are no longer counted on, fill the window
			if r.state[i] == unknown && (i == r.Next || flying+len(rows) < r.Window) {
				rows = append(rows, i)
			}
		}
	} else {
		counted := r.count(fetching)
		room := min(r.Sources-r.count(have), r.Decoding) - counted
		for _, wanted := range []rowState{unknown, dropped} { // rows already written are fetched again only if need be
			for _, desperate := range []bool{false, true} {
				for k := 0; k < len(r.state) && len(rows) < room; k++ {
					i := (r.Next + k) % len(r.state) // first rows still to be written, then parity
					if r.state[i] == wanted && r.mayHang(i) == desperate {
						rows = append(rows, i)
					}
				}
			}
		}
	}
	for _, i := range rows {
		r.state[i], r.start[i] = fetching, now
	}
	return rows
}

// Decide gives up the rows of holders that are not asked again, and decides whether rows must be decoded. The decision
// is reversed if the missing row comes in after all.
func (r *Rows) Decide(now time.Time) {
	for i, s := range r.state {
		if s == busy && !now.Before(r.Holders.Rest(r.Owner[i])) {
			s, r.state[i] = unknown, unknown
		}
		if (s == unknown || s == busy || s == dropped) && r.Holders.Out(r.Owner[i]) && !r.Stored(i) {
			r.state[i] = failed
		}
	}
	r.decode = false
	for i := r.Next; i < r.End && !r.decode; i++ {
		s := r.state[i]
		r.decode = s == failed || s == slow || s == unknown && r.mayHang(i)
	}
}

// mayHang reports whether row i must come from a holder that was silent.
func (r *Rows) mayHang(i int) bool { return r.Holders.Silent(r.Owner[i]) && !r.Stored(i) }

// Look stops counting on rows that hold up the read: the next row, or any row when decoding. motion tells how far the
// fetch of a row has come.
func (r *Rows) Look(now time.Time, motion func(row int) Motion) {
	limit := r.Patience.First
	if n := len(r.took); n > 0 {
		sorted := slices.Sorted(slices.Values(r.took))
		limit = max(r.Patience.Hedge, slowFactor*sorted[n/2])
	}
	for i, s := range r.state {
		if s != fetching || (!r.decode && i != r.Next) {
			continue
		}
		silent := r.Patience.Silent(now, motion(i))
		if silent {
			r.Holders.Silence(r.Owner[i])
		}
		if silent || now.Sub(r.start[i]) > limit {
			r.Holders.Late(r.Owner[i])
			r.state[i] = slow
		}
	}
}

// Inputs lists the rows to decode from.
func (r *Rows) Inputs() (rows []int) {
	for i, s := range r.state {
		if s == have && len(rows) < r.Sources {
			rows = append(rows, i)
		}
	}
	return rows
}

// Missing lists the rows to decode: still to be written, neither held nor stored.
func (r *Rows) Missing() (rows []int) {
	for i := r.Next; i < r.End; i++ {
		if r.state[i] != have && (r.state[i] != unknown || !r.Stored(i)) {
			rows = append(rows, i)
		}
	}
	return rows
}

// GivenUp reports whether row i is not counted on.
func (r *Rows) GivenUp(i int) bool { return r.state[i] == failed || r.state[i] == slow }

func (r *Rows) count(s rowState) (n int) {
	for _, x := range r.state {
		if x == s {
			n++
		}
	}
	return n
}
