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
	// syncRetry is the pause after a first comparison that reached too few members.
	syncRetry = time.Second
	// fullEvery: after this many light comparisons, which compare counts, a full one reads all certificates.
	fullEvery = 30
	// compareWidth limits the members with which certificates are compared at once.
	compareWidth = 4
	// dialTimeout bounds finding and dialling one member.
	dialTimeout = 5 * time.Second
	// joinWarning is the pause between warnings that the node reaches no other.
	joinWarning = 15 * time.Second
	// compareTimeout bounds the comparison with one member, so that a slow one does not delay the others.
	compareTimeout = time.Minute
	// requestTimeout bounds a request with a small answer, so that a silent member does not delay the others.
	requestTimeout = 10 * time.Second
	// pageSize is the number of certificates in one request.
	pageSize = p2p.MaxCertificates
)

// requestSync asks the sync task for a full comparison soon.
func (n *Node) requestSync() {
	select {
	case n.resync <- struct{}{}:
	default:
	}
}

// runSync learns which blobs are certified: first from our own store, then from other members. The node can serve
// once members with one honest shard among them have been heard. After that it compares now and then, because gossip
// can be missed.
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

// join waits until another node is reached, and logs now and then that it waits. It returns false when ctx has ended.
// If all bootstrap nodes are of another network it fails: the operator chose them, and waiting does not help.
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

// recountAll recounts the debt of every certificate in the store.
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

// compareAll compares certificates with every other member, in random order. It reports whether the members heard
// have one honest shard among them; from then on the node may serve, and the rest are compared lightly. A light
// comparison reads certificates only from members that know more blobs than we do.
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

// compare reads the certificates of member m that we lack, for compareTimeout at most. The next comparison reads the
// rest.
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

// takePage records the certificates of a page that we lack and whose blobs are registered.
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

// wait returns after d or when woken; false if ctx has ended.
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
