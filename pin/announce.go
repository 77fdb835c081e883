package pin

import (
	"context"
	"errors"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"walrus/shards"
)

const (
	// perAnnouncement announcements are under way at a time.
	perAnnouncement = 8
	// announceTime bounds one.
	announceTime = time.Minute
	// announceRetry is the pause after a failed one.
	announceRetry = 30 * time.Second
	// sweepFrom announcements and more that are due are made together, up to sweepMost.
	sweepFrom, sweepMost = 32, 10_000
	// sweepEach bounds the time for each announcement of a sweep, beyond two minutes: each peer is told 40 in a second.
	sweepEach = time.Second / 20
	// manyPins: from so many pins on, those with nearby places are announced again at the same time, slotPins and more of
	// them, so that they share their look-ups.
	manyPins, slotPins = 1000, 64
	// maxSlots divide the time between two announcements, if there are very many pins.
	maxSlots = 1024
	// maxProbes bounds the announcements that wait to be looked for.
	maxProbes = 1000
)

// herald announces blobs, and looks for what was announced.
type herald struct {
	k      *Keeper // constant, as the next
	probes *probes

	mu    sync.Mutex
	work  map[shards.BlobID]bool // blobs that are being announced; guarded by mu
	alone int                    // announcements of one blob; guarded by mu
	swept bool                   // many are announced together; guarded by mu
}

func newHerald(k *Keeper) *herald {
	h := &herald{k: k, work: map[shards.BlobID]bool{}}
	h.probes = &probes{h: h}
	return h
}

// all announces what is due, and looks for what was announced, until ctx ends.
func (h *herald) all(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		h.probes.run(ctx)
		return nil
	})
	g.Go(func() error { return h.watchAddrs(ctx) })
	g.Go(func() error { return h.probes.sample(ctx) })
	g.Go(func() error { return h.announceDue(ctx) })
	return g.Wait()
}

// announceDue announces blobs as they become due: few of them one by one, many together.
func (h *herald) announceDue(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		for {
			next := time.Now().Add(look)
			later, err := h.start(ctx, g)
			if err != nil {
				return err
			}
			if !later.IsZero() && later.Before(next) {
				next = later
			}
			if !await(ctx, next, h.k.schedules[bellAnnounce]) {
				return context.Cause(ctx)
			}
		}
	})
	return g.Wait()
}

// start starts what is due and has room. It returns the time at which more is due. Who ends rings the bell.
func (h *herald) start(ctx context.Context, g *errgroup.Group) (later time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	due, later, err := h.k.due([]byte{keyAnnounce}, sweepMost+len(h.work))
	if err != nil {
		return later, err
	}
	due = slices.DeleteFunc(due, func(id shards.BlobID) bool { return h.work[id] })
	if len(due) >= sweepFrom && !h.swept {
		h.swept = true
		h.run(ctx, g, due, h.announceTogether, func() { h.swept = false })
		return later, nil
	}
	for _, id := range due[:min(len(due), perAnnouncement-h.alone)] {
		h.alone++
		h.run(ctx, g, []shards.BlobID{id}, h.announce, func() { h.alone-- })
	}
	return later, nil
}

// run announces blobs in the background. h.mu is held, here and while end runs.
func (h *herald) run(ctx context.Context, g *errgroup.Group, ids []shards.BlobID,
	announce func(context.Context, []shards.BlobID) error, end func()) {
	for _, id := range ids {
		h.work[id] = true
	}
	g.Go(func() error {
		err := announce(ctx, ids)
		h.mu.Lock()
		for _, id := range ids {
			delete(h.work, id)
		}
		end()
		h.mu.Unlock()
		h.k.ring(bellAnnounce)
		return err
	})
}

// announce announces blobs one by one and records when they are due again. It returns only failures of our own
// database.
func (h *herald) announce(ctx context.Context, ids []shards.BlobID) error {
	for _, id := range ids {
		if err := h.k.judge(ctx, id); err != nil {
			continue
		}
		short, stop := context.WithTimeout(ctx, announceTime)
		err := h.k.cfg.Announcer.Announce(short, id)
		stop()
		if err != nil {
			h.k.log.Debug("announce a pinned blob", "blob", id.String(), "err", err)
		}
		if err := h.announced(ctx, id, err == nil); err != nil {
			return err
		}
	}
	return nil
}

// announceTogether is announce for many blobs at once.
func (h *herald) announceTogether(ctx context.Context, ids []shards.BlobID) error {
	var judging sync.WaitGroup
	refused := make([]bool, len(ids))
	for worker := range perAnnouncement {
		judging.Go(func() {
			for i := worker; i < len(ids) && ctx.Err() == nil; i += perAnnouncement {
				refused[i] = h.k.judge(ctx, ids[i]) != nil
			}
		})
	}
	judging.Wait()
	var keys [][32]byte
	for i, id := range ids {
		if !refused[i] {
			keys = append(keys, id)
		}
	}
	short, stop := context.WithTimeout(ctx, 2*announceTime+time.Duration(len(keys))*sweepEach)
	defer stop()
	told, err := h.k.cfg.Announcer.AnnounceAll(short, keys)
	if err != nil {
		h.k.log.Debug("announce pinned blobs", "blobs", len(keys), "err", err)
	}
	for i, id := range keys {
		if err := h.announced(ctx, id, i < len(told) && told[i] > 0); err != nil {
			return err
		}
	}
	return nil
}

// announced records how an announcement went. What was not announced because the process ends is due at its start.
func (h *herald) announced(ctx context.Context, id shards.BlobID, ok bool) error {
	if !ok && ctx.Err() != nil {
		return nil
	}
	now := time.Now()
	again := now.Add(announceRetry)
	if ok {
		again = h.announceNext(now, id)
		if rand.Float64() < h.k.plan.Probe {
			h.probes.add(id, now.Add(h.k.plan.ProbeAfter))
		}
	}
	err := h.k.alterBlob(id, func(r *record) error {
		if r.Again = again; ok {
			r.Announced = now
		}
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// announceNext chooses the time of the next announcement of a blob.
func (h *herald) announceNext(now time.Time, id shards.BlobID) time.Time {
	h.k.mu.Lock()
	pins := h.k.counts.Pinned
	h.k.mu.Unlock()
	if place, err := h.k.cfg.Announcer.Place(id); err == nil && pins >= manyPins {
		return slot(now, h.k.plan.Announce, place, min(1<<(bits.Len(uint(pins/slotPins))-1), maxSlots))
	}
	return spread(now, h.k.plan.Announce)
}

// announceEverything lets every pinned blob be announced now.
func announceEverything(k *Keeper) error {
	defer k.ring(bellAnnounce)
	for now := time.Now(); ; {
		var ids []shards.BlobID
		start := dueKey([]byte{keyAnnounce}, now.Add(time.Millisecond), shards.BlobID{})
		if err := k.db.view(func(t *tx) error {
			return t.keys([]byte{keyAnnounce}, start, false, func(key []byte) (bool, error) {
				_, id, err := due(1, key)
				ids = append(ids, id)
				return len(ids) < 1000, err
			})
		}); err != nil || len(ids) == 0 {
			return err
		}
		if err := k.update(func(t *tx, c *counts) error {
			for _, id := range ids {
				if err := k.alter(t, id, c, func(r *record) error {
					r.Again = now
					return nil
				}); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
}

// AnnounceAgain lets a pinned blob be announced now.
func (k *Keeper) AnnounceAgain(id shards.BlobID) error {
	defer k.ring(bellAnnounce)
	return k.alterBlob(id, func(r *record) error {
		r.Again = time.Now()
		return nil
	})
}

// watchAddrs announces everything anew when none of the addresses that were announced leads here any more. Records live
// on at other peers for a day, but readers would find nobody there.
func (h *herald) watchAddrs(ctx context.Context) error {
	moved := false
	for sleep(ctx, h.k.plan.Settle) {
		addrs := h.k.cfg.Announcer.Addrs()
		if len(addrs) == 0 {
			continue
		}
		var told []string
		if err := h.k.db.view(func(t *tx) error {
			_, err := t.get([]byte{keyTold}, &told)
			return err
		}); err != nil {
			return err
		}
		if !elsewhere(told, addrs) {
			moved = false
			continue
		}
		if !moved && len(told) > 0 { // addresses come one after the other: the next look must find the same
			moved = true
			continue
		}
		moved = false
		if len(told) > 0 {
			h.k.log.Info("the addresses of this pinner have changed: all pins are announced again", "before", told, "now", addrs)
			if err := announceEverything(h.k); err != nil {
				return err
			}
		}
		if err := h.k.db.update(func(t *tx) error { return t.put([]byte{keyTold}, addrs) }); err != nil {
			return err
		}
	}
	return nil
}

// elsewhere reports that two lists have nothing in common.
func elsewhere(a, b []string) bool {
	in := make(map[string]bool, len(a))
	for _, s := range a {
		in[s] = true
	}
	for _, s := range b {
		if in[s] {
			return false
		}
	}
	return true
}
