package light

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/light"
	"github.com/cometbft/cometbft/types"

	"walrus/ledger"
)

// trustingPeriod limits the time for which validators are believed: practically forever. The genesis' validators do not
// change, so none can withdraw the stake that it would lose by lying.
const trustingPeriod = math.MaxInt64 / 2 * time.Nanosecond

const (
	// maxBisections bounds the headers fetched between a trusted header and a new one.
	maxBisections = 64
	// maxTrusted bounds the blocks kept to start from.
	maxTrusted = 64
	// recentHeaders is the number of verified headers remembered by height, so that they are not verified twice.
	recentHeaders = 256
)

// trust holds the verified part of the chain: the blocks to start from, and the latest.
type trust struct {
	chainID  string           // constant, as is anyClock
	anyClock bool             // constant: blocks may be ahead of now
	now      func() time.Time // this machine's clock, for comparisons with others'; time.Now except in tests

	mu      sync.Mutex
	pending *Checkpoint         // guarded by mu; to be fetched and trusted before the first block is verified; nil if none
	blocks  []*types.LightBlock // guarded by mu; ascending by height, the genesis first
	recent  [recentHeaders]struct {
		height int64
		hash   [32]byte
	} // guarded by mu; by height modulo recentHeaders
}

// newTrust trusts the validators of the genesis, as if a header before the first block named them.
func newTrust(g *ledger.Genesis) (*trust, error) {
	var list []*types.Validator
	keys := make(map[ledger.PublicKey]bool, len(g.Members))
	for i := range g.Members {
		m := &g.Members[i]
		if !m.Validates() {
			continue
		}
		if keys[m.Consensus] || len(m.Shards) == 0 {
			return nil, fmt.Errorf("%w: member %d has no shard, or the consensus key of another member", ledger.ErrGenesis, i)
		}
		keys[m.Consensus] = true
		list = append(list, types.NewValidator(ed25519.PubKey(m.Consensus[:]), int64(len(m.Shards))))
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: no member has a consensus key", ledger.ErrGenesis)
	}
	set := types.NewValidatorSet(list)
	hash := set.Hash()
	root := &types.LightBlock{
		SignedHeader: &types.SignedHeader{Header: &types.Header{
			ChainID: g.ChainID(), Height: 0, ValidatorsHash: hash, NextValidatorsHash: hash,
			Time: g.Time.Add(-1), // the first block has the time of the genesis, and block times increase
		}},
		ValidatorSet: set,
	}
	return &trust{chainID: g.ChainID(), now: systemNow, blocks: []*types.LightBlock{root}}, nil
}

// fetchBlock fetches a block at a height, unverified.
type fetchBlock func(ctx context.Context, height int64) (*types.LightBlock, error)

// verify checks that two thirds of the true validators have signed b. If most of them differ from the trusted
// block's validators, it fetches blocks in between. Errors come from fetch, wrap ErrClock, or are a falsehood.
func (t *trust) verify(ctx context.Context, b *types.LightBlock, fetch fetchBlock) error {
	if err := t.begin(ctx, fetch); err != nil {
		return err
	}
	if err := t.check(b); err != nil {
		return err
	}
	base, known, err := t.base(b)
	if err != nil || known {
		return err
	}
	now := t.now()
	if err := t.reach(ctx, base, b, now, fetch); err != nil {
		return err
	}
	if ahead := b.Time.Sub(now); ahead > clockSkew && !t.anyClock {
		return fmt.Errorf("%w: block %d is %v ahead of this machine: set its clock", ErrClock, b.Height,
			ahead.Round(time.Second))
	}
	t.add(b, false)
	return nil
}

// begin fetches and trusts the checkpoint, once.
func (t *trust) begin(ctx context.Context, fetch fetchBlock) error {
	t.mu.Lock()
	at := t.pending
	t.mu.Unlock()
	if at == nil {
		return nil
	}
	b, err := fetch(ctx, int64(at.Height))
	if err != nil {
		return err
	}
	if err := t.checkpoint(b, at.Hash); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pending = nil
	return nil
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

// base returns the trusted block from which to verify b, unless b is known.
func (t *trust) base(b *types.LightBlock) (base *types.LightBlock, known bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := &t.recent[b.Height%recentHeaders]; r.height == b.Height {
		if r.hash == [32]byte(b.Hash()) {
			return nil, true, nil
		}
		return nil, false, wrong("block %d has hash %s, but the signed one has hash %x", b.Height, b.Hash(), r.hash)
	}
	for _, have := range t.blocks {
		if have.Height < b.Height {
			base = have
		}
	}
	return base, false, nil
}

// reach verifies b from base, through blocks between them if necessary.
func (t *trust) reach(ctx context.Context, base, b *types.LightBlock, now time.Time, fetch fetchBlock) error {
	path := []*types.LightBlock{b} // the next one is last
	for range maxBisections {
		next := path[len(path)-1]
		at := now
		if next.Time.After(at) {
			at = next.Time // verify checks the clock
		}
		err := light.Verify(base.SignedHeader, base.ValidatorSet, next.SignedHeader, next.ValidatorSet,
			trustingPeriod, at, clockSkew, light.DefaultTrustLevel)
		var strangers light.ErrNewValSetCantBeTrusted
		switch {
		case err == nil:
			base, path = next, path[:len(path)-1]
			if len(path) == 0 {
				return nil
			}
			t.add(base, true)
		case errors.As(err, &strangers):
			pivot, err := fetch(ctx, base.Height+(next.Height-base.Height)/2)
			if err != nil {
				return err
			}
			if err := t.check(pivot); err != nil {
				return err
			}
			path = append(path, pivot)
		default:
			return wrong("block %d does not follow from block %d: %w", next.Height, base.Height, err)
		}
	}
	return wrong("block %d does not follow from a trusted block in %d steps", b.Height, maxBisections)
}

// add remembers a verified block. Blocks that stay are starting points; of the others only the latest is kept.
func (t *trust) add(b *types.LightBlock, stays bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &t.recent[b.Height%recentHeaders]
	if b.Height > r.height {
		r.height, r.hash = b.Height, [32]byte(b.Hash())
	}
	i, found := slices.BinarySearchFunc(t.blocks, b.Height,
		func(have *types.LightBlock, h int64) int { return int(have.Height - h) })
	switch {
	case found:
	case i == len(t.blocks) && !stays && i > 1 && sameSet(t.blocks[i-1], b) && sameSet(t.blocks[i-2], b):
		t.blocks[i-1] = b // instead of the one before: verifying from its predecessor is as easy
	case i == len(t.blocks) || stays && len(t.blocks) < maxTrusted:
		t.blocks = slices.Insert(t.blocks, i, b)
	}
	if len(t.blocks) > maxTrusted {
		t.blocks = slices.Delete(t.blocks, 1, 2)
	}
}

func sameSet(a, b *types.LightBlock) bool {
	return string(a.ValidatorsHash) == string(b.ValidatorsHash)
}

// checkpoint trusts the block with a hash that was given from outside.
func (t *trust) checkpoint(b *types.LightBlock, hash [32]byte) error {
	if err := t.check(b); err != nil {
		return err
	}
	if [32]byte(b.Hash()) != hash {
		return wrong("block %d has hash %s, but the checkpoint has %x", b.Height, b.Hash(), hash)
	}
	t.add(b, true)
	return nil
}

// latest returns the newest verified block; at first the genesis.
func (t *trust) latest() *types.LightBlock {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.blocks[len(t.blocks)-1]
}
