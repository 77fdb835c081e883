package keeper

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/semaphore"

	"walrus/ledger"
	"walrus/p2p"
	"walrus/shards"
)

const (
	// registrationPatience is the time an upload may be ahead of its registration: ten times a slow block.
	registrationPatience = 10 * time.Second
	// maxPending and maxPendingBytes limit the metadata held for blobs that are not registered yet. maxPendingPerPeer
	// limits one peer's share: the most blobs that a client has on their way at once.
	maxPending, maxPendingPerPeer = 1024, 128
	maxPendingBytes               = 64 << 20
	// maxWaiting limits the uploads, and apart from them the other requests, that wait for a registration; each holds a
	// goroutine and its stream.
	maxWaiting = 512
)

// pending holds metadata that arrived before its registration, and wakes the requests that wait for one.
type pending struct {
	waiting *semaphore.Weighted // requests other than uploads
	recent  *registrations      // has its own lock

	mu       sync.Mutex // guards the rest
	blobs    map[shards.BlobID]early
	peers    map[peer.ID]int        // entries of blobs
	accounts map[ledger.Address]int // the same
	bytes    int
	uploads  map[ledger.Address]int // uploads that wait
	queued   int                    // all of them
	news     chan struct{}          // closed and replaced when the ledger has changed
}

// early is metadata that arrived before its registration.
type early struct {
	metadata []byte
	from     peer.ID
	account  ledger.Address // is to register the blob
	until    time.Time
}

func newPending() *pending {
	return &pending{
		waiting: semaphore.NewWeighted(maxWaiting), recent: newRegistrations(), blobs: map[shards.BlobID]early{},
		peers:    map[peer.ID]int{},
		accounts: map[ledger.Address]int{}, uploads: map[ledger.Address]int{}, news: make(chan struct{}),
	}
}

// put holds the metadata of a blob for registrationPatience. When there is no room, the oldest entry goes of the
// account that has most, if it has two more than this one; else ErrBusy.
func (p *pending) put(from peer.ID, account ledger.Address, id shards.BlobID, metadata []byte) error {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for old, e := range p.blobs {
		if now.After(e.until) {
			p.removeLocked(old)
		}
	}
	if e, ok := p.blobs[id]; ok { // the same metadata, as the ID is the same; it stays on the first sender's share
		e.until = now.Add(registrationPatience)
		p.blobs[id] = e
		return nil
	}
	for p.peers[from] >= maxPendingPerPeer || len(p.blobs) >= maxPending || p.bytes+len(metadata) > maxPendingBytes {
		if p.peers[from] >= maxPendingPerPeer || !p.replace(account) {
			return fmt.Errorf("%w: too many blobs wait for their registration", p2p.ErrBusy)
		}
	}
	p.blobs[id] = early{metadata, from, account, now.Add(registrationPatience)}
	p.peers[from]++
	p.accounts[account]++
	p.bytes += len(metadata)
	return nil
}

// replace makes room for an account's blob, if another account has at least two more. The caller holds mu.
func (p *pending) replace(account ledger.Address) bool {
	var most ledger.Address
	for a, n := range p.accounts {
		if n > p.accounts[most] {
			most = a
		}
	}
	if p.accounts[most] < p.accounts[account]+2 {
		return false
	}
	var oldest shards.BlobID
	for id, e := range p.blobs {
		if e.account == most && (p.blobs[oldest].account != most || e.until.Before(p.blobs[oldest].until)) {
			oldest = id
		}
	}
	p.removeLocked(oldest)
	return true
}

// get returns the held metadata of a blob, or nil.
func (p *pending) get(id shards.BlobID) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.blobs[id].metadata
}

// remove forgets the held metadata of a blob, and reports whether there was any.
func (p *pending) remove(id shards.BlobID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, held := p.blobs[id]
	p.removeLocked(id)
	return held
}

func (p *pending) removeLocked(id shards.BlobID) {
	e, ok := p.blobs[id]
	if !ok {
		return
	}
	delete(p.blobs, id)
	p.bytes -= len(e.metadata)
	if p.peers[e.from]--; p.peers[e.from] == 0 {
		delete(p.peers, e.from)
	}
	if p.accounts[e.account]--; p.accounts[e.account] == 0 {
		delete(p.accounts, e.account)
	}
}

// wake makes all waiting requests look at the ledger again.
func (p *pending) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.news)
	p.news = make(chan struct{})
}

func (p *pending) changed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.news
}

// await calls look until it finds its record on the ledger: at once, then after every change of the ledger, for
// registrationPatience. It returns the last error of look.
func (p *pending) await(ctx context.Context, look func() error) error {
	return p.wait(ctx, look, func() (func(), bool) {
		return func() { p.waiting.Release(1) }, p.waiting.TryAcquire(1)
	})
}

// awaitUpload does the same for an upload on behalf of an account. All uploads of one account that wait get at most
// half of the places left.
func (p *pending) awaitUpload(ctx context.Context, account ledger.Address, look func() error) error {
	return p.wait(ctx, look, func() (func(), bool) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.uploads[account]+1 > (maxWaiting-p.queued)/2 {
			return nil, false
		}
		p.uploads[account]++
		p.queued++
		return func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.queued--
			if p.uploads[account]--; p.uploads[account] == 0 {
				delete(p.uploads, account)
			}
		}, true
	})
}

// wait does the work of await, in a place that enter gives.
func (p *pending) wait(ctx context.Context, look func() error, enter func() (leave func(), ok bool)) error {
	news := p.changed()
	err := look()
	if !notYet(err) {
		return err
	}
	leave, ok := enter()
	if !ok {
		return fmt.Errorf("%w: too many requests wait for a registration", p2p.ErrBusy)
	}
	defer leave()
	timer := time.NewTimer(registrationPatience)
	defer timer.Stop()
	for {
		select {
		case <-news:
		case <-timer.C:
			return err
		case <-ctx.Done():
			return err
		}
		news = p.changed()
		if err = look(); !notYet(err) {
			return err
		}
	}
}

// notYet reports whether a later block may resolve err.
func notYet(err error) bool {
	return errors.Is(err, p2p.ErrNotRegistered) || errors.Is(err, p2p.ErrUnavailable)
}

// run wakes the waiting requests at every block.
func (p *pending) run(ctx context.Context, l Ledger) error {
	for ctx.Err() == nil {
		_, height := l.State()
		p.wake() // blocks may have come between State and Follow
		kept, err := l.Follow(ctx, height+1, func(_ uint64, events []ledger.Event) error {
			p.recent.note(events)
			p.wake()
			return nil
		})
		if kept && ctx.Err() == nil {
			return err
		}
	}
	return nil
}
