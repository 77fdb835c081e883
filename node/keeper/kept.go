package keeper

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"walrus/internal/pause"
	"walrus/shards"
	"walrus/store"
)

const (
	// stateFollowed, followed by the network ID, is the store's key for the height up to which the events of that
	// network's ledger have been processed. The value is a u64, big-endian.
	stateFollowed = "ledger-followed-"
	// stateOwed, followed by a blob ID, is the store's key for a blob that may lack slivers. The value is their number, a
	// u32, big-endian.
	stateOwed = "owed-"
	// stateCounts is the store's key for the numbers of blobs, certificates and slivers that are durable, three u64,
	// big-endian.
	stateCounts = "counts"
)

const (
	// settleEvery is the pause between syncs for the sake of a restart. After a kill that many seconds of events are
	// processed again.
	settleEvery = 5 * time.Second
	// settleLag: after this many blocks without an event for us the height is noted nevertheless.
	settleLag = 1000
	// maxUnsettled bounds the blobs that wait for a settlement.
	maxUnsettled = 4096
)

// kept is the part of the node's knowledge that survives a restart: the blobs that may lack slivers, and the height up
// to which the ledger's events are reflected in them. So a start reads neither blobs nor slivers. Whatever kills the
// node:
//   - A blob is written down as owed before the height that covers its certificate.
//   - It is struck off only when a sync has made durable the slivers that it lacked.
//   - Doubt about all of that is written before the height.
type kept struct {
	shelf *shelf
	key   string       // stateFollowed with the network ID
	doubt func() error // writes the inventory's doubt
	wake  bell         // there is enough to settle
	log   *slog.Logger

	mu     sync.Mutex // guards the rest
	owed   map[shards.BlobID]uint32
	whole  map[shards.BlobID]bool // counted whole since the last settlement, with slivers that may not be durable yet
	dirty  bool                   // an event was for us since
	height uint64                 // processed
	noted  uint64                 // on the disk
}

func newKept(s *shelf, network string, log *slog.Logger) *kept {
	return &kept{
		shelf: s, key: stateFollowed + network, wake: newBell(), log: log,
		owed: map[shards.BlobID]uint32{}, whole: map[shards.BlobID]bool{},
	}
}

// load reads the blobs that may lack slivers, and calls fn for each. A damaged record counts as one sliver.
func (k *kept) load(fn func(id shards.BlobID, slivers int)) error {
	for after := ""; ; {
		keys, err := k.shelf.StateKeys(stateOwed, after, pageSize)
		if err != nil {
			return fmt.Errorf("read what this node owes: %w", err)
		}
		for _, key := range keys {
			id, ok := owedBlob(key)
			if !ok {
				continue
			}
			n := uint32(1)
			if b, err := k.shelf.State(key); err == nil && len(b) == 4 {
				n = binary.BigEndian.Uint32(b)
			}
			k.mu.Lock()
			k.owed[id] = n
			k.mu.Unlock()
			fn(id, int(n))
		}
		if len(keys) < pageSize {
			return nil
		}
		after = keys[len(keys)-1]
	}
}

func owedKey(id shards.BlobID) string { return stateOwed + string(id[:]) }

func owedBlob(key string) (id shards.BlobID, ok bool) {
	return id, copy(id[:], key[len(stateOwed):]) == len(id) && len(key) == len(stateOwed)+len(id)
}

// followed returns the height up to which events have been processed. Zero means from the start: events may be
// processed twice.
func (k *kept) followed() (uint64, error) {
	b, err := k.shelf.State(k.key)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) || err == nil && len(b) != 8 {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.noted = binary.BigEndian.Uint64(b)
	k.height = max(k.height, k.noted)
	return k.noted, nil
}

// applied notes that the events of a block have been processed. handled tells that one of them was for us.
func (k *kept) applied(height uint64, handled bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.height = height
	k.dirty = k.dirty || handled
	if k.dirty || height >= k.noted+settleLag {
		k.wake.ring()
	}
}

// at returns the height of the last block whose events have been processed.
func (k *kept) at() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.height
}

// owes reports whether a blob is written down as one that may lack slivers, and stays so for now.
func (k *kept) owes(id shards.BlobID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.owed[id] > 0 && !k.whole[id]
}

// count notes the number of slivers that a blob lacks.
func (k *kept) count(id shards.BlobID, slivers int) error {
	n := uint32(slivers)
	k.mu.Lock()
	defer k.mu.Unlock()
	if n == 0 {
		k.whole[id], k.dirty = true, true
		k.wake.ring()
		return nil
	}
	delete(k.whole, id)
	if k.owed[id] == n {
		return nil
	}
	if err := k.shelf.PutState(owedKey(id), binary.BigEndian.AppendUint32(nil, n)); err != nil {
		return fmt.Errorf("note that slivers are missing: %w", err)
	}
	k.owed[id] = n
	return nil
}

// forget notes that nothing of a blob is owed any more.
func (k *kept) forget(id shards.BlobID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.owed[id] > 0 {
		k.whole[id], k.dirty = true, true
		k.wake.ring()
	}
}

// run settles now and then until ctx ends, and once more at the end. It does nothing while nothing happens.
func (k *kept) run(ctx context.Context, lacks func(shards.BlobID) (int, error)) error {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-k.wake:
			k.pauseFor(ctx)
		}
		if err := k.settle(lacks); ignoreClosed(err) != nil {
			k.log.Error("cannot note what is known; after a restart events of the ledger are processed again", "err", err)
			k.wake.ring()
		}
	}
	return nil
}

// pauseFor waits for settleEvery, or until there is enough to settle.
func (k *kept) pauseFor(ctx context.Context) {
	for end := time.Now().Add(settleEvery); ; {
		k.mu.Lock()
		enough := len(k.whole) >= maxUnsettled
		k.mu.Unlock()
		if enough || pause.Until(ctx, time.Until(end), k.wake) || ctx.Err() != nil {
			return
		}
	}
}

// settle makes everything durable that the counts since the last settlement have seen, and then writes down what
// follows from it. A sync that failed meanwhile, anywhere, has removed slivers: so it counts again behind its own.
func (k *kept) settle(lacks func(shards.BlobID) (int, error)) error {
	k.mu.Lock()
	whole, height, dirty := k.whole, k.height, k.dirty
	if !dirty && height < k.noted+settleLag {
		k.mu.Unlock()
		return nil
	}
	k.whole, k.dirty = map[shards.BlobID]bool{}, false
	k.mu.Unlock()
	err := k.settleThese(whole, height, lacks)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		for id := range whole {
			k.whole[id] = true
		}
		k.dirty = true
		return err
	}
	k.noted = height
	return nil
}

func (k *kept) settleThese(whole map[shards.BlobID]bool, height uint64, lacks func(shards.BlobID) (int, error)) error {
	stats, err := k.shelf.Stats() // before the sync: all of these will be durable
	if err != nil {
		return err
	}
	if err := k.shelf.Sync(); err != nil {
		return errors.Join(err, recheck(whole, lacks))
	}
	if err := recheck(whole, lacks); err != nil {
		return err
	}
	if err := k.strike(whole); err != nil {
		return err
	}
	if err := k.doubt(); err != nil {
		return err
	}
	if err := k.shelf.PutState(k.key, binary.BigEndian.AppendUint64(nil, height)); err != nil {
		return err
	}
	return k.shelf.PutState(stateCounts, marshalCounts(stats))
}

// recheck counts blobs again that were whole before a sync. It takes those that are not from the list.
func recheck(whole map[shards.BlobID]bool, lacks func(shards.BlobID) (int, error)) error {
	for id := range whole {
		n, err := lacks(id)
		if err != nil {
			return err
		}
		if n > 0 {
			delete(whole, id)
		}
	}
	return nil
}

// strike removes blobs from those owed. One that was counted again meanwhile, perhaps with slivers that came after the
// sync, is owed until the next settlement.
func (k *kept) strike(whole map[shards.BlobID]bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id := range whole {
		switch _, owed := k.owed[id]; {
		case !k.whole[id] && owed:
			if err := k.shelf.PutState(owedKey(id), nil); err != nil {
				return err
			}
			delete(k.owed, id)
		case k.whole[id] && !owed:
			if err := k.shelf.PutState(owedKey(id), binary.BigEndian.AppendUint32(nil, 1)); err != nil {
				return err
			}
			k.owed[id] = 1
		}
	}
	return nil
}

func marshalCounts(st store.Stats) (b []byte) {
	for _, n := range []int64{st.Blobs, st.Certificates, st.Slivers} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return b
}

// shrunk reports that the store has fewer records than were durable once. Deletions after the last settlement do that
// too; then a look at everything is for nothing.
func (k *kept) shrunk() bool {
	b, err := k.shelf.State(stateCounts)
	if err != nil || len(b) != 24 {
		return !errors.Is(err, store.ErrNotFound)
	}
	st, err := k.shelf.Stats()
	if err != nil {
		return false
	}
	for now := marshalCounts(st); len(b) > 0; b, now = b[8:], now[8:] {
		if bytes.Compare(now[:8], b[:8]) < 0 {
			return true
		}
	}
	return false
}

// each calls fn for every blob that may lack slivers.
func (k *kept) each(fn func(id shards.BlobID, slivers int)) {
	k.mu.Lock()
	owed := maps.Clone(k.owed)
	maps.DeleteFunc(owed, func(id shards.BlobID, _ uint32) bool { return k.whole[id] })
	k.mu.Unlock()
	for id, n := range owed {
		fn(id, int(n))
	}
}
