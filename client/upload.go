package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"walrus/certs"
	"walrus/p2p"
	"walrus/shards"
)

const (
	// uploadRounds bounds how often nodes that failed in mid-upload are offered the rest while the quorum is short of them.
	uploadRounds = 3
	// streamsPerNode is how many streams carry one node's pairs: several fill a long path better than one.
	streamsPerNode = 4
	// minTail and the half of the time the quorum took bound how long the last nodes may go on afterwards.
	minTail = time.Second
)

// upload is one blob on its way to the committee.
type upload struct {
	c    *Client // constant after newUpload, as the next four
	com  *certs.Committee
	enc  *shards.Encoder
	meta *shards.Metadata
	id   shards.BlobID

	quorum chan struct{} // closed when a quorum has confirmed

	mu        sync.Mutex // guards the rest
	nodes     []nodeState
	progress  Progress
	sent      int64
	total     int64
	cert      *certs.Certificate
	certified time.Time
}

type nodeState struct {
	conf *certs.Confirmation
	gone bool // could not be reached: not tried again
	sent int64
	err  error
}

func newUpload(c *Client, com *certs.Committee, enc *shards.Encoder, meta *shards.Metadata, id shards.BlobID, progress Progress) *upload {
	return &upload{
		c: c, com: com, enc: enc, meta: meta, id: id, progress: progress,
		nodes: make([]nodeState, len(com.Members())), quorum: make(chan struct{}),
	}
}

// run uploads in rounds until a quorum has confirmed, certifies, and lets the tail finish.
func (u *upload) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start := time.Now()
	var g errgroup.Group
	g.Go(func() error {
		defer cancel()
		for range uploadRounds {
			if err := u.round(ctx); err != nil {
				return err
			}
			if u.weight() >= u.com.Quorum() || !u.retryable() {
				return nil
			}
		}
		return nil
	})
	g.Go(func() error {
		select {
		case <-u.quorum:
		case <-ctx.Done():
			return nil
		}
		// what is certified must reach the nodes although the round may end, and cancel, at the same moment
		err := u.certify(context.WithoutCancel(ctx))
		tail := time.NewTimer(max(minTail, time.Since(start)/2))
		defer tail.Stop()
		select {
		case <-tail.C:
			cancel()
		case <-ctx.Done():
		}
		return err
	})
	err := g.Wait()
	u.mu.Lock()
	certified := u.cert != nil
	u.mu.Unlock()
	switch {
	case certified:
		return err // nil, or the certificate did not reach enough nodes
	case u.weight() >= u.com.Quorum(): // the quorum came with the end of the round
		return u.certify(context.WithoutCancel(ctx))
	case err != nil:
		return fmt.Errorf("store %s: %w", u.id, err)
	}
	return u.notEnough()
}

// round offers every unconfirmed node what it lacks: prepare, one encoding pass for all, confirm.
func (u *upload) round(ctx context.Context) error {
	lacks := u.prepare(ctx)
	window := max(1, int(u.c.cfg.UploadMemory/max(1, u.enc.StripSize()))-1)
	fan := &fanout{stall: u.c.cfg.Stall, spare: u.spare}
	var g errgroup.Group
	for i, pairs := range lacks {
		if pairs == nil {
			continue
		}
		nodeCtx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		var taps []*tap
		for _, group := range split(pairs, streamsPerNode) {
			taps = append(taps, fan.add(i, group, window, cancel))
		}
		g.Go(func() error {
			u.record(i, u.serveNode(nodeCtx, i, taps))
			return nil
		})
	}
	var err error
	if len(fan.taps) > 0 {
		err = fan.run(ctx, u.enc)
	}
	_ = g.Wait()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("encode: %w", err)
	}
	return nil
}

// split cuts pairs into at most k groups of nearly equal size; no pairs, no groups.
func split(pairs []int, k int) [][]int {
	var groups [][]int
	k = min(k, len(pairs))
	for i := range k {
		groups = append(groups, pairs[i*len(pairs)/k:(i+1)*len(pairs)/k])
	}
	return groups
}

// prepare connects to all unconfirmed nodes, gives them the metadata and learns which pairs each lacks (nil: takes no
// part in this round). It does not wait for the last nodes longer than the quorum took.
func (u *upload) prepare(ctx context.Context) [][]int {
	lacks := make([][]int, len(u.nodes))
	metadata := u.meta.Marshal()
	type answer struct {
		i    int
		held []int
		err  error
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ch := make(chan answer, len(u.nodes))
	members := u.com.Members()
	var g errgroup.Group
	open, weight := 0, 0
	for i := range members {
		u.mu.Lock()
		skip := u.nodes[i].conf != nil || u.nodes[i].gone
		u.mu.Unlock()
		if skip {
			weight += u.com.Weight(i)
			continue
		}
		open++
		g.Go(func() error {
			a := answer{i: i}
			if a.err = u.c.connect(ctx, members[i].Node); a.err == nil {
				a.held, a.err = patient(ctx, func() ([]int, error) { return u.c.swarm.PutMetadata(ctx, members[i].Node, u.id, metadata) })
			} else {
				u.mu.Lock()
				u.nodes[i].gone = true
				u.mu.Unlock()
			}
			if a.err != nil && errors.Is(context.Cause(ctx), errSilent) {
				a.err = errSilent
			}
			ch <- a
			return nil
		})
	}
	defer func() { _ = g.Wait() }()
	start := time.Now()
	var late <-chan time.Time
	for ; open > 0; open-- {
		select {
		case a := <-ch:
			if a.err != nil {
				u.record(a.i, a.err)
				continue
			}
			lacks[a.i] = u.missing(a.i, a.held)
			if weight += u.com.Weight(a.i); weight >= u.com.Quorum() && late == nil {
				late = time.After(time.Since(start) + u.c.cfg.DialTimeout/4)
			}
		case <-late:
			cancel(errSilent) // the others answer now that they were cancelled
			late = nil
			open++
		}
	}
	return lacks
}

// missing is the pairs of node i that it does not hold; not nil.
func (u *upload) missing(i int, held []int) []int {
	has := make(map[int]bool, len(held))
	for _, p := range held {
		has[p] = true
	}
	pairs := []int{}
	params := u.com.Params()
	size := u.meta.Layout(shards.Primary).Size() + u.meta.Layout(shards.Secondary).Size()
	for _, s := range u.com.Members()[i].Shards {
		if p := params.PairOnShard(u.id, s); !has[p] {
			pairs = append(pairs, p)
		}
	}
	u.mu.Lock()
	u.total += size * int64(len(pairs))
	u.mu.Unlock()
	return pairs
}

// serveNode sends node i its pairs over the taps and gets its confirmation.
func (u *upload) serveNode(ctx context.Context, i int, taps []*tap) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, t := range taps {
		g.Go(func() error { return u.sendPairs(gctx, i, t) })
	}
	if err := g.Wait(); err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
			return cause
		}
		return err
	}
	node := u.com.Members()[i].Node
	b, err := patient(ctx, func() ([]byte, error) { return u.c.swarm.Confirm(ctx, node, u.id) })
	if err != nil {
		return err
	}
	conf, err := certs.UnmarshalConfirmation(node, b)
	if err != nil {
		return err
	}
	if conf.Blob != u.id || conf.Persistence != (certs.Persistence{}) {
		return errors.New("confirmed something else than what was asked")
	}
	if err := u.com.VerifyConfirmation(conf); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.nodes[i].conf = &conf
	if w := u.weightLocked(); w >= u.com.Quorum() && w-u.com.Weight(i) < u.com.Quorum() {
		close(u.quorum)
	}
	return nil
}

// sendPairs streams one tap's pairs; whatever happens it drains the tap, so that the encoder goes on for the others.
func (u *upload) sendPairs(ctx context.Context, i int, t *tap) error {
	defer func() {
		for s := range t.strips {
			s.done()
		}
	}()
	size := u.meta.Layout(shards.Primary).Size() + u.meta.Layout(shards.Secondary).Size()
	params := u.com.Params()
	strips := u.meta.Layout(shards.Primary).Strips()
	begun := false // strips are gone once taken
	body := func(w io.Writer) error {
		for range strips {
			var s *sharedStrip
			var ok bool
			select {
			case s, ok = <-t.strips:
			case <-ctx.Done():
				return ctx.Err()
			}
			if !ok {
				return errors.New("the encoding ended early")
			}
			begun = true
			err := u.writeStrip(w, i, s.Strip, t.pairs, params)
			s.done()
			if err != nil {
				return err
			}
		}
		return nil
	}
	_, err := patient(ctx, func() (any, error) {
		if begun {
			return nil, errors.New("became busy in mid-upload")
		}
		return nil, u.c.swarm.StorePairs(ctx, u.com.Members()[i].Node, u.id, t.pairs, size*int64(len(t.pairs)), body)
	})
	return err
}

func (u *upload) writeStrip(w io.Writer, i int, s *shards.Strip, pairs []int, params shards.Params) error {
	for _, pair := range pairs {
		for _, axis := range []shards.Axis{shards.Primary, shards.Secondary} {
			b := s.Sliver(axis, params.SliverOfPair(axis, pair))
			if _, err := w.Write(b); err != nil {
				return err
			}
			u.mu.Lock()
			u.sent += int64(len(b))
			u.nodes[i].sent += int64(len(b))
			u.progress.report(Uploading, u.sent, u.total)
			u.mu.Unlock()
		}
	}
	return nil
}

// patient asks a busy node again, a few times.
func patient[T any](ctx context.Context, question func() (T, error)) (T, error) {
	for pause := 100 * time.Millisecond; ; pause *= 2 {
		answer, err := question()
		if !errors.Is(err, p2p.ErrBusy) || pause > 2*time.Second {
			return answer, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return answer, err
		}
	}
}

// record notes why node i did not confirm, or that it did.
func (u *upload) record(i int, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.nodes[i].err = err
	if err != nil {
		u.c.log.Debug("node took no part in the upload", "node", u.com.Members()[i].Name, "blob", u.id.String(), "err", err)
	}
}

// spare says whether a quorum is left without the tap's node.
func (u *upload) spare(t *tap) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	w := 0
	for i := range u.nodes {
		if i != t.node && (u.nodes[i].conf != nil || u.nodes[i].err == nil) {
			w += u.com.Weight(i)
		}
	}
	return w >= u.com.Quorum()
}

// retryable reports whether another round could bring more confirmations.
func (u *upload) retryable() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := range u.nodes {
		if n := &u.nodes[i]; n.conf == nil && !n.gone && !errors.Is(n.err, p2p.ErrNotRegistered) && !errors.Is(n.err, p2p.ErrNotOwner) {
			return true
		}
	}
	return false
}

func (u *upload) weight() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.weightLocked()
}

func (u *upload) weightLocked() int {
	w := 0
	for i := range u.nodes {
		if u.nodes[i].conf != nil {
			w += u.com.Weight(i)
		}
	}
	return w
}

// certify aggregates the confirmations and hands the certificate to the committee: one honest shard's worth must have
// taken it in, from where gossip carries it on.
func (u *upload) certify(ctx context.Context) error {
	u.mu.Lock()
	var confs []certs.Confirmation
	reachable := 0
	for i := range u.nodes {
		if c := u.nodes[i].conf; c != nil {
			confs = append(confs, *c)
		}
		if u.nodes[i].err == nil {
			reachable++
		}
	}
	u.mu.Unlock()
	cert, _, err := u.com.Aggregate(u.id, certs.Persistence{}, confs)
	if err != nil {
		return fmt.Errorf("store %s: certify: %w", u.id, err)
	}
	raw := cert.Marshal()
	ctx, cancel := context.WithTimeout(ctx, 4*u.c.cfg.DialTimeout)
	defer cancel()
	tally := u.c.ask(ctx, u.com, func(ctx context.Context, i int, m *certs.Member) (any, error) {
		return nil, u.c.swarm.PutCertificate(ctx, m.Node, raw)
	}, func(a answers) bool { return a.nodes >= reachable && a.answered >= u.com.OneHonest() })
	u.mu.Lock()
	defer u.mu.Unlock()
	u.cert, u.certified = cert, time.Now()
	if tally.answered < u.com.OneHonest() {
		return &NotEnoughError{
			Op: "certify " + u.id.String(), Did: "took the certificate", Have: tally.answered, Needed: u.com.OneHonest(),
			Shards: len(u.meta.Pairs), Nodes: tally.bad, Advice: "store again: nothing is sent twice",
		}
	}
	return nil
}

func (u *upload) notEnough() error {
	e := &NotEnoughError{
		Op: "store " + u.id.String(), Did: "confirmed", Have: u.weight(), Needed: u.com.Quorum(), Shards: len(u.meta.Pairs),
		Advice: "start the missing nodes and store again: what was uploaded is kept and not sent twice",
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := range u.nodes {
		if n := &u.nodes[i]; n.conf == nil && n.err != nil {
			e.Nodes = append(e.Nodes, badNode(&u.com.Members()[i], n.err))
		}
	}
	return e
}

func (u *upload) outcome() []NodeUpload {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []NodeUpload
	for i, m := range u.com.Members() {
		n := &u.nodes[i]
		out = append(out, NodeUpload{Node: m.Node, Name: m.Name, Shards: m.Shards, Confirmed: n.conf != nil, Sent: n.sent, Err: n.err})
	}
	return out
}
