package keeper

import (
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/ledger"
	"walrus/p2p"
)

const (
	// maxWasted bounds the records of which refused uploads are remembered, 150 bytes each.
	maxWasted = 4096
	// wasteTime: refused uploads count for this long. A client on a bad line, whose uploads break off, must not be
	// locked out for ever.
	wasteTime = time.Hour
	// pressTime: others wait for memory this long after they were told to wait. They ask again every two seconds.
	pressTime = 5 * time.Second
)

// uploads bounds what uploads take: memory in all and for each peer, account and record, and space on the disk for each
// record.
type uploads struct {
	memory int64 // limit, Config.UploadMemory; constant

	mu      sync.Mutex
	used    int64         // guarded by mu, as are all below
	shares  map[any]int64 // memory by peer, account and record; only those with an upload
	refused time.Time     // somebody without an upload found no memory
	records map[ledger.ObjectID]*written
}

// uploader names the peer that uploads, and the account and record that give it the right.
type uploader struct {
	from    peer.ID
	account ledger.Address
	record  ledger.ObjectID
}

// groups returns those that have a share of the memory each.
func (u uploader) groups() [3]any { return [3]any{u.from, u.account, u.record} }

// written counts the bytes of a record's uploads that are on their way to the disk, or wasted there.
type written struct {
	coming, wasted int64
	since          time.Time // when the first of wasted were
}

func newUploads(memory int64) *uploads {
	return &uploads{memory: memory, shares: map[any]int64{}, records: map[ledger.ObjectID]*written{}}
}

// fits returns ErrBusy unless there is memory for an upload now. An upload alone always fits. A peer, account or record
// with others under way gets at most half of what is free.
func (u *uploads) fits(who uploader, amount int64) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.fitsLocked(who, min(amount, u.memory))
}

func (u *uploads) fitsLocked(who uploader, amount int64) error {
	free, greedy := u.memory-u.used, false
	for _, g := range who.groups() {
		greedy = greedy || u.shares[g] > 0 && u.shares[g]+amount > free/2
	}
	if !greedy && amount <= free {
		return nil
	}
	if u.shares[who.account] == 0 {
		u.refused = time.Now()
	}
	return fmt.Errorf("%w: too many uploads at once", p2p.ErrBusy)
}

// admit reserves memory for an upload; it returns the errors of fits.
func (u *uploads) admit(who uploader, amount int64) (release func(), err error) {
	amount = min(amount, u.memory)
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.fitsLocked(who, amount); err != nil {
		return nil, err
	}
	u.count(who, amount)
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.count(who, -amount)
	}, nil
}

// count adds to what an uploader holds. The caller holds u.mu.
func (u *uploads) count(who uploader, amount int64) {
	u.used += amount
	for _, g := range who.groups() {
		if u.shares[g] += amount; u.shares[g] == 0 {
			delete(u.shares, g)
		}
	}
}

// pressed reports whether others wait for memory.
func (u *uploads) pressed() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return time.Since(u.refused) < pressTime
}

// write lets an upload write up to bytes, of most bytes in all for its record; ErrSpent if the record's uploads that
// are under way, or were refused within wasteTime, have taken that. end tells how many bytes were wasted.
func (u *uploads) write(record ledger.ObjectID, bytes, most int64) (end func(wasted int64), err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	b := u.records[record]
	if b == nil {
		b = &written{}
		if len(u.records) >= maxWasted {
			u.forget()
		}
	}
	if time.Since(b.since) > wasteTime {
		b.wasted = 0
	}
	switch {
	case b.wasted+bytes > most:
		return nil, fmt.Errorf("%w: broken uploads within the last hour took %d bytes", p2p.ErrSpent, b.wasted)
	case b.coming+b.wasted+bytes > most:
		return nil, fmt.Errorf("%w: other uploads for this record are under way", p2p.ErrBusy)
	}
	u.records[record] = b
	b.coming += bytes
	return func(wasted int64) {
		u.mu.Lock()
		defer u.mu.Unlock()
		if b.wasted == 0 {
			b.since = time.Now()
		}
		b.coming, b.wasted = b.coming-bytes, b.wasted+wasted
		if b.coming == 0 && b.wasted == 0 {
			delete(u.records, record)
		}
	}, nil
}

// forget drops the entry with the least waste among the entries without an upload. The caller holds u.mu.
func (u *uploads) forget() {
	var least ledger.ObjectID
	fewest := int64(-1)
	for id, b := range u.records {
		if b.coming == 0 && (fewest < 0 || b.wasted < fewest) {
			least, fewest = id, b.wasted
		}
	}
	delete(u.records, least)
}

const (
	// paceWindow is the time spent waiting for an uploader after which its rate is judged.
	paceWindow = 5 * time.Second
	// leastTime: while others wait, an upload brings as many bytes as it holds memory in this time, and leastBytes even
	// if it holds little.
	leastTime  = 30 * time.Second
	leastBytes = 96 << 10
)

// pacedBody ends an upload that brings too little for the memory it holds, while others wait. Only time spent in Read
// counts.
type pacedBody struct {
	p2p.Body
	uploads *uploads // constant, as are the next two
	held    int64
	quantum int64 // bytes due in each paceWindow

	got  int64         // in the window
	left time.Duration // of the window

	mu      sync.Mutex
	timer   *time.Timer // guarded by mu, as are the next two
	reading bool
	due     time.Time // end of the window, while reading
}

func newPacedBody(b p2p.Body, u *uploads, held int64) *pacedBody {
	quantum := max(held, leastBytes) / int64(leastTime/paceWindow)
	return &pacedBody{Body: b, uploads: u, held: held, quantum: quantum, left: paceWindow}
}

// Read reads the body.
func (p *pacedBody) Read(b []byte) (int, error) {
	start := time.Now()
	p.watch(true)
	n, err := p.Body.Read(b)
	p.watch(false)
	p.left -= time.Since(start)
	if p.got += int64(n); p.got >= p.quantum {
		p.got, p.left = 0, paceWindow
	}
	return n, err
}

// watch begins or ends the wait for the peer.
func (p *pacedBody) watch(reading bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reading, p.due = reading, time.Now().Add(p.left)
	switch {
	case !reading:
		p.timer.Stop()
	case p.timer == nil:
		p.timer = time.AfterFunc(max(p.left, 0), p.late)
	default:
		p.timer.Reset(max(p.left, 0))
	}
}

// late runs when the window is over and too little has come. Without others who wait it looks again later.
func (p *pacedBody) late() {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.reading || time.Now().Before(p.due): // it ran too late for its own Read
	case p.uploads.pressed():
		p.End(fmt.Errorf("%w: this upload held %d KiB of memory and brought less than %d KiB in %v, while others waited: send faster, or fewer pairs at once",
			p2p.ErrBusy, p.held>>10, p.quantum>>10, paceWindow))
	default:
		p.timer.Reset(time.Second)
	}
}
