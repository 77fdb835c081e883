package light

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/types"

	"walrus/ledger"
)

const (
	// maxEras bounds the validator sets remembered, the oldest of which are forgotten first: a chain with epochs of a
	// minute has some 1500 in a trust period.
	maxEras = 4096
	// recentHeaders is the number of verified headers remembered by height, so that they are not verified twice.
	recentHeaders = 256
)

// Point is a header that a client believes, with the hash of the validators who sign the next one. It suffices to
// verify later headers.
type Point struct {
	Height uint64
	Hash   [32]byte // of the header; zero at height 0, before the first block
	Time   time.Time
	Next   [32]byte // hash of the validators of the next height
}

func pointOf(b *types.LightBlock) Point {
	return Point{uint64(b.Height), [32]byte(b.Hash()), b.Time, [32]byte(b.NextValidatorsHash)}
}

// era is the time of one validator set.
type era struct {
	from, last int64 // first and last height; last is 0 while the era lasts
	set        [32]byte
	ended      time.Time // time of the last header
}

// trust holds the verified part of the chain: who signs blocks, and the newest header. A set of validators is known
// from the header before its first, which more than two thirds of the set before have signed. There is no other way
// from one set to the next.
type trust struct {
	chainID  string                    // constant, as are all before mu
	anyClock bool                      // blocks may be ahead of now
	period   time.Duration             // the trust period
	now      func() time.Time          // this machine's clock, for comparisons with others'; time.Now except in tests
	known    func() (p Point, ok bool) // as Config.Known, as is keep; nil without
	keep     func(Point)

	walk sync.Mutex // held while a page of hand-overs is followed, so that concurrent callers do not mix theirs

	mu      sync.Mutex
	pending *Checkpoint // guarded by mu, as are all below; to be fetched and trusted before the first block is verified
	kept    time.Time   // time of the point that keep was last told
	stalled bool        // latest may be older than the trust period, because somebody vouches that the ledger stood still
	latest  Point       // the newest believed header
	eras    []era       // ascending, without gaps; the last one lasts
	recent  [recentHeaders]struct {
		height int64
		hash   [32]byte
	} // by height modulo recentHeaders
}

// votersOf returns the validators of a genesis.
func votersOf(g *ledger.Genesis) (*types.ValidatorSet, error) {
	var list []*types.Validator
	keys := make(map[ledger.PublicKey]bool, len(g.Members))
	for _, i := range g.Voters() {
		m := &g.Members[i]
		if keys[m.Consensus] || len(m.Shards) == 0 {
			return nil, fmt.Errorf("%w: member %d has no shard, or the consensus key of another member", ledger.ErrGenesis, i)
		}
		keys[m.Consensus] = true
		list = append(list, types.NewValidator(ed25519.PubKey(m.Consensus[:]), int64(len(m.Shards))))
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: no member has a consensus key", ledger.ErrGenesis)
	}
	return types.NewValidatorSet(list), nil
}

// newTrust trusts the validators of the genesis, as if a header before the first block named them.
func newTrust(g *ledger.Genesis) (*trust, error) {
	set, err := votersOf(g)
	if err != nil {
		return nil, err
	}
	t := &trust{chainID: g.ChainID(), period: TrustPeriod(g.EpochDuration), now: systemNow}
	// The first block has the time of the genesis, and block times increase.
	t.start(Point{Time: g.Time.Add(-1), Next: [32]byte(set.Hash())})
	return t, nil
}

// start trusts p alone. The caller holds mu, or the trust is new.
func (t *trust) start(p Point) {
	t.latest, t.eras = p, []era{{from: int64(p.Height) + 1, set: p.Next}}
	clear(t.recent[:])
	if p.Height > 0 {
		t.note(int64(p.Height), p.Hash)
	}
}

func (t *trust) note(height int64, hash [32]byte) {
	if r := &t.recent[height%recentHeaders]; height > r.height {
		r.height, r.hash = height, hash
	}
}

// node fetches from one node, unverified.
type node struct {
	block     func(ctx context.Context, height int64) (*types.LightBlock, error)
	handovers func(ctx context.Context, after int64) ([]*types.LightBlock, error)
}

// verify checks that more than two thirds of the true validators have signed b, and first follows the hand-overs that
// lead to them. Errors come from the node, wrap ErrClock, ErrExpired, ErrCheckpoint or ErrUnproven, or are a falsehood.
func (t *trust) verify(ctx context.Context, b *types.LightBlock, from node) error {
	if err := t.begin(ctx, from); err != nil {
		return err
	}
	if err := t.check(b); err != nil {
		return err
	}
	defer t.save()
	for range maxPages {
		switch known, far, err := t.place(b); {
		case err != nil || known:
			return err
		case !far:
			return t.accept(b)
		}
		if err := t.follow(ctx, b, from); err != nil {
			return err
		}
	}
	return wrong("block %d does not follow from block %d by %d hand-overs", b.Height, t.newest().Height, maxPages*MaxHandovers)
}

// check validates b by itself, without its signatures.
func (t *trust) check(b *types.LightBlock) error {
	if b.ChainID != t.chainID {
		return wrong("block %d belongs to chain %.60q, not %q", b.Height, b.ChainID, t.chainID)
	}
	if err := b.ValidateBasic(t.chainID); err != nil {
		return falsehood{err}
	}
	return nil
}

// falsehood reports an answer that proofs or the protocol contradict.
type falsehood struct{ error }

func (f falsehood) Unwrap() error { return f.error }

func wrong(format string, args ...any) error { return falsehood{fmt.Errorf(format, args...)} }

// place compares b with the eras: it is known, its signatures decide, or its era is far: hand-overs lead there.
func (t *trust) place(b *types.LightBlock) (known, far bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := &t.recent[b.Height%recentHeaders]; r.height == b.Height {
		if r.hash == [32]byte(b.Hash()) {
			return true, false, nil
		}
		return false, false, wrong("block %d has hash %s, but the signed one has hash %x", b.Height, b.Hash(), r.hash)
	}
	if err := t.fresh(); err != nil {
		return false, false, err
	}
	if later := b.Height > int64(t.latest.Height); later != b.Time.After(t.latest.Time) {
		return false, false, wrong("block %d of %s does not follow from block %d of %s: times do not increase", b.Height,
			b.Time.UTC().Format(time.RFC3339Nano), t.latest.Height, t.latest.Time.UTC().Format(time.RFC3339Nano))
	}
	i := len(t.eras) - 1
	for i > 0 && b.Height < t.eras[i].from {
		i--
	}
	switch e, same := &t.eras[i], t.eras[i].set == [32]byte(b.ValidatorsHash); {
	case e.last > 0 && t.now().Sub(e.ended) > t.period:
		return false, false, fmt.Errorf("block %d: %w: its validators have left, %s ago", b.Height, ErrUnproven,
			DurationText(t.now().Sub(e.ended)))
	case same:
		return false, false, nil
	case b.Height < e.from: // before the first block that is believed
		return false, false, fmt.Errorf("block %d: %w: this client's trust begins at block %d", b.Height, ErrUnproven, e.from)
	case e.last == 0 && b.Height > max(e.from, int64(t.latest.Height)):
		return false, true, nil
	}
	return false, false, wrong("block %d does not follow from block %d: its validators are others than the signed ones",
		b.Height, t.latest.Height)
}

// accept believes b if more than two thirds of its validators have signed it. The caller knows that they are the
// validators of b's height.
func (t *trust) accept(b *types.LightBlock) error {
	if err := b.ValidatorSet.VerifyCommitLight(b.ChainID, b.Commit.BlockID, b.Height, b.Commit); err != nil {
		return wrong("block %d does not follow from block %d: %w", b.Height, t.newest().Height, err)
	}
	if ahead := b.Time.Sub(t.now()); ahead > clockSkew && !t.anyClock {
		return fmt.Errorf("%w: block %d is %v ahead of this machine: set its clock", ErrClock, b.Height,
			ahead.Round(time.Second))
	}
	t.add(b)
	return nil
}

// add remembers a verified block. The newest ends its era if it names other validators for the next.
func (t *trust) add(b *types.LightBlock) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.note(b.Height, [32]byte(b.Hash()))
	last := &t.eras[len(t.eras)-1]
	if uint64(b.Height) <= t.latest.Height || last.set != [32]byte(b.ValidatorsHash) {
		return
	}
	t.latest, t.stalled = pointOf(b), t.stalled && t.now().Sub(b.Time) > t.period
	if t.latest.Next == last.set {
		return
	}
	last.last, last.ended = b.Height, b.Time
	t.eras = append(t.eras, era{from: b.Height + 1, set: t.latest.Next})
	if drop := len(t.eras) - maxEras; drop > 0 {
		t.eras = slices.Delete(t.eras, 0, drop)
	}
}

// newest returns the newest believed header.
func (t *trust) newest() Point {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.latest
}
