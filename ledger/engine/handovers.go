package engine

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	dbm "github.com/cometbft/cometbft-db"
	cmtstate "github.com/cometbft/cometbft/proto/tendermint/state"
	"github.com/cometbft/cometbft/types"

	"walrus/ledger/light"
)

// handovers finds the headers that name other validators for the next block than their own.
type handovers struct {
	states dbm.DB // of consensus; constant

	mu     sync.Mutex
	heads  []int64 // their heights, ascending; guarded by mu, as are the next two
	oldest int64   // heads has all from this height on
	seen   int64   // and up to this height
}

// chainRecords are CometBFT's records of the chain.
type chainRecords struct {
	blocks interface {
		Height() int64
		LoadBlockMeta(height int64) *types.BlockMeta // nil if it is not kept
	}
	states dbm.DB
}

// changedAt returns the height from which on the validators of a height have been the validators, as CometBFT's record
// of that height says; 0 without a record. After a join by a snapshot the first records say so without a change.
func changedAt(states dbm.DB, height int64) (int64, error) {
	raw, err := states.Get(fmt.Appendf(nil, "validatorsKey:%v", height)) // CometBFT's calcValidatorsKey
	if err != nil || len(raw) == 0 {
		return 0, err
	}
	var info cmtstate.ValidatorsInfo
	if err := info.Unmarshal(raw); err != nil {
		return 0, fmt.Errorf("read validators of block %d: %w", height, err)
	}
	return info.LastHeightChanged, nil
}

// above returns the heights above after, at most limit, and the height from which on all are known.
func (h *handovers) above(c chainRecords, after int64, limit int) (list []int64, oldest int64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.extend(c); err != nil {
		return nil, 0, err
	}
	i, _ := slices.BinarySearch(h.heads, after+1)
	return slices.Clone(h.heads[i:min(len(h.heads), i+limit)]), h.oldest, nil
}

// extend walks back from the newest block to those seen before, from change to change. The caller holds mu.
func (h *handovers) extend(c chainRecords) error {
	top := c.blocks.Height()
	var found []int64
	oldest := h.oldest
	for at := top + 1; at > h.seen+1; {
		changed, err := changedAt(c.states, at)
		if err != nil {
			return err
		}
		if changed == 1 { // since the genesis
			oldest = 1
			break
		}
		if changed == 0 || changed > at { // the record is missing: the node has joined later, or pruned it
			oldest = at
			break
		}
		at = changed - 1
		if at <= h.seen {
			break
		}
		meta := c.blocks.LoadBlockMeta(at)
		if meta == nil {
			oldest = changed
			break
		}
		if !bytes.Equal(meta.Header.ValidatorsHash, meta.Header.NextValidatorsHash) {
			found = append(found, at)
		}
	}
	slices.Reverse(found)
	h.heads, h.oldest, h.seen = append(h.heads, found...), oldest, top
	return nil
}

// Handovers implements light.Blocks.
func (s source) Handovers(_ context.Context, after uint64, limit int) ([]*types.LightBlock, error) {
	c, err := s.consensus()
	if err != nil {
		return nil, err
	}
	heights, oldest, err := c.handovers.above(chainRecords{c.node.BlockStore(), c.handovers.states}, int64(min(after, 1<<62)), limit)
	if err != nil {
		return nil, err
	}
	if int64(after)+1 < oldest {
		return nil, fmt.Errorf("hand-overs after block %d: %w", after, light.ErrPruned)
	}
	list := make([]*types.LightBlock, 0, len(heights))
	for _, height := range heights {
		b, err := c.lightBlock(height)
		if err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	return list, nil
}
