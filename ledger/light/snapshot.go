package light

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Snapshots asks one node for its snapshots, newest first. They are not proven: verify that the state restored from
// one of height H has the root in Block(H+1).
func (c *Client) Snapshots(ctx context.Context, node peer.ID) ([]Snapshot, error) {
	r := judge(ctx, c, node, func(ctx context.Context, node peer.ID) ([]Snapshot, error) {
		var answer snapshotsAnswer
		err := c.calls.ask(ctx, node, snapshotsProtocol, new(snapshotsRequest), &answer)
		return answer.Snapshots, err
	})
	if r.err != nil {
		return nil, fmt.Errorf("list snapshots: %w", r.err)
	}
	return r.value, nil
}

// SnapshotPart fetches a part of a snapshot from a node. It is not verified.
func (c *Client) SnapshotPart(ctx context.Context, node peer.ID, height uint64, part uint32) ([]byte, error) {
	r := judge(ctx, c, node, func(ctx context.Context, node peer.ID) ([]byte, error) {
		var answer partAnswer
		err := c.calls.ask(ctx, node, partProtocol, &partRequest{height, part}, &answer)
		return answer.Bytes, err
	})
	if r.err != nil {
		return nil, fmt.Errorf("fetch part %d of the snapshot at height %d: %w", part, height, r.err)
	}
	return r.value, nil
}

// Blame records that a node sent something false, such as a snapshot with a wrong root, and returns the *Lie. The
// node is not asked again for liarTime.
func (c *Client) Blame(node peer.ID, what error) error {
	l := &Lie{Node: node, Name: c.names[node], What: what}
	c.book.lied(l, time.Now())
	return l
}
