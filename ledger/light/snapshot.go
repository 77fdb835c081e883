package light

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/ledger/merkle"
)

// Range is a part of the state at a height: all pairs whose keys' SHA-256, their paths, lie in an interval, or the
// first of them.
type Range struct {
	// Pairs are in ascending order of paths: see AppendPair. At most MaxRange bytes.
	Pairs []byte
	// More means that pairs follow in the interval. The range then ends at the path of its last pair.
	More bool
	// Proof proves the range's pairs against the state's root.
	Proof merkle.RangeProof
}

// AppendPair adds a pair to the pairs of a range: length u32 ‖ key ‖ length u32 ‖ value, little-endian.
func AppendPair(b, key, value []byte) []byte {
	b = append(binary.LittleEndian.AppendUint32(b, uint32(len(key))), key...)
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(value))), value...)
}

// PairSize returns the number of bytes that AppendPair adds.
func PairSize(key, value []byte) int { return 8 + len(key) + len(value) }

// NextPair returns the first pair of b, which shares its memory, and the rest. The error wraps merkle.ErrProof: such
// bytes prove nothing.
func NextPair(b []byte) (key, value, rest []byte, err error) {
	f := form{b: b, reading: true}
	f.bytes("key", &key, MaxKeySize)
	f.bytes("value", &value, maxValue)
	if f.err != nil {
		return nil, nil, nil, fmt.Errorf("%w: %v", merkle.ErrProof, f.err)
	}
	return key, value, f.b, nil
}

// Verify checks that the range has all pairs of the state with this root whose paths lie between first and the path
// end, both included. end is last, or with More the path of the last pair. Memory does not grow with the range.
func (r *Range) Verify(root, first, last merkle.Hash) (end merkle.Hash, err error) {
	var key []byte
	for b := r.Pairs; len(b) > 0; {
		if key, _, b, err = NextPair(b); err != nil {
			return end, err
		}
	}
	if end = last; r.More {
		if key == nil {
			return end, fmt.Errorf("%w: more pairs follow, but it has none", merkle.ErrProof)
		}
		if end = sha256.Sum256(key); end.Compare(last) > 0 {
			return end, fmt.Errorf("%w: it ends at %s, beyond %s", merkle.ErrProof, end, last)
		}
	}
	left := r.Pairs
	return end, merkle.VerifyRange(root, first, end, func() (merkle.Leaf, bool) {
		if len(left) == 0 {
			return merkle.Leaf{}, false
		}
		key, value, rest, _ := NextPair(left) // it was good before
		left = rest
		return merkle.Leaf{Path: sha256.Sum256(key), Value: sha256.Sum256(value)}, true
	}, r.Proof)
}

// Snapshots asks one node for the heights whose state it serves in ranges, the newest first. They are not proven.
func (c *Client) Snapshots(ctx context.Context, node peer.ID) ([]uint64, error) {
	r := judge(ctx, c, node, func(ctx context.Context, node peer.ID) ([]uint64, error) {
		var answer snapshotsAnswer
		err := c.calls.ask(ctx, node, snapshotsProtocol, new(snapshotsRequest), &answer)
		return answer.Heights, err
	})
	if r.err != nil {
		return nil, fmt.Errorf("list snapshots: %w", r.err)
	}
	return r.value, nil
}

// Range fetches pairs of the state at a height from a node, those with paths between first and last. It verifies them
// against root, the app hash of Block(height+1), and returns the path end up to which it has all. A node whose range
// does not verify has lied: the error is a *Lie, and the node is not asked again for liarTime.
func (c *Client) Range(ctx context.Context, node peer.ID, height uint64, root, first, last merkle.Hash) (got *Range,
	end merkle.Hash, err error) {
	r := judge(ctx, c, node, func(ctx context.Context, node peer.ID) (*Range, error) {
		var answer rangeAnswer
		m := &rangeRequest{Height: height, First: first, Last: last, Limit: MaxRange}
		err := c.calls.ask(ctx, node, rangeProtocol, m, &answer)
		if err == nil {
			if end, err = answer.Verify(root, first, last); err != nil {
				err = falsehood{err}
			}
		}
		return &answer.Range, err
	})
	if r.err != nil {
		return nil, end, fmt.Errorf("fetch the state at height %d from path %s: %w", height, first, r.err)
	}
	return r.value, end, nil
}
