package pinnode

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/ledger/light"
	"walrus/p2p"
)

// follow pins what the rules ask for until ctx ends. It looks when a certificate was heard of, when the rules have
// changed, and else every few minutes.
func (n *Node) follow(ctx context.Context) error {
	chain := n.client.Chain()
	var history transactions
	if chain.Light != nil {
		history = chain.Light
	}
	f := newFollower(n.cfg.Home, chain.Ledger, history, n.keeper)
	f.lost = func(from light.Position) {
		n.log.Warn("there were too many transactions to look at all of them: blobs followed by attribute alone may be missing", "after", from.Height)
	}
	told := ""
	tell := func(err error) {
		if err != nil && err.Error() != told && ctx.Err() == nil {
			n.log.Warn("follow", "err", err)
		}
		if told = ""; err != nil {
			told = err.Error()
		}
	}
	var changed time.Time // of the rules
	var rules []Follow
	next := time.Now()  // the next look without a reason
	look := time.Time{} // the next look after a certificate was heard of; zero: none
	tries := 0
	heard := n.cfg.Heard
	if heard == nil {
		heard = n.heard
	}
	tick := time.NewTicker(rulesEvery)
	defer tick.Stop()
	for {
		now := time.Now()
		if at := modified(filepath.Join(n.cfg.Home, followsFile)); !at.Equal(changed) {
			var err error
			if rules, err = LoadFollows(n.cfg.Home); err != nil {
				tell(err)
			}
			changed, next = at, now
			n.follows.Store(len(rules) > 0)
		}
		switch {
		case !now.Before(next):
			err := f.listAll(ctx, rules)
			if _, more := f.readFeed(ctx, rules); err == nil {
				err = more
			}
			tell(err)
			next = time.Now().Add(followEvery)
		case !look.IsZero() && !now.Before(look):
			news, err := f.readFeed(ctx, rules)
			tell(err)
			if tries++; news || tries == afterHearing {
				look = time.Time{}
			} else {
				look = time.Now().Add(hearingPause << tries)
			}
		}
		wait := time.NewTimer(time.Hour)
		if !look.IsZero() {
			wait.Reset(max(time.Until(look), time.Millisecond))
		}
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-heard:
			if tries = 0; look.IsZero() && len(rules) > 0 {
				look = time.Now().Add(hearingPause / 2) // others come along
			}
		case <-wait.C:
		case <-tick.C:
		}
		wait.Stop()
	}
}

// modified returns the time of change of a file; zero if it cannot be read.
func modified(path string) time.Time {
	st, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
}

// hear listens to the topic of certificates. A pinner passes none on, because it does not know at that moment whether
// the ledger has it.
func (n *Node) hear(ctx context.Context) error {
	topics, err := n.host.Join(ctx, p2p.Certificates(n.judgeHeard))
	if err != nil {
		return err
	}
	return topics[0].Run(ctx, func(p2p.Message) {})
}

// judgeHeard wakes the follower for a certificate that verifies, or whose committee is not known yet.
func (n *Node) judgeHeard(_ context.Context, _ peer.ID, data []byte) (p2p.Verdict, any) {
	chain := n.client.Chain()
	if !n.follows.Load() || chain.Light == nil {
		return p2p.Ignore, nil
	}
	cert, err := certs.UnmarshalCertificate(data)
	if err != nil {
		return p2p.Reject, nil
	}
	if _, all, err := chain.Light.NewestCommittees(); err == nil {
		if of, err := all.At(cert.Epoch); err == nil && of.Verify(cert) != nil {
			return p2p.Reject, nil
		}
	}
	select {
	case n.heard <- struct{}{}:
	default:
	}
	return p2p.Ignore, nil
}
