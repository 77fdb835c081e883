package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"walrus/certs"
	"walrus/gather"
	"walrus/shards"
)

// A read of a whole blob compares its rows with maxCheckColumns columns at most, of which it fetches just the hashes:
// 32·n bytes each, and one part in checkShare of the blob in all. Their nodes read the columns, so p/checkShare bounds
// the number too.
const maxCheckColumns, checkShare = 4, 33

// checkColumns chooses the columns with which reads of a whole blob compare its rows: always the same in this process,
// because reads share rows, and such that nobody else knows them.
func checkColumns(secret uint64, id shards.BlobID, meta *shards.Metadata) []int {
	p := meta.Params()
	n := p.Shards()
	count := min(maxCheckColumns, max(1, p.Rows()/checkShare), int(meta.Length/checkShare/uint64(n*shards.HashSize)))
	r := rand.New(rand.NewPCG(secret, binary.BigEndian.Uint64(id[:])))
	return r.Perm(n)[:count]
}

// checked picks the hashes of a row's symbols in the columns of the check.
func (b *Blob) checked(leaves []shards.Hash) []shards.Hash {
	cells := make([]shards.Hash, len(b.checks))
	for k, column := range b.checks {
		cells[k] = leaves[column]
	}
	return cells
}

// rowCheck compares the rows of a read with the check's columns.
type rowCheck struct {
	blob  *Blob
	rows  map[int][]shards.Hash // by row; owned by the reader
	stop  context.CancelFunc
	ended chan struct{} // closed when all have answered that will

	mu      sync.Mutex
	columns map[int]*shards.Expansion // by column; guarded by mu
}

// startCheck begins to fetch the columns' hashes.
func (b *Blob) startCheck(ctx context.Context) *rowCheck {
	ctx, stop := context.WithCancel(ctx)
	c := &rowCheck{blob: b, rows: map[int][]shards.Hash{}, stop: stop, ended: make(chan struct{}),
		columns: map[int]*shards.Expansion{}}
	owner := gather.Owners(b.com, b.id, shards.Secondary)
	var g sync.WaitGroup
	for _, column := range b.checks {
		g.Go(func() {
			tree, err := b.column(ctx, &b.com.Members()[owner[column]], column)
			if err != nil {
				b.c.log.Debug("a column cannot be compared with the rows", "blob", b.id.String(), "column", column, "err", err)
				return
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.columns[column] = tree
		})
	}
	go func() {
		g.Wait()
		close(c.ended)
	}()
	return c
}

// column fetches and verifies the hashes of a column.
func (b *Blob) column(ctx context.Context, m *certs.Member, column int) (*shards.Expansion, error) {
	if err := b.c.nodes.Connect(ctx, m.Node); err != nil {
		return nil, err
	}
	leaves, err := b.c.nodes.AllLeaves(ctx, m.Node, b.id, shards.Secondary, column, b.com.Params().Shards())
	if err != nil {
		return nil, err
	}
	return b.meta.NewExpansion(shards.Secondary, column, leaves)
}

// add takes a verified row's hashes in the columns of the check.
func (c *rowCheck) add(row int, cells []shards.Hash) {
	if c != nil && cells != nil {
		c.rows[row] = cells
	}
}

// close ends all requests.
func (c *rowCheck) close() {
	if c != nil {
		c.stop()
		<-c.ended
	}
}

// compare waits a little for the columns and compares them with the rows. It returns an *InvalidBlobError if they
// differ.
func (c *rowCheck) compare(ctx context.Context) error {
	if c == nil {
		return nil
	}
	timer := time.NewTimer(checkPatience)
	defer timer.Stop()
	select {
	case <-c.ended:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	columns := c.columns
	c.columns = map[int]*shards.Expansion{}
	c.mu.Unlock()
	var unproved error
	for k, column := range c.blob.checks {
		tree := columns[column]
		for row, cells := range c.rows {
			if tree == nil || tree.Leaves()[row] == cells[k] {
				continue
			}
			err := c.differ(ctx, row, column, tree)
			if invalid := (*InvalidBlobError)(nil); errors.As(err, &invalid) || ctx.Err() != nil {
				return err
			}
			unproved = err // the node of another row may prove it
		}
	}
	return unproved
}

// differ returns the error for a cell that is another one in its row, which was verified, than in its column. The row's
// node can prove that.
func (c *rowCheck) differ(ctx context.Context, row, column int, tree *shards.Expansion) error {
	b := c.blob
	m := &b.com.Members()[gather.Owners(b.com, b.id, shards.Primary)[row]]
	openings, err := b.prove(ctx, m, row, column)
	var proof *shards.CellProof
	if err == nil {
		proof, err = shards.NewCellProof(b.meta, row, column, openings[0], tree.Opening(row))
	}
	if err != nil {
		return fmt.Errorf("row %d and column %d differ where they cross: %w", row, column, ErrInvalidBlob)
	}
	return b.c.proved(ctx, b.com, b.id, proof)
}

// prove asks the node of a row to prove the hash of a cell, in short: there are others.
func (b *Blob) prove(ctx context.Context, m *certs.Member, row, column int) ([]shards.Opening, error) {
	ctx, cancel := context.WithTimeout(ctx, proofTime)
	defer cancel()
	if err := b.c.nodes.Connect(ctx, m.Node); err != nil {
		return nil, err
	}
	openings, err := b.c.nodes.Leaves(ctx, m.Node, b.id, shards.Primary, row, []int{column}, b.com.Params().ProofSize())
	if err == nil {
		err = b.meta.VerifyOpenings(shards.Primary, row, []int{column}, openings)
	}
	return openings, err
}
