package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"walrus/certs"
	"walrus/internal/pause"
	"walrus/ledger"
)

const (
	// confirmTries and confirmPause bound the wait for a node that has not seen the epoch begin.
	confirmTries = 5
	confirmPause = 400 * time.Millisecond
)

// confirm gets node i's confirmation for the blob's record. The node is asked as soon as the record's ID can be
// predicted, and answers when it has the record. Its confirmation counts once the ledger has proven the record's ID.
func (u *upload) confirm(ctx context.Context, i int) error {
	p, moved, err := u.reg.expectation(ctx)
	if err != nil {
		return err
	}
	node := u.com.Members()[i].Node
	for try := 1; ; try++ {
		b, err := u.askConfirmation(ctx, node, p, moved)
		proven, lost := u.reg.persistence(ctx)
		if lost != nil {
			return lost
		}
		if proven != p || err != nil && isClosed(moved) { // the prediction was wrong, or wrong for a while
			p, moved = proven, nil
			continue
		}
		if err != nil {
			return err
		}
		conf, err := certs.UnmarshalConfirmation(node, b)
		if err != nil {
			return err
		}
		if conf.Blob != u.id || conf.Persistence != p {
			return fmt.Errorf("%w: sent a confirmation for another blob or record", errLied)
		}
		com, err := u.sameEpoch(ctx, conf.Epoch)
		if err != nil {
			return err
		}
		if com.Epoch() == conf.Epoch {
			if err := com.VerifyConfirmation(conf); err != nil {
				return err
			}
			u.count(i, &conf)
			return nil
		}
		if try == confirmTries {
			return fmt.Errorf("confirms for epoch %d, the current epoch is %d", conf.Epoch, com.Epoch())
		}
		if !pause.For(ctx, confirmPause) {
			return ctx.Err()
		}
	}
}

// isClosed reports whether c is closed; a nil channel never is.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// askConfirmation asks a node to confirm, until moved is closed.
func (u *upload) askConfirmation(ctx context.Context, node peer.ID, p certs.Persistence,
	moved <-chan struct{}) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		select {
		case <-moved:
			cancel()
		case <-ctx.Done():
		}
	})
	return patient(ctx, func() ([]byte, error) { return u.c.nodes.Confirm(ctx, node, u.id, p) })
}

// sameEpoch returns the committee of the upload's epoch. If theirs is later, it reads the current epoch from the ledger
// first.
func (u *upload) sameEpoch(ctx context.Context, theirs uint32) (*certs.Committee, error) {
	u.mu.Lock()
	ours := u.now
	u.mu.Unlock()
	if theirs > ours.Epoch() {
		return u.follow(ctx)
	}
	return ours, nil
}

// count records a verified confirmation of node i.
func (u *upload) count(i int, conf *certs.Confirmation) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.nodes[i].conf = conf
	if u.weightLocked() >= u.com.Quorum() {
		u.once.Do(func() { close(u.quorum) })
	}
}

// certify aggregates the confirmations, puts the certificate on the ledger and sends it to the committee. Nodes that it
// does not reach learn of it from the ledger. If the epoch ends meanwhile, confirmations are asked for again, once.
func (u *upload) certify(ctx context.Context) error {
	tried, cert, err := u.aggregate()
	if err == nil {
		err = u.reg.certify(ctx, cert)
	}
	if err != nil {
		if now, again := u.follow(ctx); again != nil || now.Epoch() == tried {
			return fmt.Errorf("certify: %w", err)
		}
		u.confirmAgain(ctx)
		if u.weight() < u.com.Quorum() {
			return u.notEnough()
		}
		if _, cert, err = u.aggregate(); err == nil {
			err = u.reg.certify(ctx, cert)
		}
		if err != nil {
			return fmt.Errorf("certify in the next epoch: %w", err)
		}
	}
	u.mu.Lock()
	u.cert, u.certified = cert, time.Now()
	reachable := 0
	for i := range u.nodes {
		if u.confirmedLocked(i) || u.nodes[i].working {
			reachable++
		}
	}
	u.mu.Unlock()
	raw := cert.Marshal()
	ctx, cancel := context.WithTimeout(ctx, maxSpread)
	defer cancel()
	u.c.nodes.ask(ctx, u.com, func(ctx context.Context, _ int, m *certs.Member) (any, error) {
		return nil, u.c.nodes.PutCertificate(ctx, m.Node, raw)
	}, func(a answers) bool { return a.nodes >= reachable })
	return nil
}

// aggregate makes a certificate of the current epoch's confirmations, and returns that epoch.
func (u *upload) aggregate() (epoch uint32, cert *certs.Certificate, err error) {
	u.mu.Lock()
	com := u.now
	var confs []certs.Confirmation
	for i := range u.nodes {
		if u.confirmedLocked(i) {
			confs = append(confs, *u.nodes[i].conf)
		}
	}
	u.mu.Unlock()
	if len(confs) == 0 {
		return com.Epoch(), nil, errors.New("no node has confirmed in this epoch")
	}
	cert, _, err = com.Aggregate(u.id, confs[0].Persistence, confs)
	return com.Epoch(), cert, err
}

// follow reads the current epoch from the ledger. If it is later than the upload's epoch, the upload continues in it:
// earlier confirmations no longer count, and nodes count with the shards they now hold.
func (u *upload) follow(ctx context.Context) (*certs.Committee, error) {
	r, err := u.c.chain.Read(ctx, ledger.KeyEpoch())
	if err != nil {
		return nil, err
	}
	e, err := ledger.ReadEpoch(r)
	if err != nil {
		return nil, err
	}
	com, err := u.c.committeeAt(ctx, e.Epoch)
	if err != nil {
		return nil, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if com.Epoch() > u.now.Epoch() {
		u.now = com
	}
	return u.now, nil
}

// confirmAgain asks nodes that confirmed in an earlier epoch to confirm again; no slivers are sent.
func (u *upload) confirmAgain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var g errgroup.Group
	for i := range u.nodes {
		u.mu.Lock()
		stale := u.nodes[i].conf != nil && !u.confirmedLocked(i)
		u.mu.Unlock()
		if stale {
			g.Go(func() error {
				if err := u.confirm(ctx, i); err != nil {
					u.endNode(i, err)
				}
				return nil
			})
		}
	}
	_ = g.Wait()
}

// confirmedLocked reports whether node i has confirmed in the current epoch.
func (u *upload) confirmedLocked(i int) bool {
	c := u.nodes[i].conf
	return c != nil && c.Epoch == u.now.Epoch()
}
