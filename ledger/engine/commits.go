package engine

import (
	"fmt"
	"strconv"
	"strings"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
)

// CometBFT stores the signatures of block H three times: in block H+1, as the commit of H, and as the commit that the
// node has seen. Of an idle block they are nearly all. So we keep one copy: what consensus has seen of H is removed
// with the block after it, and the commit of H is read from block H+1, unless that block has several parts. To read it
// from many parts would cost more than the few bytes beside them.

// The keys of CometBFT v0.40.0 in its block store, which end in a height, a part's in height:part.
const (
	partPrefix   = "P:"
	commitPrefix = "C:"
	seenPrefix   = "SC:"
)

// heightIn parses a key of a prefix and a height.
func heightIn(key []byte, prefix string) (height int64, ok bool) {
	digits, ok := strings.CutPrefix(string(key), prefix)
	if !ok {
		return 0, false
	}
	height, err := strconv.ParseInt(digits, 10, 64)
	return height, err == nil && height >= 0
}

func blockKey(prefix string, height int64) []byte { return fmt.Append(nil, prefix, height) }

func partKey(height int64, part int) []byte { return fmt.Append(nil, partPrefix, height, ":", part) }

// commitIn returns the commit of the block before, from the only part of a block, in CometBFT's form.
func commitIn(raw []byte) ([]byte, error) {
	var part cmtproto.Part
	if err := part.Unmarshal(raw); err != nil {
		return nil, err
	}
	var block cmtproto.Block
	if err := block.Unmarshal(part.Bytes); err != nil {
		return nil, err
	}
	if block.LastCommit == nil {
		return nil, nil
	}
	return block.LastCommit.Marshal()
}

// Get implements dbm.DB. It reads a commit that was not stored by itself from the next block.
func (w watchedDB) Get(key []byte) ([]byte, error) {
	value, err := w.DB.Get(key)
	if err != nil || value != nil || !w.blocks {
		return value, err
	}
	height, ok := heightIn(key, commitPrefix)
	if !ok {
		return nil, nil
	}
	part, err := w.DB.Get(partKey(height+1, 0))
	if err != nil || part == nil {
		return nil, err
	}
	if more, err := w.DB.Get(partKey(height+1, 1)); err != nil || more != nil {
		return nil, err
	}
	if value, err = commitIn(part); err != nil {
		return nil, fmt.Errorf("read the commit of block %d: %w", height, err)
	}
	return value, nil
}

// Set implements dbm.Batch.
func (w *watchedBatch) Set(key, value []byte) error {
	if !w.blocks {
		return w.Batch.Set(key, value)
	}
	if strings.HasPrefix(string(key), partPrefix) {
		w.parts++
	}
	if _, ok := heightIn(key, commitPrefix); ok && w.parts == 1 {
		return nil
	}
	if height, ok := heightIn(key, seenPrefix); ok && w.parts > 0 {
		if err := w.Batch.Delete(blockKey(seenPrefix, height-1)); err != nil {
			return err
		}
	}
	return w.Batch.Set(key, value)
}
