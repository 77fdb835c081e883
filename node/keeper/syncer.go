package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"walrus/certs"
	"walrus/internal/pause"
	"walrus/p2p"
	"walrus/shards"
)

const (
	// syncRetry is the pause after a first comparison that reached too few members.
	syncRetry = time.Second
	// compareWidth limits the members with which certificates are compared at once.
	compareWidth = 4
	// joinWarning is the pause between warnings that the node reaches no other.
	joinWarning = 15 * time.Second
	// compareTimeout bounds the comparison with one member, so that a slow one does not delay the others.
	compareTimeout = time.Minute
)

// syncer learns of certificates from the other members.
type syncer struct {
	cfg       *Config
	shelf     *shelf
	chain     chain
	book      *book
	inventory *inventory
	swarm     swarm
	life      *life
	log       *slog.Logger
}

// run learns from other members of certificates that events and gossip did not bring. The node can serve once members
// with one honest shard among them have been heard.
func (s *syncer) run(ctx context.Context) error {
	if joined, err := s.join(ctx); !joined {
		return err
	}
	s.life.become(Syncing)
	for !s.round(ctx, false) {
		if pause.Until(ctx, syncRetry, s.book.resync); ctx.Err() != nil {
			return nil
		}
	}
	for {
		woken := !pause.Until(ctx, s.cfg.Sync, s.book.resync)
		if ctx.Err() != nil {
			return nil
		}
		s.round(ctx, woken)
	}
}

// round compares with all members: in full if that was asked for, or if certificates may be missing.
func (s *syncer) round(ctx context.Context, full bool) (heard bool) {
	// The ledger must know the blobs of the certificates that come.
	unsure := s.inventory.unsure() && s.chain.caughtUp()
	heard = s.compareAll(ctx, !full && !unsure)
	if heard && unsure {
		s.inventory.sure()
	}
	return heard
}

// join waits until another node is reached, and logs now and then that it waits. It returns false when ctx has ended.
// If all bootstrap nodes are of another network it fails: the operator chose them, and waiting does not help.
func (s *syncer) join(ctx context.Context) (bool, error) {
	for ctx.Err() == nil {
		once, cancel := context.WithTimeout(ctx, joinWarning)
		err := s.swarm.Joined(once)
		cancel()
		if err == nil {
			return true, nil
		}
		if name := s.swarm.Elsewhere(); name != "" {
			return false, fmt.Errorf("the genesis of this node is of network %q, and all nodes under bootstrap are of network %q: "+
				"get the genesis file of that network, or name nodes of this one", s.cfg.Genesis.Network, name)
		}
		if ctx.Err() == nil {
			s.log.Warn("no other node reached yet; still trying", "err", err)
		}
	}
	return false, nil
}

// compareAll compares certificates with every other member, in random order. It reports whether the members heard
// have one honest shard among them; from then on the node may serve, and the rest are compared lightly. A light
// comparison reads certificates only from members that know more blobs than we do, by no more of the ledger than we
// have processed.
func (s *syncer) compareAll(ctx context.Context, light bool) bool {
	at, err := s.shelf.seats.now()
	if err != nil {
		s.log.Warn("cannot compare certificates; trying again", "err", err)
		return false
	}
	enough := int64(at.OneHonest())
	var heard atomic.Int64
	var g errgroup.Group
	g.SetLimit(compareWidth)
	for _, i := range at.others() {
		g.Go(func() error {
			m := &at.Members()[i]
			if err := s.compare(ctx, m, light || heard.Load() >= enough); err != nil {
				s.log.Debug("cannot compare certificates", "with", m.Name, "err", err)
				return nil
			}
			if w := int64(at.Weight(i)); heard.Add(w) >= enough {
				s.life.heard.set()
			}
			return nil
		})
	}
	_ = g.Wait()
	return heard.Load() >= enough
}

// compare reads the certificates of member m that we lack, for compareTimeout at most. The next comparison reads the
// rest.
func (s *syncer) compare(ctx context.Context, m *certs.Member, light bool) error {
	ctx, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	if err := s.swarm.connect(ctx, m.Node); err != nil {
		return err
	}
	if s.book.reach.heard(m.Node) {
		s.book.debts.hasten(time.Now())
	}
	if light {
		theirs, err := bounded(ctx, func(ctx context.Context) (p2p.NodeStatus,
			error) {
			return s.swarm.NodeStatus(ctx, m.Node)
		})
		if err != nil {
			return err
		}
		if ours, err := s.shelf.Stats(); err != nil || theirs.Blobs <= uint64(ours.Certificates) ||
			theirs.Height > s.book.kept.at() {
			return err
		}
	}
	var after shards.BlobID
	for {
		var more bool
		page, err := bounded(ctx, func(ctx context.Context) (page [][]byte, err error) {
			page, more, err = s.swarm.Certificates(ctx, m.Node, after, pageSize)
			return page, err
		})
		if err != nil {
			return err
		}
		if err := s.takePage(page); err != nil || !more {
			return err
		}
		if after, err = lastBlob(page, after); err != nil {
			return err
		}
	}
}

// takePage records the certificates of a page that we lack and whose records are certified on the ledger here.
func (s *syncer) takePage(page [][]byte) error {
	for _, raw := range page {
		cert, f := s.book.examine(raw)
		switch judge(f) {
		case isBad:
			return fmt.Errorf("bad certificate: %w", f.err)
		case isKnown, isIdle, isStrange:
			continue
		}
		if err := s.book.record(cert, raw, 0); err != nil {
			return err
		}
	}
	return nil
}

// lastBlob returns the blob ID after which the next page starts. It rejects pages that do not advance: they would go
// on for ever.
func lastBlob(page [][]byte, after shards.BlobID) (shards.BlobID, error) {
	if len(page) == 0 {
		return after, errors.New("promised more certificates and sent none")
	}
	cert, err := certs.UnmarshalCertificate(page[len(page)-1])
	if err != nil {
		return after, err
	}
	if string(cert.Blob[:]) <= string(after[:]) {
		return after, errors.New("sent certificates out of order")
	}
	return cert.Blob, nil
}
