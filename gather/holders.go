package gather

import (
	"errors"
	"slices"
	"time"

	"walrus/certs"
	"walrus/p2p"
	"walrus/shards"
)

// ErrSilent says that a holder had not answered when the work was completed without it.
var ErrSilent = errors.New("did not answer in time")

// A busy holder rests for firstRest, then twice as long each time, up to longestRest. After maxRests in a row, 5.4
// seconds in all, it is not asked again.
const (
	firstRest   = 200 * time.Millisecond
	longestRest = time.Second
	maxRests    = 7
)

// Verdict judges a holder by the error of one request.
type Verdict uint8

// Verdicts, from the mildest to the hardest.
const (
	Busy   Verdict = iota // asked again after a rest
	Absent                // lacks this sliver, or its copy is damaged; may have others
	Failed                // cannot be reached or does not serve: not asked again
	Lied                  // sent provably wrong bytes: not asked again
)

// Judge returns the verdict on a holder whose request failed with err.
func Judge(err error) Verdict {
	for _, lie := range []error{shards.ErrSliver, shards.ErrSymbol, shards.ErrMetadata, p2p.ErrProtocol} {
		if errors.Is(err, lie) {
			return Lied
		}
	}
	switch {
	case errors.Is(err, p2p.ErrBusy):
		return Busy
	case errors.Is(err, p2p.ErrNotFound), errors.Is(err, p2p.ErrCorrupt):
		return Absent
	}
	return Failed
}

// Holders records how the holders of a blob behaved, by committee index. It does no I/O and reads no clock. It is not
// safe for concurrent use.
type Holders []holder

// holder is the record of one holder.
type holder struct {
	out       bool      // not asked again
	silent    bool      // kept somebody waiting; asked only when no others are left
	late      bool      // sent too slowly to be waited for
	delivered bool      // since the record began, or was cloned
	rests     int       // in a row
	until     time.Time // end of the newest rest
	err       error     // the newest error, or the lie
}

// NewHolders returns the record of n holders about whom nothing is known.
func NewHolders(n int) Holders { return make(Holders, n) }

// Owners returns the holder of each sliver along axis, by sliver index.
func Owners(com *certs.Committee, id shards.BlobID, axis shards.Axis) []int {
	params := com.Params()
	owners := make([]int, params.Shards())
	for i, m := range com.Members() {
		for _, shard := range m.Shards {
			owners[params.SliverOfPair(axis, params.PairOnShard(id, shard))] = i
		}
	}
	return owners
}

// Deliver records verified bytes from holder i. It is no longer silent or busy.
func (s Holders) Deliver(i int) {
	h := &s[i]
	h.delivered, h.silent, h.rests, h.until = true, false, 0, time.Time{}
}

// Silence records that holder i keeps somebody waiting.
func (s Holders) Silence(i int) { s[i].silent = true }

// Late records that holder i sends, but too slowly to be waited for.
func (s Holders) Late(i int) { s[i].late = true }

// Fail records that a request to holder i failed. A holder that is busy too often is Failed.
func (s Holders) Fail(now time.Time, i int, err error) Verdict {
	h, verdict := &s[i], Judge(err)
	if verdict == Busy {
		if now.Before(h.until) { // the request was sent before the rest began
			return Busy
		}
		if h.rests < maxRests {
			h.until = now.Add(min(firstRest<<h.rests, longestRest))
			h.rests++
			return Busy
		}
		verdict = Failed
	}
	if h.err == nil || verdict == Lied || Judge(h.err) != Lied {
		h.err = err
	}
	h.out = h.out || verdict >= Failed
	return verdict
}

// Exclude records that holder i must not be asked again, whatever the error.
func (s Holders) Exclude(i int, err error) {
	h := &s[i]
	if h.err == nil || Judge(h.err) != Lied {
		h.err = err
	}
	h.out = true
}

// Lie returns the error that convicts holder i of a lie; nil if there is none.
func (s Holders) Lie(i int) error {
	if err := s[i].err; err != nil && Judge(err) == Lied {
		return err
	}
	return nil
}

// Delivered reports whether holder i has delivered since the record began, or was cloned.
func (s Holders) Delivered(i int) bool { return s[i].delivered }

// Out reports whether holder i must not be asked again.
func (s Holders) Out(i int) bool { return s[i].out }

// Silent reports whether holder i kept somebody waiting and has not delivered since.
func (s Holders) Silent(i int) bool { return s[i].silent }

// Rest returns the end of holder i's newest rest; zero if it has delivered since, or never rested.
func (s Holders) Rest(i int) time.Time { return s[i].until }

// Clone copies the record for another run. Deliveries are counted anew.
func (s Holders) Clone() Holders {
	c := slices.Clone(s)
	for i := range c {
		c[i].delivered = false
	}
	return c
}

// Learn adds the findings of another run, which worked on a clone meanwhile.
func (s Holders) Learn(from Holders) {
	for i := range s {
		to, h := &s[i], &from[i]
		to.out = to.out || h.out
		to.silent = h.silent || to.silent && !h.delivered
		if h.err != nil && (to.err == nil || Judge(to.err) != Lied) {
			to.err = h.err
		}
	}
}

// Failures lists the holders that did not do their part, in the order of the committee.
func (s Holders) Failures() []Failure {
	var all []Failure
	for i := range s {
		switch h := &s[i]; {
		case h.err != nil:
			all = append(all, Failure{Holder: i, Err: h.err})
		case h.silent, h.late && !h.delivered:
			all = append(all, Failure{Holder: i, Err: ErrSilent})
		}
	}
	return all
}
