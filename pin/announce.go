package pin

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"walrus/shards"
)

const (
	// perAnnouncement announcements are under way at a time.
	perAnnouncement = 8
	// announceTime bounds one.
	announceTime = time.Minute
	// announceRetry is the pause after a failed one.
	announceRetry = 30 * time.Second
	// maxProbes bounds the announcements that wait to be looked for.
	maxProbes = 1000
)

// announceAll announces what is due.
func (k *Keeper) announceAll(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := &probes{k: k}
	all.Go(func() { p.run(ctx) })
	slots := make(chan struct{}, perAnnouncement)
	bell := k.schedules[bellAnnounce]
	var mu sync.Mutex
	working := map[shards.BlobID]bool{}
	for {
		next := time.Now().Add(look)
		mu.Lock()
		taken := len(working)
		mu.Unlock()
		ids, later, err := k.due([]byte{keyAnnounce}, cap(slots)+taken)
		if err != nil {
			return err
		}
		if !later.IsZero() && later.Before(next) {
			next = later
		}
		for _, id := range ids {
			mu.Lock()
			again := working[id]
			if !again {
				working[id] = true
			}
			mu.Unlock()
			if again {
				continue
			}
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			all.Go(func() {
				err := k.announce(ctx, id, p)
				mu.Lock()
				delete(working, id)
				mu.Unlock()
				<-slots
				if err != nil && ctx.Err() == nil {
					cancel(err)
				}
				k.ring(bellAnnounce)
			})
		}
		if !await(ctx, next, bell) {
			return context.Cause(ctx)
		}
	}
}

// announce announces one blob and records when it is due again. It returns only failures of our own database.
func (k *Keeper) announce(ctx context.Context, id shards.BlobID, p *probes) error {
	if err := k.judge(ctx, id); err != nil {
		return nil
	}
	short, stop := context.WithTimeout(ctx, announceTime)
	defer stop()
	err := k.cfg.Announcer.Announce(short, id)
	if ctx.Err() != nil {
		return nil
	}
	now := time.Now()
	if err != nil {
		k.log.Debug("announce a pinned blob", "blob", id.String(), "err", err)
	} else if rand.Float64() < k.plan.Probe {
		p.add(id, now.Add(k.plan.ProbeAfter))
	}
	failed := err != nil
	err = k.alterBlob(id, func(r *record) error {
		if r.Again = now.Add(announceRetry); !failed {
			r.Announced, r.Again = now, spread(now, k.plan.Announce)
		}
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// probes looks for announcements from outside, some time after they were made.
type probes struct {
	k *Keeper

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
	for sleep(ctx, max(p.k.plan.ProbeAfter/4, time.Millisecond)) {
		ids := p.ready(time.Now())
		if len(ids) == 0 {
			continue
		}
		keys := make([][32]byte, len(ids))
		for i, id := range ids {
			keys[i] = id
		}
		found, err := p.k.cfg.Announcer.Findable(ctx, keys)
		if err != nil {
			p.k.log.Debug("look for announcements from outside", "err", err)
			continue
		}
		for i, id := range ids {
			p.found(id, found[i])
		}
	}
}

// found notes the outcome of a search, and announces again what was not found.
func (p *probes) found(id shards.BlobID, ok bool) {
	k := p.k
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

// AnnounceAgain lets a pinned blob be announced now.
func (k *Keeper) AnnounceAgain(id shards.BlobID) error {
	defer k.ring(bellAnnounce)
	return k.alterBlob(id, func(r *record) error {
		r.Again = time.Now()
		return nil
	})
}
