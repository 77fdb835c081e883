package gather

import (
	"errors"
	"slices"
	"time"
)

const (
	// trials is the number of pinners that are tried at a time: each of those gets one row until it has delivered.
	trials = 2
	// perPinner is the number of rows that are asked of one pinner at a time once it has delivered.
	perPinner = 4
	// tooSlow: a row is asked of somebody else once it has taken this many times as long as the fastest one, for each row
	// on its way: all of them share one line.
	tooSlow = 4
)

// ErrNoPinner says that every pinner that was found has failed.
var ErrNoPinner = errors.New("no pinner delivers")

// Ask is a row to be fetched from a pinner.
type Ask struct{ Row, Pinner int }

// Pinners decides which rows of a blob are fetched from which peers that claim to pin it. Each pinner may have every
// row, and any of them may lie: one that did is not asked again. Like Rows it does no I/O and reads no clock.
type Pinners struct {
	Next, End int // the rows to write out, in order
	Window    int // rows fetched at a time
	Hedge     time.Duration

	Holders // by pinner
	rows    map[int]pinnedRow
	flying  []int         // rows asked for, by pinner
	since   time.Time     // the last row came then, or the first one was asked for
	fastest time.Duration // the least time that a row took; 0: none has come
}

// pinnedRow is a row that is on its way, or here.
type pinnedRow struct {
	pinner int
	asked  time.Time
	here   bool
}

// NewPinners plans a read of rows [next, end) from n pinners.
func NewPinners(next, end, window, n int, hedge time.Duration) *Pinners {
	return &Pinners{
		Next: next, End: end, Window: window, Hedge: hedge,
		Holders: NewHolders(n), rows: map[int]pinnedRow{}, flying: make([]int, n),
	}
}

// Done reports whether all rows are written out.
func (p *Pinners) Done() bool { return p.Next == p.End }

// Has reports whether row i is verified and held.
func (p *Pinners) Has(i int) bool { return p.rows[i].here }

// Impossible reports that a row is missing and nobody is left to ask.
func (p *Pinners) Impossible() bool {
	for i := range p.Holders {
		if !p.Out(i) {
			return false
		}
	}
	return !p.Has(p.Next)
}

// Fetch decides which rows are fetched now.
func (p *Pinners) Fetch(now time.Time) (asks []Ask) {
	if p.since.IsZero() {
		p.since = now
	}
	for row := p.Next; row < min(p.Next+p.Window, p.End); row++ {
		if _, there := p.rows[row]; there {
			continue
		}
		i := p.choose(now)
		if i < 0 {
			break
		}
		p.rows[row] = pinnedRow{pinner: i, asked: now}
		p.flying[i]++
		asks = append(asks, Ask{row, i})
	}
	if len(asks) == 0 && p.fastest == 0 && p.Next < p.End && !p.Has(p.Next) {
		if i := p.choose(now); i >= 0 { // all rows are asked of pinners that bring none
			p.rows[p.Next] = pinnedRow{pinner: i, asked: now}
			p.flying[i]++
			asks = append(asks, Ask{p.Next, i})
		}
	}
	return asks
}

// choose returns the pinner to ask next: of those that have delivered the one with the least to do, then another one on
// trial; one that kept somebody waiting only when no other is left. It returns −1 if all have enough to do.
func (p *Pinners) choose(now time.Time) int {
	best, onTrial, most := -1, 0, p.trials(now)
	for i := range p.Holders {
		if !p.Delivered(i) && p.flying[i] > 0 && !p.Silent(i) {
			onTrial++
		}
	}
	rank := func(i int) int {
		switch {
		case p.Out(i) || now.Before(p.Rest(i)):
			return 0
		case p.Silent(i):
			if p.flying[i] > 0 || p.others(i) {
				return 0
			}
			return 1
		case p.Delivered(i):
			if p.flying[i] >= perPinner {
				return 0
			}
			return 3 + perPinner - p.flying[i]
		case p.flying[i] > 0 || onTrial >= most:
			return 0
		}
		return 2
	}
	for i := range p.Holders {
		if r := rank(i); r > 0 && (best < 0 || r > rank(best)) {
			best = i
		}
	}
	return best
}

// trials returns how many pinners may be on trial. The longer no row comes, the more: some may send so slowly that they
// are not silent.
func (p *Pinners) trials(now time.Time) int {
	n := trials
	for wait := max(p.Hedge, time.Millisecond); now.Sub(p.since) >= wait; wait *= 2 {
		n++
	}
	return n
}

// others reports whether somebody other than pinner i is left who did not keep anybody waiting.
func (p *Pinners) others(i int) bool {
	for k := range p.Holders {
		if k != i && !p.Out(k) && !p.Silent(k) {
			return true
		}
	}
	return false
}

// Arrived records that row is verified and held, and came from pinner i.
func (p *Pinners) Arrived(now time.Time, row, i int) {
	if r, there := p.rows[row]; there && r.pinner == i {
		if took := max(now.Sub(r.asked), 1); p.fastest == 0 || took < p.fastest {
			p.fastest = took
		}
	}
	p.since = now
	p.end(row, i)
	p.rows[row] = pinnedRow{pinner: i, here: true}
	p.Deliver(i)
}

// Failed records that a request for row to pinner i failed. A pinner that lacks a row that it claims to have, is not
// asked again.
func (p *Pinners) Failed(now time.Time, row, i int, err error) {
	p.end(row, i)
	if v := p.Holders.Fail(now, i, err); v == Absent {
		p.Exclude(i, err)
	}
}

// Ended records that a request for row to pinner i is over and its row is not needed.
func (p *Pinners) Ended(row, i int) { p.end(row, i) }

// end notes that a request is over.
func (p *Pinners) end(row, i int) {
	p.flying[i]--
	if r, there := p.rows[row]; there && !r.here && r.pinner == i {
		delete(p.rows, row)
	}
}

// Look gives up requests whose pinner sends nothing, or far too slowly: their rows are asked of others. It returns
// those requests; Failed or Arrived still tells of their ends.
func (p *Pinners) Look(now time.Time, motion func(row int) Motion) (late []Ask) {
	patience := max(p.Hedge, tooSlow*p.fastest*time.Duration(p.underWay()))
	for row := p.Next; row < min(p.Next+p.Window, p.End); row++ {
		r, there := p.rows[row]
		if !there || r.here || !p.others(r.pinner) {
			continue
		}
		slow := p.fastest > 0 && now.Sub(r.asked) > patience
		if slow || (Patience{Hedge: p.Hedge, Dial: p.Hedge}).Silent(now, motion(row)) {
			p.Silence(r.pinner)
			delete(p.rows, row)
			late = append(late, Ask{row, r.pinner})
		}
	}
	return late
}

// underWay counts the rows on their way.
func (p *Pinners) underWay() (n int) {
	for _, flying := range p.flying {
		n += flying
	}
	return n
}

// Wrote records that the next row was written out.
func (p *Pinners) Wrote() {
	delete(p.rows, p.Next)
	p.Next++
}

// Given lists the pinners that have delivered.
func (p *Pinners) Given() (given []int) {
	for i := range p.Holders {
		if p.Delivered(i) {
			given = append(given, i)
		}
	}
	return slices.Clip(given)
}
