package keeper

import (
	"container/heap"
	"math"
	"sync"
	"time"

	"walrus/shards"
)

const (
	// uploadPause: while its blob is being uploaded, a debt is looked at again after this long.
	uploadPause = time.Second
	// uploadPatience bounds how long repair waits for uploads in all. An upload that brings the slivers after that is
	// harmless: the first to finish wins.
	uploadPatience = 30 * time.Second
)

// maxDebts bounds the blobs in the list, at some 200 bytes each. What is owed beyond them is only counted, and taken
// from kept once half of the list is done.
const maxDebts = 1 << 16

// debts lists the certified blobs of which the node lacks slivers, and when to work on each. Of those that are due, the
// blob with the fewest surviving shards comes first. Of the list, kept stores the blobs.
type debts struct {
	wake   bell // a debt may have become due
	refill bell // the list has room for debts that were only counted
	most   int  // maxDebts; constant

	mu       sync.Mutex // guards the rest
	owed     map[shards.BlobID]*debt
	waiting  debtHeap              // by due
	ready    debtHeap              // due; by risk
	active   int                   // debts being worked on, which are in neither heap
	uploads  map[shards.BlobID]int // uploads under way, which repair waits for
	slivers  uint64                // sum over owed
	beyond   uint64                // slivers of blobs that did not fit in the list
	hastened time.Time             // last
}

type debt struct {
	blob      shards.BlobID
	since     time.Time // when it was first due
	slivers   int       // lacking
	surviving int       // shards that probably have the blob
	due       time.Time
	attempts  int
	heap      *debtHeap // nil while it is being repaired
	at        int       // in heap
}

// patience returns when repair stops waiting for uploads. Without this bound anyone could prevent a repair by
// uploading.
func (x *debt) patience() time.Time { return x.since.Add(uploadPatience) }

func newDebts() *debts {
	d := &debts{wake: newBell(), refill: newBell(), most: maxDebts, owed: map[shards.BlobID]*debt{},
		uploads: map[shards.BlobID]int{}}
	d.waiting.before = func(a, b *debt) bool { return a.due.Before(b.due) }
	d.ready.before = func(a, b *debt) bool {
		return a.surviving < b.surviving || a.surviving == b.surviving && a.due.Before(b.due)
	}
	return d
}

// set records that blob lacks slivers, to be repaired not before due; 0 slivers clears the debt. A known debt keeps
// its schedule.
func (d *debts) set(blob shards.BlobID, slivers int, due time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	x := d.owed[blob]
	if slivers == 0 {
		d.drop(x)
		return
	}
	if x == nil && len(d.owed) >= d.most {
		d.beyond += uint64(slivers)
		return
	}
	if x == nil {
		x = &debt{blob: blob, since: due, due: due, surviving: math.MaxInt}
		d.owed[blob] = x
		d.waiting.push(x)
	}
	d.slivers += uint64(slivers) - uint64(x.slivers)
	x.slivers = slivers
	d.wake.ring()
}

// rate records how many shards probably have a blob that is owed. The fewer, the earlier it is repaired.
func (d *debts) rate(blob shards.BlobID, surviving int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if x := d.owed[blob]; x != nil {
		if x.surviving = surviving; x.heap != nil {
			heap.Fix(x.heap, x.at)
		}
	}
}

// next takes the debt at the greatest risk, of those that are due now. Otherwise wait tells when to look again; 0 means
// when woken.
func (d *debts) next(now time.Time) (blob shards.BlobID, ok bool, wait time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.waiting.list) > 0 && !d.waiting.list[0].due.After(now) {
		d.ready.push(d.waiting.pop())
	}
	for len(d.ready.list) > 0 {
		x := d.ready.pop()
		if d.uploads[x.blob] > 0 && now.Before(x.patience()) {
			x.due = now.Add(uploadPause)
			d.waiting.push(x)
			continue
		}
		d.active++
		return x.blob, true, 0
	}
	if len(d.waiting.list) > 0 {
		wait = d.waiting.list[0].due.Sub(now)
	}
	return blob, false, wait
}

// failed reschedules a taken debt, after a pause that doubles from backoff to most.
func (d *debts) failed(blob shards.BlobID, now time.Time, backoff, most time.Duration) (attempts int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if x := d.owed[blob]; x != nil && x.heap == nil {
		x.due = now.Add(min(backoff<<min(x.attempts, 16), most))
		x.attempts++
		attempts = x.attempts
		d.active--
		d.waiting.push(x)
	}
	d.wake.ring()
	return attempts
}

// urge makes a debt due now that waits after a failure.
func (d *debts) urge(blob shards.BlobID, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if x := d.owed[blob]; x != nil && x.heap == &d.waiting && x.due.After(now) {
		x.due = now
		heap.Fix(x.heap, x.at)
		d.wake.ring()
	}
}

// age returns for how long a blob has been owed, 0 if it is not.
func (d *debts) age(blob shards.BlobID, now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if x := d.owed[blob]; x != nil {
		return max(0, now.Sub(x.since))
	}
	return 0
}

// hastePause is the shortest time between two calls of hasten that have an effect.
const hastePause = 15 * time.Second

// hasten makes all debts due that wait after a failure: what they failed for may be over.
func (d *debts) hasten(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Sub(d.hastened) < hastePause {
		return
	}
	d.hastened = now
	for _, x := range d.waiting.list {
		if x.attempts > 0 && x.due.After(now) {
			x.due, x.attempts = now, 1
		}
	}
	heap.Init(&d.waiting)
	d.wake.ring()
}

// forget drops the debt of a blob: nothing of it is owed any more, or it is inconsistent and cannot be repaired.
func (d *debts) forget(blob shards.BlobID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop(d.owed[blob])
}

// drop removes a debt, if it is not nil. d.mu is held.
func (d *debts) drop(x *debt) {
	if x == nil {
		return
	}
	d.slivers -= uint64(x.slivers)
	delete(d.owed, x.blob)
	if x.heap != nil {
		heap.Remove(x.heap, x.at)
	} else {
		d.active--
	}
	if d.beyond > 0 && len(d.owed) <= d.most/2 {
		d.refill.ring()
	}
	d.wake.ring()
}

// restart notes that everything that is owed is about to be listed anew.
func (d *debts) restart() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.beyond = 0
}

// upload notes that an upload of blob begins; call end when it has ended.
func (d *debts) upload(blob shards.BlobID) (end func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.uploads[blob]++
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.uploads[blob]--; d.uploads[blob] == 0 {
			delete(d.uploads, blob)
		}
	}
}

// uploading reports whether uploads are under way.
func (d *debts) uploading() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.uploads) > 0
}

// backlog counts the blobs in the list: those waiting and those being repaired.
func (d *debts) backlog() (waiting, active int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.owed) - d.active, d.active
}

// repairing reports whether blob is being repaired.
func (d *debts) repairing(blob shards.BlobID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	x := d.owed[blob]
	return x != nil && x.heap == nil
}

// total returns the number of slivers owed.
func (d *debts) total() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.slivers + d.beyond
}

// debtHeap is a heap of debts that know their places.
type debtHeap struct {
	list   []*debt
	before func(a, b *debt) bool // constant
}

func (h *debtHeap) push(x *debt) { heap.Push(h, x) }
func (h *debtHeap) pop() *debt   { return heap.Pop(h).(*debt) }

func (h *debtHeap) Len() int           { return len(h.list) }
func (h *debtHeap) Less(i, j int) bool { return h.before(h.list[i], h.list[j]) }

func (h *debtHeap) Swap(i, j int) {
	h.list[i], h.list[j] = h.list[j], h.list[i]
	h.list[i].at, h.list[j].at = i, j
}

func (h *debtHeap) Push(v any) {
	x := v.(*debt)
	x.heap, x.at = h, len(h.list)
	h.list = append(h.list, x)
}

func (h *debtHeap) Pop() any {
	last := len(h.list) - 1
	x := h.list[last]
	h.list[last] = nil
	h.list, x.heap = h.list[:last], nil
	return x
}
