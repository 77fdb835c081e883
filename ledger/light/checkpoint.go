package light

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/internal/pause"
)

var (
	// ErrExpired reports that the newest block that the client believes is older than the trust period. The error is
	// an *Expired.
	ErrExpired = errors.New("trust has expired")
	// ErrCheckpoint reports that the block of a checkpoint is not the one that nodes have.
	ErrCheckpoint = errors.New("the ledger has another block than the checkpoint")
	// ErrUnproven reports a block that nobody's signatures can prove to this client any more.
	ErrUnproven = errors.New("too old to be proven")
)

// minTrust is the least trust period. With epochs of half a day or more, two epochs are longer. Shorter epochs are for
// tests and devnets: there nobody has a stake to lose, and clients should not lose their trust overnight.
const minTrust = 24 * time.Hour

// TrustPeriod returns the time for which a block proves who the validators are, in a network with epochs of this
// length: two epochs, and a day at least. Validators that have left keep their stake that long, and lose it if they
// sign a false block.
func TrustPeriod(epoch time.Duration) time.Duration { return max(2*epoch, minTrust) }

// Checkpoint identifies a block that somebody trusted vouches for.
type Checkpoint struct {
	Height uint64   // 0: the genesis, whatever its age
	Hash   [32]byte // of its header
	// Stalled means that the ledger stood still after this block: it may be older than the trust period. Only people
	// can know that. Whoever holds the keys of validators that have left could show the same.
	Stalled bool
}

const stalledMark = "stalled"

// genesisMark is the checkpoint of a network that begins later than its genesis says.
const genesisMark = "genesis"

// ParseCheckpoint reads height:hash, or height:hash:stalled, or genesis.
func ParseCheckpoint(s string) (c Checkpoint, err error) {
	if s == genesisMark {
		return Checkpoint{Stalled: true}, nil
	}
	parts := strings.Split(s, ":")
	if len(parts) == 2 || len(parts) == 3 && parts[2] == stalledMark {
		var raw []byte
		c.Height, err = strconv.ParseUint(parts[0], 10, 63)
		if err == nil {
			raw, err = hex.DecodeString(parts[1])
		}
		if err == nil && c.Height > 0 && len(raw) == len(c.Hash) {
			c.Hash, c.Stalled = [32]byte(raw), len(parts) == 3
			return c, nil
		}
	}
	return Checkpoint{}, fmt.Errorf("checkpoint %.120q: want height:hash, as walrus checkpoint prints it: "+
		"a number, a colon and 64 hexadecimal digits", s)
}

// String returns the form that ParseCheckpoint reads.
func (c Checkpoint) String() string {
	if c.Height == 0 {
		return genesisMark
	}
	s := fmt.Sprintf("%d:%x", c.Height, c.Hash)
	if c.Stalled {
		s += ":" + stalledMark
	}
	return s
}

// Checkpoint returns the checkpoint of this header.
func (p Point) Checkpoint() Checkpoint { return Checkpoint{Height: p.Height, Hash: p.Hash} }

// Expired describes trust that is too old. It wraps ErrExpired.
type Expired struct {
	Newest Point         // that the client believes
	Age    time.Duration // by this machine's clock
	Period time.Duration // the trust period
}

// Error describes the error for people.
func (e *Expired) Error() string {
	what := fmt.Sprintf("the newest block known to this client, %d of %s,", e.Newest.Height, e.Newest.Time.UTC().Format(time.DateTime+" UTC"))
	if e.Newest.Height == 0 {
		what = fmt.Sprintf("the genesis, of %s,", e.Newest.Time.UTC().Format(time.DateTime+" UTC"))
	}
	return fmt.Sprintf("%s is %s old, and the trust period is %s: its validators may have left since, and what they sign proves nothing; "+
		"ask somebody you trust for a checkpoint (they run: walrus checkpoint) and give it with --trust height:hash",
		what, DurationText(e.Age), DurationText(e.Period))
}

// Unwrap makes errors.Is(err, ErrExpired) true.
func (e *Expired) Unwrap() error { return ErrExpired }

// wrongCheckpoint reports another block than the checkpoint's. It wraps ErrCheckpoint. Either the checkpoint is wrong
// or the node lies: nothing proves which, before another node has the block.
type wrongCheckpoint struct {
	Checkpoint
	have  [32]byte
	nodes int // that have it
}

func (w *wrongCheckpoint) Error() string {
	who := "it has"
	if w.nodes > 1 {
		who = fmt.Sprintf("all %d nodes have", w.nodes)
	}
	return fmt.Sprintf("%v: at height %d %s hash %x, not %x: if several nodes say so, the checkpoint is wrong, or of another network: "+
		"ask for it again", ErrCheckpoint, w.Height, who, w.have, w.Hash)
}

func (w *wrongCheckpoint) Unwrap() error { return ErrCheckpoint }

// sameBlock returns one error for nodes that have the same block instead of the checkpoint's; nil if not all do.
func sameBlock(reasons []error) error {
	var all *wrongCheckpoint
	for _, err := range reasons {
		var w *wrongCheckpoint
		if !errors.As(err, &w) || all != nil && w.have != all.have {
			return nil
		}
		all = &wrongCheckpoint{w.Checkpoint, w.have, len(reasons)}
	}
	return all
}

// aim sets where trust starts: at a checkpoint, at the newest header known, or at the genesis.
func (t *trust) aim(at *Checkpoint) {
	switch {
	case at == nil:
		t.learn()
	case at.Height == 0:
		t.stalled = true
	default:
		t.pending = at
	}
}

// learn starts anew from a header that this process knows otherwise, if it is newer. The caller holds mu, or the trust
// is new.
func (t *trust) learn() {
	if t.known == nil {
		return
	}
	if p, ok := t.known(); ok && p.Height > t.latest.Height && p.Time.After(t.latest.Time) {
		t.start(p)
		t.kept = p.Time
	}
}

// fresh returns an *Expired if the newest believed header is older than the trust period. The caller holds mu.
func (t *trust) fresh() error {
	old := func() bool { return t.now().Sub(t.latest.Time) > t.period && !t.stalled }
	if old() {
		t.learn()
	}
	if old() {
		return &Expired{t.latest, t.now().Sub(t.latest.Time), t.period}
	}
	return nil
}

// keptEvery is the part of the trust period after which the newest header is kept again.
const keptEvery = 100

// save tells keep the newest believed header, unless the one told before is nearly as new.
func (t *trust) save() {
	t.mu.Lock()
	p := t.latest
	if t.keep == nil || p.Height == 0 || p.Time.Sub(t.kept) < t.period/keptEvery && !t.kept.IsZero() {
		t.mu.Unlock()
		return
	}
	t.kept = p.Time
	t.mu.Unlock()
	t.keep(p)
}

// HeadOf returns the newest block of a node that the caller trusts, such as its own. It is not verified.
func HeadOf(ctx context.Context, c *Client, id peer.ID) (Head, error) {
	var answer blockAnswer
	if err := c.calls.ask(ctx, id, blockProtocol, &blockRequest{0}, &answer); err != nil {
		return Head{}, err
	}
	if err := c.trust.check(answer.Block); err != nil {
		return Head{}, err
	}
	b := answer.Block
	return Head{uint64(b.Height), b.Time, [32]byte(b.Hash())}, nil
}

// KeepTrust asks for the newest header now and then until ctx ends, so that the trust of a client that is not used
// does not expire.
func KeepTrust(ctx context.Context, c *Client) {
	for pause.For(ctx, c.trust.period/8) {
		if _, err := c.Head(ctx); err != nil && ctx.Err() == nil {
			c.cfg.Logger.Warn("could not renew the trust in the ledger", "err", err)
		}
	}
}

// begin fetches and trusts the checkpoint, once.
func (t *trust) begin(ctx context.Context, from node) error {
	t.mu.Lock()
	at := t.pending
	t.mu.Unlock()
	if at == nil {
		return nil
	}
	b, err := from.block(ctx, int64(at.Height))
	if err != nil {
		return fmt.Errorf("fetch the checkpoint: %w", err)
	}
	if err := t.check(b); err != nil {
		return err
	}
	if have := [32]byte(b.Hash()); have != at.Hash {
		return &wrongCheckpoint{*at, have, 1}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pending != at {
		return nil
	}
	t.pending, t.stalled = nil, at.Stalled
	t.start(pointOf(b))
	t.eras = append([]era{{from: b.Height, last: b.Height, set: [32]byte(b.ValidatorsHash), ended: b.Time}}, t.eras...)
	if t.eras[0].set == t.eras[1].set {
		t.eras = t.eras[1:]
	}
	return nil
}
