package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"walrus/certs"
	"walrus/internal/pause"
	"walrus/p2p"
	"walrus/shards"
)

const (
	// uploadRounds bounds how often nodes that failed, and were not just busy, are offered a blob that is not paid for.
	uploadRounds = 3
	// retryTime: once the blob is paid for, rounds go on until the caller's deadline, or without one for this long after
	// the last confirmation.
	retryTime = 30 * time.Second
	// busyTime: a node that is busy for this long in a round takes no more part in it. It is asked again in the next.
	busyTime = 20 * time.Second
	// streamsPerNode streams carry one node's pairs: several fill a long path better than one.
	streamsPerNode = 4
	// The last nodes may continue after the quorum for half the time the quorum took, but at least minTail. If one of
	// them has most of its part by then, they get half as long again.
	minTail = time.Second
	// roundPause is the pause before a round. Once the blob is paid for, the second round begins at once, and the pauses
	// before the others grow from roundPause to maxRoundPause.
	roundPause, maxRoundPause = time.Second, 10 * time.Second
	// maxSpread bounds the sending of a certificate to nodes. They also learn of it from the ledger and by gossip.
	maxSpread = 5 * time.Second
)

// upload sends one blob to the committee.
type upload struct {
	c    *Client          // constant after newUpload, as the next six
	com  *certs.Committee // of the epoch in which the upload began: its members get the pairs
	enc  *shards.Encoder
	meta *shards.Metadata
	raw  []byte // binary form of meta
	id   shards.BlobID
	reg  *registration

	quorum chan struct{} // closed when a quorum has confirmed
	once   sync.Once     // guards the closing of quorum

	mu        sync.Mutex       // guards the rest
	now       *certs.Committee // of the newest epoch seen: only its confirmations and shards count
	nodes     []nodeState      // of com's members
	bytes     sentBytes
	accepted  int // shards of nodes that accepted the blob in this round, or have confirmed
	right     uploadRight
	cert      *certs.Certificate
	certified time.Time
}

// sentBytes counts the bytes sent to all nodes, and reports them.
type sentBytes struct {
	progress    Progress
	sent, total int64
}

func (b *sentBytes) add(n int64) {
	b.sent += n
	b.progress.report(Uploading, b.sent, b.total)
}

// nodeState tracks one node's part in an upload.
type nodeState struct {
	conf    *certs.Confirmation
	working bool // takes part in this round and has not failed
	gone    bool // could not be reached in this round
	sent    int64
	total   int64 // bytes it was to be sent, in all rounds
	err     error // newest reason why it did not confirm
}

func newUpload(c *Client, com *certs.Committee, enc *shards.Encoder, w *want, reg *registration, progress Progress) *upload {
	return &upload{
		c: c, com: com, enc: enc, meta: w.meta, raw: w.meta.Marshal(), id: w.id, reg: reg, now: com, bytes: sentBytes{progress: progress},
		nodes: make([]nodeState, len(com.Members())), quorum: make(chan struct{}),
	}
}

// run uploads in rounds until a quorum has confirmed, certifies, and then waits for the last nodes.
func (u *upload) run(caller context.Context) error {
	ctx, cancel := context.WithCancelCause(caller)
	defer cancel(nil)
	start := time.Now()
	var g errgroup.Group
	g.Go(func() error {
		defer cancel(nil)
		retry := retries{since: start}
		for {
			if err := u.round(ctx); err != nil {
				return err
			}
			if ctx.Err() != nil || u.weight() >= u.com.Quorum() || !u.again(ctx, &retry) {
				return nil
			}
		}
	})
	g.Go(func() error { // if registering fails, uploading is pointless
		if err := u.reg.waitOr(ctx); err != nil {
			cancel(err)
		}
		return nil
	})
	g.Go(func() error {
		select {
		case <-u.quorum:
		case <-ctx.Done():
			return nil
		}
		// certify also if the round ends, and cancels ctx, at this moment
		err := u.certify(caller)
		took := time.Since(start)
		if pause.For(ctx, max(minTail, took/2)) && (!u.nearlyThere() || pause.For(ctx, took*3/4)) {
			cancel(errLate)
		}
		return err
	})
	err := g.Wait()
	u.mu.Lock()
	certified := u.cert != nil
	u.mu.Unlock()
	switch {
	case certified:
		return nil
	case errors.Is(caller.Err(), context.DeadlineExceeded) && u.reg.hasBegun():
		return fmt.Errorf("%w: %w", context.Cause(caller), u.notEnough())
	case caller.Err() != nil:
		return context.Cause(caller)
	case err != nil:
		return err
	case u.reg.giveUp():
		return u.notAccepted()
	case u.reg.wait() != nil:
		return u.reg.err
	case u.weight() >= u.com.Quorum(): // the quorum came as the round ended
		return u.certify(caller)
	}
	return u.notEnough()
}

// retries counts the rounds without a quorum.
type retries struct {
	unpaid int           // rounds before the blob was paid for in which nobody was busy
	weight int           // shards that have confirmed
	since  time.Time     // when the last one did
	wait   time.Duration // before the next round
}

// again waits before another round. It reports whether there is any use in one.
func (u *upload) again(ctx context.Context, r *retries) bool {
	if !u.reg.hasBegun() {
		busy, others := u.retryable(false)
		if !busy {
			r.unpaid++
		}
		return (busy || others && r.unpaid < uploadRounds) && pause.For(ctx, jitter(roundPause))
	}
	if u.reg.waitOr(ctx) != nil { // nodes may just have waited in vain for the registration
		return false
	}
	if w := u.weight(); w > r.weight {
		r.weight, r.since, r.wait = w, time.Now(), 0
	}
	end, limited := ctx.Deadline()
	if !limited {
		end = r.since.Add(retryTime)
	}
	if busy, others := u.retryable(true); !busy && !others || time.Until(end) <= r.wait {
		return false
	}
	wait := r.wait
	r.wait = min(max(2*wait, roundPause), maxRoundPause)
	return wait == 0 || pause.For(ctx, jitter(wait))
}

// round offers every unconfirmed node the pairs it lacks, and sends them if the blob is paid for: prepare, one encoding
// pass for all, confirm.
func (u *upload) round(ctx context.Context) error {
	lacks := u.prepare(ctx)
	if !u.reg.hasBegun() {
		return nil
	}
	window := max(1, int(u.c.cfg.UploadMemory/max(1, u.enc.StripSize()))-1)
	fan := &fanout{limit: u.c.cfg.Stall, spare: u.spare}
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
			u.endNode(i, why(nodeCtx, u.serveNode(nodeCtx, i, taps)))
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

// notAccepted is the error of an upload that too few nodes accepted.
func (u *upload) notAccepted() error {
	e := u.missing("accepted", "start the missing nodes and store again: nothing was paid")
	e.Have = u.accepted
	return e
}

func (u *upload) notEnough() error {
	return u.missing("confirmed", "start the missing nodes and store again: what was uploaded is kept and not sent twice")
}

// missing names the nodes that did not do what a quorum must, and why.
func (u *upload) missing(did, advice string) *NotEnoughError {
	e := &NotEnoughError{Op: "upload", Did: did, Have: u.weight(), Needed: u.com.Quorum(), Shards: len(u.meta.Pairs), Advice: advice}
	u.mu.Lock()
	defer u.mu.Unlock()
	mismatches := 0
	for i := range u.nodes {
		n := &u.nodes[i]
		if !u.confirmedLocked(i) && n.err != nil {
			e.Nodes = append(e.Nodes, badNode(&u.com.Members()[i], n.err))
		}
		if errors.Is(n.err, p2p.ErrMismatch) {
			mismatches += u.shardsLocked(i)
		}
	}
	if mismatches >= u.com.OneHonest() {
		e.Advice = "the bytes sent differ from the bytes encoded before: if the file has changed, store it again"
	}
	return e
}

func (u *upload) outcome() []NodeUpload {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []NodeUpload
	for i, m := range u.com.Members() {
		n := &u.nodes[i]
		out = append(out, NodeUpload{Node: m.Node, Name: m.Name, Shards: m.Shards, Confirmed: u.confirmedLocked(i), Sent: n.sent, Err: n.err, Why: reason(n.err)})
	}
	return out
}

// errLate is the cancel cause for nodes that had not confirmed in time after the quorum.
var errLate = errors.New("had not confirmed in the time left after the quorum: it repairs itself")

// why returns ctx's cancel cause if there is one, and err otherwise.
func why(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, ctx.Err()) {
		return cause
	}
	return err
}

// endNode records that node i's part in the round is over: err says why it did not confirm, nil that it did.
func (u *upload) endNode(i int, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.nodes[i].working, u.nodes[i].err = false, err
	if err != nil {
		u.c.log.Debug("node took no part in the upload", "node", u.com.Members()[i].Name, "blob", u.id.String(), "err", err)
	}
}

// nearlyThere reports whether a node has two thirds of its bytes, and not all.
func (u *upload) nearlyThere() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := range u.nodes {
		if n := &u.nodes[i]; n.working && !u.confirmedLocked(i) && n.sent < n.total && 3*n.sent >= 2*n.total {
			return true
		}
	}
	return false
}

// spare reports whether a quorum is left without node.
func (u *upload) spare(node int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	w := 0
	for i := range u.nodes {
		if i != node && (u.confirmedLocked(i) || u.nodes[i].working) {
			w += u.shardsLocked(i)
		}
	}
	return w >= u.com.Quorum()
}

// retryable reports whether another round could bring more confirmations: of nodes that were busy, or of others, with
// or without those that could not be reached.
func (u *upload) retryable(gone bool) (busy, others bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := range u.nodes {
		n := &u.nodes[i]
		final := errors.Is(n.err, p2p.ErrNotOwner) || errors.Is(n.err, p2p.ErrMismatch) ||
			errors.Is(n.err, p2p.ErrDenied) || errors.Is(n.err, p2p.ErrSpent) || errors.Is(n.err, p2p.ErrInvalid)
		switch {
		case u.confirmedLocked(i) || final || n.gone && !gone:
		case errors.Is(n.err, p2p.ErrBusy):
			busy = true
		default:
			others = true
		}
	}
	return busy, others
}

func (u *upload) weight() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.weightLocked()
}

func (u *upload) weightLocked() int {
	w := 0
	for i := range u.nodes {
		if u.confirmedLocked(i) {
			w += u.shardsLocked(i)
		}
	}
	return w
}

// shardsLocked returns the number of shards that node i holds in the newest epoch.
func (u *upload) shardsLocked(i int) int {
	if at, ok := u.now.Member(u.com.Members()[i].Node); ok {
		return u.now.Weight(at)
	}
	return 0
}
