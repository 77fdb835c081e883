package pin

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"walrus/shards"
)

// sampleSize announcements made earlier are looked for at a time.
const sampleSize = 4

// probes looks for announcements from outside, some time after they were made.
type probes struct {
	h *herald // constant

	mu      sync.Mutex
	waiting []probe // by time; guarded by mu
}

type probe struct {
	id shards.BlobID
	at time.Time
}

func (p *probes) add(id shards.BlobID, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) < maxProbes {
		p.waiting = append(p.waiting, probe{id, at})
	}
}

// ready takes out what is to be looked for now.
func (p *probes) ready(now time.Time) (ids []shards.BlobID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.waiting) > 0 && !p.waiting[0].at.After(now) {
		ids = append(ids, p.waiting[0].id)
		p.waiting = p.waiting[1:]
	}
	return ids
}

func (p *probes) run(ctx context.Context) {
	for sleep(ctx, max(p.h.k.plan.ProbeAfter/4, time.Millisecond)) {
		p.look(ctx, p.ready(time.Now()))
	}
}

// look looks for blobs, and announces again those that are not found, whose number it returns.
func (p *probes) look(ctx context.Context, ids []shards.BlobID) (missed int) {
	if len(ids) == 0 {
		return 0
	}
	keys := make([][32]byte, len(ids))
	for i, id := range ids {
		keys[i] = id
	}
	found, err := p.h.k.cfg.Announcer.Findable(ctx, keys)
	if err != nil {
		p.h.k.log.Debug("look for announcements from outside", "err", err)
		return 0
	}
	for i, id := range ids {
		if p.found(id, found[i]); !found[i] {
			missed++
		}
	}
	return missed
}

// found notes the outcome of a search, and announces again what was not found.
func (p *probes) found(id shards.BlobID, ok bool) {
	k := p.h.k
	k.looked.Add(1)
	if ok {
		return
	}
	k.missed.Add(1)
	k.log.Warn("a pinned blob is not findable: it is announced again", "blob", id.String())
	if err := k.AnnounceAgain(id); err != nil && !errors.Is(err, ErrNotFound) {
		k.log.Warn("announce a blob again", "blob", id.String(), "err", err)
	}
}

// sample looks for a few of the announcements made earlier, soon after the start and then at intervals. The peers that
// keep them may have lost them, by a restart of the whole network: then everything is announced again.
func (p *probes) sample(ctx context.Context) error {
	k := p.h.k
	for wait := 2 * k.plan.Settle; sleep(ctx, wait); wait = k.plan.Sample {
		ids, err := someAnnounced(k, time.Now().Add(-k.plan.ProbeAfter))
		if err != nil {
			return err
		}
		if missed := p.look(ctx, ids); 2*missed > len(ids) {
			k.log.Warn("most announcements are lost: all pins are announced again", "lookedFor", len(ids), "missing", missed)
			if err := announceEverything(k); err != nil {
				return err
			}
		}
	}
	return nil
}

// someAnnounced chooses a few pinned blobs by chance, of those last announced before a time.
func someAnnounced(k *Keeper, before time.Time) (ids []shards.BlobID, err error) {
	seen := map[shards.BlobID]bool{}
	err = k.db.view(func(t *tx) error {
		for range 4 * sampleSize { // blob IDs are evenly distributed
			var from shards.BlobID
			_, _ = rand.Read(from[:]) // never fails
			if err := t.keys([]byte{keyBlob}, blobKey(keyBlob, from), false, func(key []byte) (bool, error) {
				var r record
				id := shards.BlobID(key[1:])
				if _, err := t.get(key, &r); err != nil {
					return false, err
				}
				if r.State == pinned && !r.Announced.IsZero() && r.Announced.Before(before) && !seen[id] && len(ids) < sampleSize {
					ids = append(ids, id)
				}
				seen[id] = true
				return false, nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
	return ids, err
}
