package app

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"walrus/ledger"
	"walrus/ledger/light"
	"walrus/ledger/merkle"
)

// A snapshot is a view that is held, so that joining nodes can fetch its state in ranges: making one copies nothing.
// The database keeps what later blocks replace for as long as the view is held, so its life is bounded.
const (
	// keptSnapshots is the number of newest snapshots held.
	keptSnapshots = 2
	// maxSnapshots bounds the snapshots held, with older ones that are still being fetched.
	maxSnapshots = 4
	// lastUse: an older snapshot is dropped when nobody has asked for a range of it for this long.
	lastUse = time.Minute
	// maxLife: an older snapshot is dropped after this long, used or not. At 20 MB/s a node fetches 70 GB in that time.
	maxLife = time.Hour
)

// snapshot is a view that joining nodes may fetch.
type snapshot struct {
	view       *View
	made, used time.Time
}

// retain returns the snapshots to hold on to, of a list with the newest first.
func retain(list []snapshot, now time.Time) (kept []snapshot) {
	for i, s := range list {
		if i < keptSnapshots || i < maxSnapshots && now.Sub(s.used) < lastUse && now.Sub(s.made) < maxLife {
			kept = append(kept, s)
		}
	}
	return kept
}

// snapshots are the snapshots of an App. It is safe for concurrent use.
type snapshots struct {
	mu   sync.Mutex
	list []snapshot // the newest first; guarded by mu
}

// begin makes v the only snapshot.
func (s *snapshots) begin(v *View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = []snapshot{{v, time.Now(), time.Time{}}}
}

// add is called for each new view, and makes a snapshot of those at every multiple of every.
func (s *snapshots) add(v *View, every uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if v.Height%every == 0 {
		s.list = slices.Insert(s.list, 0, snapshot{v, now, time.Time{}})
	}
	s.list = retain(s.list, now)
}

func (s *snapshots) heights() (heights []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.list {
		heights = append(heights, n.view.Height)
	}
	return heights
}

// use returns the snapshot at a height, nil if there is none.
func (s *snapshots) use(height uint64) *View {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.list {
		if n := &s.list[i]; n.view.Height == height {
			n.used = time.Now()
			return n.view
		}
	}
	return nil
}

func (s *snapshots) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = nil
}

// Snapshots returns the heights whose state Range reads, the newest first: the two newest multiples of
// Config.SnapshotEvery, the height at which the App was opened while it has not passed two of them, and older ones that
// are still being read, within bounds.
func (a *App) Snapshots() []uint64 { return a.snapshots.heights() }

// Range returns the pairs of the state at a height of Snapshots with paths between first and last, with their proof:
// all of them, or the first, as many as limit bytes hold and at least one. Errors wrap ledger.ErrNotFound for other
// heights.
func (a *App) Range(height uint64, first, last merkle.Hash, limit int) (*light.Range, error) {
	v := a.snapshots.use(height)
	if v == nil {
		return nil, fmt.Errorf("snapshot at height %d: %w", height, ledger.ErrNotFound)
	}
	r, err := v.Range(first, last, limit)
	if err != nil {
		return nil, fmt.Errorf("read the snapshot at height %d: %w", height, err)
	}
	return r, nil
}

// Range does App.Range's work on a view. It reads little more than it returns.
func (v *View) Range(first, last merkle.Hash, limit int) (*light.Range, error) {
	to := stateEnd
	if next := after(last); next != nil {
		to = pathKey(*next)
	}
	// A pair takes more bytes in the database than in a range, so one scan of limit bytes finds enough.
	raw, next, err := v.scan(pathKey(first), to, limit, limit)
	if err != nil {
		return nil, err
	}
	r := &light.Range{More: next != nil, Pairs: make([]byte, 0, min(limit, sizeOf(raw)))}
	end := last
	for _, p := range raw {
		key, value, err := parseRecord(p.Key, p.Value)
		if err != nil {
			return nil, err
		}
		if len(r.Pairs) > 0 && len(r.Pairs)+light.PairSize(key, value) > limit {
			r.More = true
			break
		}
		r.Pairs = light.AppendPair(r.Pairs, key, value)
		end = merkle.Hash(p.Key[len(stateKeys):])
	}
	if !r.More {
		end = last
	}
	low, err := v.ProvePath(first)
	if err != nil {
		return nil, err
	}
	high, err := v.ProvePath(end)
	r.Proof = merkle.NewRangeProof(first, end, low, high)
	return r, err
}
