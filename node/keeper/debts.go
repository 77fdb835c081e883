package keeper

import (
	"container/heap"
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

// debts lists the certified blobs of which the node lacks slivers, and when to work on each. Of the list, kept stores
// the blobs.
type debts struct {
	wake bell // a debt may have become due

	mu      sync.Mutex // guards the rest
	owed    map[shards.BlobID]*debt
	queue   debtQueue             // debts that are neither active nor hopeless
	uploads map[shards.BlobID]int // uploads under way, which repair waits for
	slivers uint64                // sum over owed
}

type debt struct {
	blob     shards.BlobID
	since    time.Time // when it was first due
	slivers  int       // lacking
	due      time.Time
	attempts int
	active   bool // being repaired
	settled  bool // no longer owed, or hopeless: its queue entry is skipped
}

// patience returns when repair stops waiting for uploads. Without this bound anyone could prevent a repair by
// uploading.
func (x *debt) patience() time.Time { return x.since.Add(uploadPatience) }

func newDebts() *debts {
	return &debts{wake: newBell(), owed: map[shards.BlobID]*debt{}, uploads: map[shards.BlobID]int{}}
}

// set records that blob lacks slivers, to be repaired not before due; 0 slivers clears the debt. A known debt keeps
// its schedule.
func (d *debts) set(blob shards.BlobID, slivers int, due time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	x := d.owed[blob]
	if x == nil {
		if slivers == 0 {
			return
		}
		x = &debt{blob: blob, since: due, due: due}
		d.owed[blob] = x
		heap.Push(&d.queue, x)
	}
	d.slivers += uint64(slivers) - uint64(x.slivers)
	x.slivers = slivers
	if slivers == 0 {
		x.settled = true
		delete(d.owed, blob)
	}
	d.wake.ring()
}

// next takes the earliest debt, if it is due now. Otherwise wait tells when to look again; 0 means when woken.
func (d *debts) next(now time.Time) (blob shards.BlobID, ok bool, wait time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.queue) > 0 {
		x := d.queue[0]
		if wait = x.due.Sub(now); wait > 0 && !x.settled {
			return blob, false, wait
		}
		heap.Pop(&d.queue)
		switch {
		case x.settled:
		case d.uploads[x.blob] > 0 && now.Before(x.patience()):
			x.due = now.Add(uploadPause)
			heap.Push(&d.queue, x)
		default:
			x.active = true
			return x.blob, true, 0
		}
	}
	return blob, false, 0
}

// failed reschedules a taken debt, after a pause that doubles from backoff to most.
func (d *debts) failed(blob shards.BlobID, now time.Time, backoff, most time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if x := d.owed[blob]; x != nil && x.active {
		x.active = false
		x.due = now.Add(min(backoff<<min(x.attempts, 16), most))
		x.attempts++
		heap.Push(&d.queue, x)
	}
	d.wake.ring()
}

// forget drops the debt of a blob: nothing of it is owed any more, or it is inconsistent and cannot be repaired.
func (d *debts) forget(blob shards.BlobID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if x := d.owed[blob]; x != nil {
		d.slivers -= uint64(x.slivers)
		x.slivers, x.settled = 0, true
		delete(d.owed, blob)
	}
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

// backlog counts the blobs that lack slivers: those waiting and those being repaired.
func (d *debts) backlog() (waiting, active int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, x := range d.owed {
		if x.active {
			active++
		} else {
			waiting++
		}
	}
	return waiting, active
}

// repairing reports whether blob is being repaired.
func (d *debts) repairing(blob shards.BlobID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	x := d.owed[blob]
	return x != nil && x.active
}

// total returns the number of slivers owed.
func (d *debts) total() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.slivers
}

// debtQueue is a heap by due time.
type debtQueue []*debt

func (q debtQueue) Len() int           { return len(q) }
func (q debtQueue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q debtQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *debtQueue) Push(x any)        { *q = append(*q, x.(*debt)) }
func (q *debtQueue) Pop() any {
	old := *q
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return x
}
