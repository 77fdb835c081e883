package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"walrus/gather"
	"walrus/shards"
)

// recovery makes columns from the symbols of other nodes' primary slivers.
type recovery struct {
	targets []int // columns
	got     *gather.Gathered
	err     error
}

// gather gathers the symbols for the lines in targets. Only constant fields of r are used.
func (r *columnReader) gather(ctx context.Context, axis shards.Axis, targets []int, holders gather.Holders) *recovery {
	got, err := gather.Symbols(ctx, r.c.nodes, gather.Want{
		Committee: r.com, ID: r.id, Meta: r.meta, Axis: axis, Targets: targets, Window: maxWindow,
		Proofs: true, Holders: holders,
	})
	var few *gather.Error
	switch {
	case errors.As(err, &few):
		err = &NotEnoughError{
			Op: "read quilt " + r.id.String(), Did: "gave their symbols for what is missing", Have: few.Have, Needed: few.Need,
			Shards: r.params.Shards(), Nodes: blame(nil, r.com, few.Failures), Advice: "try again when more nodes are up",
		}
	case errors.Is(err, gather.ErrTooLarge):
		err = fmt.Errorf("%w: read the quilt as a blob instead", err)
	}
	return &recovery{targets, got, err}
}

// rebuild makes a column from verified symbols. A column that does not match the metadata proves that the writer
// encoded the blob wrongly.
func (r *columnReader) rebuild(index int, symbols map[int][]byte) (column, error) {
	sliver, err := r.meta.Rebuild(shards.Secondary, index, symbols)
	if errors.Is(err, shards.ErrInconsistent) {
		return column{}, fmt.Errorf("column %d: %w", index, ErrInvalidBlob)
	}
	if err != nil {
		return column{}, fmt.Errorf("make column %d from symbols: %w", index, err)
	}
	c, err := r.create()
	if err != nil {
		return column{}, err
	}
	return c, r.fill(&c, index, bytes.NewReader(sliver))
}
