package keeper

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"

	"walrus/shards"
	"walrus/store"
)

const (
	// crossingSample bounds the cells that are read from the disk to be compared, and crossingBytes their bytes: twice
	// that is read. They are only read where the hashes of a sliver, taken when it was verified, are not at hand.
	crossingSample = 32
	crossingBytes  = 4 << 20
)

// crossings compares the cells where our rows and columns of a blob cross. A row differs from another row in at least
// f+1 of n cells and a column from another column in 2f+1, so a wrong line of ours is seen at one of our m crossing
// lines unless its writer made it for us alone.
type crossings struct {
	shelf   *shelf
	library *library
	leaves  *leaves
}

// cell names the symbol in which a row and a column of a blob cross.
type cell struct{ row, column int }

// differing returns a cell at which a row and a column of ours differ, if one was found. Lines that are not here are
// skipped. The cost is 32 bytes for each of our m² cells, and a bounded number of reads for lines without hashes.
func (c *crossings) differing(ctx context.Context, meta *shards.Metadata,
	at seat) (found cell, differs bool, err error) {
	id := meta.ID()
	rows, columns := c.lines(id, shards.Primary, at), c.lines(id, shards.Secondary, at)
	unknown := false
	for _, r := range rows {
		for _, k := range columns {
			if r.hashes == nil || k.hashes == nil {
				unknown = true
			} else if r.hashes[k.index] != k.hashes[r.index] {
				return cell{r.index, k.index}, true, nil
			}
		}
	}
	if !unknown {
		return cell{}, false, nil
	}
	return c.sample(ctx, meta, rows, columns)
}

// sample reads random cells that could not be compared by their hashes, and are symbols of both slivers themselves.
func (c *crossings) sample(ctx context.Context, meta *shards.Metadata, rows,
	columns []ownLine) (found cell, differs bool, err error) {
	left := max(1, min(crossingSample, crossingBytes/meta.Layout(shards.Primary).SymbolSize))
	for range len(rows) * len(columns) {
		r, k := rows[rand.IntN(len(rows))], columns[rand.IntN(len(columns))]
		known := r.hashes != nil && k.hashes != nil
		if known || r.index >= c.shelf.params.Rows() || k.index >= c.shelf.params.Columns() {
			continue
		}
		if err := ctx.Err(); err != nil {
			return cell{}, false, err
		}
		same, err := c.read(meta, cell{r.index, k.index})
		if err != nil || !same {
			return cell{r.index, k.index}, err == nil, err
		}
		if left--; left == 0 {
			break
		}
	}
	return cell{}, false, nil
}

// ownLine is a sliver of ours. hashes has the hashes of its n symbols; nil if not at hand.
type ownLine struct {
	index  int
	hashes []shards.Hash
}

// lines lists our slivers along axis that are here.
func (c *crossings) lines(id shards.BlobID, axis shards.Axis, at seat) (lines []ownLine) {
	params := c.shelf.params
	for _, shard := range at.shards {
		ref := store.Ref{Blob: id, Shard: shard, Axis: axis}
		hashes := c.leaves.get(ref)
		if hashes == nil {
			if here, err := c.shelf.HasSliver(ref); err != nil || !here {
				continue
			}
		}
		lines = append(lines, ownLine{params.SliverOfPair(axis, params.PairOnShard(id, shard)), hashes})
	}
	return lines
}

// read compares a cell that is a symbol of both slivers themselves, on the disk.
func (c *crossings) read(meta *shards.Metadata, at cell) (same bool, err error) {
	inRow, err := c.symbol(meta, shards.Primary, at.row, at.column)
	if err != nil {
		return false, err
	}
	inColumn, err := c.symbol(meta, shards.Secondary, at.column, at.row)
	if err != nil {
		return false, err
	}
	layout := meta.Layout(shards.Primary)
	a, b := make([]byte, layout.StripWidth(0)), make([]byte, layout.StripWidth(0))
	for t := range layout.Strips() {
		n := layout.StripWidth(t)
		if err := inRow(t, a[:n]); err != nil {
			return false, err
		}
		if err := inColumn(t, b[:n]); err != nil {
			return false, err
		}
		if !bytes.Equal(a[:n], b[:n]) {
			return false, nil
		}
	}
	return true, nil
}

// symbol returns a reader of the part in strip t of symbol k of a sliver.
func (c *crossings) symbol(meta *shards.Metadata, axis shards.Axis, index,
	k int) (func(t int, part []byte) error, error) {
	ref, err := c.shelf.locate(meta.ID(), axis, index)
	if err != nil {
		return nil, err
	}
	sliver, err := c.library.open(ref)
	if err != nil {
		return nil, err
	}
	layout := meta.Layout(axis)
	return func(t int, part []byte) error {
		off, _ := layout.Strip(t)
		_, err := sliver.ReadAt(part, off+int64(k*len(part)))
		if errors.Is(err, io.EOF) { // the last part of the sliver
			err = nil
		}
		return err
	}, nil
}
