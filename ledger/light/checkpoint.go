package light

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
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
	Height uint64
	Hash   [32]byte // of its header
	// Stalled means that the ledger stood still after this block: it may be older than the trust period. Only people
	// can know that. Whoever holds the keys of validators that have left could show the same.
	Stalled bool
}

const stalledMark = "stalled"

// ParseCheckpoint reads height:hash, or height:hash:stalled.
func ParseCheckpoint(s string) (c Checkpoint, err error) {
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
	have [32]byte
}

func (w *wrongCheckpoint) Error() string {
	return fmt.Sprintf("%v: at height %d it has hash %x, not %x: if several nodes say so, the checkpoint is wrong, or of another network: "+
		"ask for it again", ErrCheckpoint, w.Height, w.have, w.Hash)
}

func (w *wrongCheckpoint) Unwrap() error { return ErrCheckpoint }

// fresh returns an *Expired if the newest believed header is older than the trust period. The caller holds mu.
func (t *trust) fresh() error {
	if age := t.now().Sub(t.latest.Time); age > t.period && !t.stalled {
		return &Expired{t.latest, age, t.period}
	}
	return nil
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
		return &wrongCheckpoint{*at, have}
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
