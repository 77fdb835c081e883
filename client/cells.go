package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"walrus/certs"
	"walrus/gather"
	"walrus/p2p"
	"walrus/shards"
)

const (
	// columnCells is the number of data rows with which the columns of a batch are compared. docs/wrong-encodings.md has
	// what they miss.
	columnCells = 8
	// cellRequests bounds the requests for cells under way for one batch or read.
	cellRequests = 8
	// checkPatience: once everything else is there, a read waits this long for the cells that it compares. Nodes that do
	// not answer must not hold up reads.
	checkPatience = 500 * time.Millisecond
	// proofNodes is the number of nodes that get the proof that a blob is invalid, proofTime the time for that.
	proofNodes, proofTime = 4, 3 * time.Second
)

// rowCells has the hashes of a row's symbols where it crosses some columns.
type rowCells struct {
	row    int
	leaves []shards.Hash
	// openings prove the leaves; nil if they were computed from bytes that nobody has verified.
	openings []shards.Opening
	err      error
}

// bytes returns the bytes that were received.
func (a *rowCells) bytes(meta *shards.Metadata) int64 {
	switch {
	case a.err != nil:
		return 0
	case a.openings != nil:
		return int64(len(a.openings)*(1+meta.Params().ProofSize())) * shards.HashSize
	}
	return int64(len(a.leaves)) * meta.Layout(shards.Primary).SymbolSize
}

// cellCheck compares the columns of a batch with rows while the columns are fetched.
type cellCheck struct {
	r       *columnReader
	columns []int
	stop    context.CancelFunc
	ended   chan struct{} // closed when all have answered that will

	mu      sync.Mutex
	answers []rowCells // guarded by mu
}

// checkCells begins to ask for the cells of columns, in enough random data rows, or in all of them.
func (r *columnReader) checkCells(ctx context.Context, columns []int) *cellCheck {
	ctx, stop := context.WithCancel(ctx)
	c := &cellCheck{r: r, columns: columns, stop: stop, ended: make(chan struct{})}
	want, holders := min(columnCells, r.params.Rows()), r.holders.Clone()
	if r.strict {
		want = r.params.Rows()
	}
	owner := gather.Owners(r.com, r.id, shards.Primary)
	go func() {
		defer close(c.ended)
		var g sync.WaitGroup
		defer g.Wait()
		answers, flying, good := make(chan rowCells, r.params.Rows()), 0, 0
		take := func() {
			a := <-answers
			c.mu.Lock()
			defer c.mu.Unlock()
			c.answers = append(c.answers, a)
			if flying--; a.err == nil {
				good++
			}
		}
		for _, row := range rand.Perm(r.params.Rows()) {
			for flying > 0 && flying >= min(want-good, cellRequests) {
				take()
			}
			if good >= want || ctx.Err() != nil {
				break
			}
			if holders.Out(owner[row]) || holders.Silent(owner[row]) {
				continue
			}
			flying++
			g.Go(func() { answers <- r.cells(ctx, &r.com.Members()[owner[row]], row, columns) })
		}
		for flying > 0 {
			take()
		}
	}()
	return c
}

// close ends all requests.
func (c *cellCheck) close() {
	c.stop()
	<-c.ended
}

// cells asks a node for the cells of its row. A row's own symbols are bytes of the sliver: where those of the columns
// lie together they are read. Otherwise the node proves their hashes, which costs it more.
func (r *columnReader) cells(ctx context.Context, m *certs.Member, row int, columns []int) rowCells {
	a := rowCells{row: row}
	if a.err = r.c.nodes.Connect(ctx, m.Node); a.err != nil {
		return a
	}
	layout := r.meta.Layout(shards.Primary)
	first, last := columns[0], columns[0]
	for _, column := range columns {
		first, last = min(first, column), max(last, column)
	}
	if layout.Strips() > 1 || last-first >= 2*len(columns) {
		a.openings, a.err = r.prove(ctx, m, shards.Primary, row, columns)
		for _, o := range a.openings {
			a.leaves = append(a.leaves, o.Leaf)
		}
		return a
	}
	size := layout.SymbolSize
	body, err := r.c.nodes.FetchSliver(ctx, m.Node, r.id, shards.Primary, row, int64(first)*size, int64(last-first+1)*size)
	if err != nil {
		a.err = err
		return a
	}
	defer func() { _ = body.Close() }()
	symbols := make([]byte, int64(last-first+1)*size)
	if _, a.err = io.ReadFull(body, symbols); a.err == nil {
		for _, column := range columns {
			a.leaves = append(a.leaves, shards.Symbol{Data: symbols[int64(column-first)*size:][:size]}.Opening().Leaf)
		}
	}
	return a
}

// prove asks a node to prove the hashes of symbols of its sliver.
func (r *columnReader) prove(ctx context.Context, m *certs.Member, axis shards.Axis, index int,
	targets []int) ([]shards.Opening, error) {
	openings, err := r.c.nodes.Leaves(ctx, m.Node, r.id, axis, index, targets, r.params.ProofSize())
	if err == nil {
		err = r.meta.VerifyOpenings(axis, index, targets, openings)
	}
	return openings, err
}

// compare waits for the cells and compares them with the columns, which have been verified. It returns an
// *InvalidBlobError if they differ. A strict reader needs all data rows.
func (c *cellCheck) compare(ctx context.Context, have map[int]column) error {
	patience := checkPatience
	if c.r.strict {
		patience = time.Hour
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c.ended:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	c.close()
	compared := map[int]bool{}
	for _, a := range c.answers {
		c.r.res.Fetched += a.bytes(c.r.meta)
		err := a.err
		if err == nil {
			err = c.compareRow(ctx, a, have)
		}
		if errors.Is(err, ErrInvalidBlob) {
			return err
		}
		if err == nil {
			compared[a.row] = true
		} else if gather.Judge(err) == gather.Lied {
			c.r.holders.Fail(time.Now(), c.owner(a.row), err)
		}
	}
	if c.r.strict {
		return c.compareRest(ctx, compared, have)
	}
	return nil
}

func (c *cellCheck) owner(row int) int {
	return gather.Owners(c.r.com, c.r.id, shards.Primary)[row]
}

// compareRow compares a row's cells with the columns. A difference that the row's node does not prove is a lie of that
// node.
func (c *cellCheck) compareRow(ctx context.Context, a rowCells, have map[int]column) error {
	for i, index := range c.columns {
		if a.leaves[i] == have[index].leaves[a.row] {
			continue
		}
		opening := shards.Opening{}
		if a.openings != nil {
			opening = a.openings[i]
		} else {
			m := &c.r.com.Members()[c.owner(a.row)]
			openings, err := c.r.prove(ctx, m, shards.Primary, a.row, []int{index})
			if err != nil {
				return err
			}
			if opening = openings[0]; opening.Leaf == have[index].leaves[a.row] {
				return fmt.Errorf("%w: its node sent other bytes of row %d than it proves", shards.ErrSymbol, a.row)
			}
		}
		tree, err := c.r.meta.NewExpansion(shards.Secondary, index, have[index].leaves)
		if err != nil {
			return err
		}
		proof, err := shards.NewCellProof(c.r.meta, a.row, index, opening, tree.Opening(a.row))
		if err != nil {
			return err
		}
		return c.r.c.proved(ctx, c.r.com, c.r.id, proof)
	}
	return nil
}

// compareRest makes the rows whose nodes have not delivered from other columns, and compares them.
func (c *cellCheck) compareRest(ctx context.Context, compared map[int]bool, have map[int]column) error {
	r := c.r
	var missing []int
	for row := range r.params.Rows() {
		if !compared[row] {
			missing = append(missing, row)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	rec := r.gather(ctx, shards.Primary, missing, r.holders.Clone())
	r.holders.Learn(rec.got.Holders)
	r.res.Fetched += rec.got.Traffic
	if rec.err != nil {
		return rec.err
	}
	layout := r.meta.Layout(shards.Primary)
	for k, row := range missing {
		sliver, err := r.meta.Rebuild(shards.Primary, row, rec.got.Of(k))
		if errors.Is(err, shards.ErrInconsistent) {
			return fmt.Errorf("row %d: %w", row, ErrInvalidBlob)
		}
		if err != nil {
			return fmt.Errorf("make row %d from symbols: %w", row, err)
		}
		plain := make([]byte, len(sliver))
		for t := range layout.Strips() {
			off, size := layout.Strip(t)
			layout.Scatter(plain, t, sliver[off:][:size])
		}
		for _, index := range c.columns {
			symbol := plain[int64(index)*layout.SymbolSize:][:layout.SymbolSize]
			if (shards.Symbol{Data: symbol}).Opening().Leaf != have[index].leaves[row] {
				return fmt.Errorf("row %d and column %d: %w", row, index, ErrInvalidBlob)
			}
		}
	}
	return nil
}

// proved hands a proof that a blob is invalid to some nodes, and returns the error that says so.
func (c *Client) proved(ctx context.Context, com *certs.Committee, id shards.BlobID, proof *shards.CellProof) error {
	c.opened.forget(id)
	ctx, cancel := context.WithTimeout(ctx, proofTime)
	defer cancel()
	raw := proof.Marshal()
	var g sync.WaitGroup
	members := com.Members()
	for _, i := range rand.Perm(len(members))[:min(len(members), proofNodes)] {
		g.Go(func() {
			err := c.nodes.Connect(ctx, members[i].Node)
			if err == nil {
				err = c.nodes.PutProof(ctx, members[i].Node, id, raw)
			}
			if err != nil {
				c.log.Debug("a node did not take the proof that a blob is invalid", "node", members[i].Name,
					"blob", id.String(), "err", err)
			}
		})
	}
	g.Wait()
	return &InvalidBlobError{BlobID: id, Cell: proof}
}

// orInvalid returns the ledger's mark instead of err if nodes refused to deliver because the blob is invalid, or too
// few delivered.
func (c *Client) orInvalid(ctx context.Context, id shards.BlobID, err error) error {
	var few *NotEnoughError
	if !errors.As(err, &few) && !errors.Is(err, p2p.ErrInvalid) {
		return err
	}
	if says := c.stored(ctx, id); errors.Is(says, ErrInvalidBlob) {
		c.opened.forget(id)
		return fmt.Errorf("read %s: %w", id, says)
	}
	return err
}
