package client

import (
	"context"
	"fmt"

	"walrus/quilt"
)

// QuiltResult says how a quilt was stored, and where each file is in it.
type QuiltResult struct {
	*StoreResult               // the quilt as a blob
	Index        *quilt.Index  // of the files, by identifier
	Patches      []StoredPatch // in the same order
}

// StoredPatch is one file of a quilt that was stored.
type StoredPatch struct {
	Identifier string
	ID         quilt.PatchID
	Start, End int // its columns are Start…End−1
}

// StoreQuilt stores files together as one blob, as Store does: paid once, each file readable alone. It holds only the
// bytes being sent in memory. Errors: as quilt.New and Store. With an error of Store it also returns the
// result so far.
func (c *Client) StoreQuilt(ctx context.Context, files []quilt.File, opt StoreOptions) (*QuiltResult, error) {
	com, err := c.Committee(ctx)
	if err != nil {
		return nil, fmt.Errorf("store quilt: %w", err)
	}
	q, err := quilt.New(com.Params(), files)
	if err != nil {
		return nil, fmt.Errorf("store quilt: %w", err)
	}
	res, err := c.Store(ctx, q, q.Size(), opt)
	if res == nil {
		return nil, err
	}
	out := &QuiltResult{StoreResult: res, Index: q.Index()}
	for _, p := range q.Index().Patches {
		out.Patches = append(out.Patches, StoredPatch{p.Identifier, p.ID(res.BlobID), p.Start, p.End})
	}
	return out, err
}
