package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"walrus/certs"
	"walrus/p2p"
	"walrus/shards"
)

const (
	// syncRetry is the pause after a first comparison that heard too few members.
	syncRetry = time.Second
	// fullEvery is after how many light comparisons (of counts) one goes through all certificates of a random member.
	fullEvery = 30
	// compareWidth is with how many members certificates are compared at once.
	compareWidth = 4
	// dialTimeout bounds finding and dialling one member.
	dialTimeout = 5 * time.Second
	// joinWarning is how often a node says that it reaches no other.
	joinWarning = 15 * time.Second
	// compareTimeout bounds the comparison with one member: a slow one must not keep us from the others.
	compareTimeout = time.Minute
	// requestTimeout bounds a request whose answer is small: a silent member must not hold up the others' turn.
	requestTimeout = 10 * time.Second
	// pageSize is how many certificates are asked for at once.
	pageSize = p2p.MaxCertificates
)

// requestSync makes the sync task go through all certificates soon.
func (n *Node) requestSync() {
	select {
	case n.resync <- struct{}{}:
	default:
	}
}

// runSync learns which blobs are certified: from our own store, then from others until members with one honest shard
// among them have been heard, which makes the node serve; then, as gossip can be missed, by comparing now and then.
func (n *Node) runSync(ctx context.Context) error {
	if err := n.recountAll(ctx); err != nil {
		return err
	}
	if joined, err := n.join(ctx); !joined {
		return err
	}
	n.setState(Syncing)
	for !n.compareAll(ctx, false) {
		if !wait(ctx, syncRetry, n.resync) {
			return nil
		}
	}
	for round := 1; ; round++ {
		woken := !waitTimer(ctx, n.cfg.Sync, n.resync)
		if ctx.Err() != nil {
			return nil
		}
		full := woken || round%fullEvery == 0
		n.compareAll(ctx, !full)
		if full && n.caughtUp() {
			n.compareWithLedger(ctx)
		}
	}
}

// join waits until some other node is reached, and says now and then that it waits; false when ctx ended. It is an error when
// all nodes that it was told to begin with are of another network: the operator has chosen them, and waiting does not help.
func (n *Node) join(ctx context.Context) (bool, error) {
	for ctx.Err() == nil {
		once, cancel := context.WithTimeout(ctx, joinWarning)
		err := n.dht.Joined(once)
		cancel()
		if err == nil {
			return true, nil
		}
		if name := n.dht.Elsewhere(); name != "" {
			return false, fmt.Errorf("the genesis of this node is of network %q, and all nodes under bootstrap are of network %q: "+
				"get the genesis file of that network, or name nodes of this one", n.cfg.P2P.Network, name)
		}
		if ctx.Err() == nil {
			n.log.Warn("no other node reached yet; still trying", "err", err)
		}
	}
	return false, nil
}

// recountAll goes through the certificates we hold.
func (n *Node) recountAll(ctx context.Context) error {
	var after shards.BlobID
	for ctx.Err() == nil {
		ids, err := n.store.Certificates(after, pageSize)
		if err != nil {
			return fmt.Errorf("list certificates: %w", err)
		}
		if len(ids) == 0 {
			return nil
		}
		for _, id := range ids {
			if err := n.recount(id, 0); err != nil {
				return err
			}
		}
		after = ids[len(ids)-1]
	}
	return nil
}

// compareAll compares certificates with every other member, in random order, and reports whether others with one honest
// shard among them were heard, from when on the node serves. With light set, and from those asked after that, it only
// reads the certificates of members who know more blobs than we do.
func (n *Node) compareAll(ctx context.Context, light bool) bool {
	members := n.committee.Members()
	enough := int64(n.committee.OneHonest())
	var heard atomic.Int64
	var g errgroup.Group
	g.SetLimit(compareWidth)
	for _, i := range rand.Perm(len(members)) {
		g.Go(func() error {
			m := &members[i]
			if m.Node == n.host.ID() {
				return nil
			}
			if err := n.compare(ctx, m, light || heard.Load() >= enough); err != nil {
				n.log.Debug("cannot compare certificates", "with", m.Name, "err", err)
				return nil
			}
			if w := int64(n.committee.Weight(i)); heard.Add(w) >= enough {
				n.life.hearEnough()
			}
			return nil
		})
	}
	_ = g.Wait()
	return heard.Load() >= enough
}

// compare reads the certificates of member m that we lack, within compareTimeout: what it did not get to by then, the
// next comparison does.
func (n *Node) compare(ctx context.Context, m *certs.Member, light bool) error {
	ctx, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	if err := n.connect(ctx, m.Node); err != nil {
		return err
	}
	if light {
		theirs, err := bounded(ctx, func(ctx context.Context) (p2p.NodeStatus, error) { return n.host.NodeStatus(ctx, m.Node) })
		if err != nil {
			return err
		}
		if ours, err := n.store.Stats(); err != nil || theirs.Blobs <= uint64(ours.Certificates) {
			return err
		}
	}
	var after shards.BlobID
	for {
		var more bool
		page, err := bounded(ctx, func(ctx context.Context) (page [][]byte, err error) {
			page, more, err = n.host.Certificates(ctx, m.Node, after, pageSize)
			return page, err
		})
		if err != nil {
			return err
		}
		if err := n.takePage(page); err != nil || !more {
			return err
		}
		if after, err = lastBlob(page, after); err != nil {
			return err
		}
	}
}

// takePage records the certificates of a page that we lack.
func (n *Node) takePage(page [][]byte) error {
	for _, raw := range page {
		cert, known, err := n.checkCertificate(raw)
		if err != nil {
			return fmt.Errorf("bad certificate: %w", err)
		}
		if known || !n.alive(cert.Blob) {
			continue
		}
		if err := n.record(cert, raw, 0); err != nil {
			return err
		}
	}
	return nil
}

// bounded makes a small request with requestTimeout.
func bounded[T any](ctx context.Context, request func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return request(ctx)
}

// connect finds and dials a member within dialTimeout.
func (n *Node) connect(ctx context.Context, id peer.ID) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return n.dht.Connect(ctx, id)
}

// lastBlob is where the next page starts; a peer whose pages do not advance would keep us for ever.
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

// wait returns after d or when woken; false when ctx ended.
func wait(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	waitTimer(ctx, d, wake)
	return ctx.Err() == nil
}

// waitTimer reports whether the whole of d passed, rather than being woken or ctx ending.
func waitTimer(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-wake:
	case <-ctx.Done():
	}
	return false
}
