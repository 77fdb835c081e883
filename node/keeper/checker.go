package keeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"walrus/certs"
	"walrus/internal/pause"
	"walrus/p2p"
	"walrus/shards"
)

const (
	// checkCells is the number of crossing lines with which each of our lines of a newly certified blob is compared. A
	// wrong row differs from the right one in a third of its cells at least, a wrong column in two thirds: so 16 cells
	// miss a wrong row in 2 of 1000 cases.
	checkCells = 16
	// checkBytes bounds the answers for one blob and axis. A node with more than 93 of 1000 shards compares fewer cells
	// of each line.
	checkBytes = 512 << 10
	// checkLines is the number of lines along an axis that are read for a check whose hashes are not at hand.
	checkLines = 2
	// A newly certified blob is checked after checkDelay, when most slivers have come, and at a random time within
	// checkSpread from then.
	checkDelay, checkSpread = 2 * time.Second, 6 * time.Second
	// maxChecks bounds the blobs that wait to be checked, 48 bytes each. Others are left to the scrub.
	maxChecks = 4096
	// checkWorkers is the number of blobs checked at a time, checkRequests the requests under way for one of them.
	checkWorkers, checkRequests = 2, 4
	// checkRest is the shortest pause between the checks of old blobs, checkStart the pause after the start.
	checkRest, checkStart = time.Second, time.Minute
	// checkRun is the number of old blobs that are drawn at a time. In a large store a draw reads a block of each index
	// table that is not merged, so some hundred of KiB.
	checkRun = 64
)

// checker compares cells of our slivers with what crossing slivers of other members have there: of each blob soon after
// its certificate, and of random blobs as long as the node runs.
type checker struct {
	shelf     *shelf
	chain     chain
	swarm     swarm
	expander  *expander
	crossings *crossings
	invalids  *invalids
	period    time.Duration // Config.Scrub: in this time as many old blobs are checked as there are
	meters    *meters
	log       *slog.Logger

	wake  bell
	mu    sync.Mutex
	queue []dueCheck             // guarded by mu, as is queued; in no order
	known map[shards.BlobID]bool // in the queue
}

type dueCheck struct {
	blob shards.BlobID
	due  time.Time
}

// later lets a newly certified blob be checked after a while.
func (c *checker) later(id shards.BlobID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[id] || len(c.queue) >= maxChecks {
		return
	}
	c.known[id] = true
	c.queue = append(c.queue, dueCheck{id, time.Now().Add(checkDelay + rand.N(checkSpread))})
	c.wake.ring()
}

// next takes a blob that is due. Otherwise wait tells when to look again; 0 means when woken.
func (c *checker) next(now time.Time) (id shards.BlobID, ok bool, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := -1
	for i := range c.queue {
		if first < 0 || c.queue[i].due.Before(c.queue[first].due) {
			first = i
		}
	}
	if first < 0 {
		return id, false, 0
	}
	if wait = c.queue[first].due.Sub(now); wait > 0 {
		return id, false, wait
	}
	id = c.queue[first].blob
	last := len(c.queue) - 1
	c.queue[first] = c.queue[last]
	c.queue = c.queue[:last]
	delete(c.known, id)
	return id, true, 0
}

// run checks new blobs, and old ones at the pace of the period.
func (c *checker) run(ctx context.Context) error {
	var g errgroup.Group
	for range checkWorkers {
		g.Go(func() error {
			for ctx.Err() == nil {
				id, ok, wait := c.next(time.Now())
				if ok {
					c.wake.ring() // another worker may take the next one
					c.check(ctx, id, checkCells)
					continue
				}
				if wait == 0 {
					wait = time.Hour
				}
				pause.Until(ctx, wait, c.wake)
			}
			return nil
		})
	}
	g.Go(func() error { c.patrol(ctx); return nil })
	return g.Wait()
}

// patrol checks one cell of random blobs, without end. It draws runs of neighbours, which have nothing in common but
// the beginnings of their IDs.
func (c *checker) patrol(ctx context.Context) {
	if !pause.For(ctx, checkStart) {
		return
	}
	for {
		var after shards.BlobID
		for i := range after {
			after[i] = byte(rand.Uint32())
		}
		run, err := draw(c.shelf.Certificates, after)
		stats, serr := c.shelf.Stats()
		rest := max(checkRest, c.period/time.Duration(max(stats.Certificates, 1)))
		if serr != nil || (err != nil || len(run) == 0) && !pause.For(ctx, rest) {
			return
		}
		rand.Shuffle(len(run), func(i, k int) { run[i], run[k] = run[k], run[i] })
		for _, id := range run {
			if !pause.For(ctx, rest) {
				return
			}
			c.check(ctx, id, 1)
		}
	}
}

// draw returns up to checkRun certified blobs from an ID on. After the last comes the first, so that all come equally
// often. list returns blobs in the order of their IDs.
func draw(list func(after shards.BlobID, limit int) ([]shards.BlobID, error), after shards.BlobID) ([]shards.BlobID, error) {
	run, err := list(after, checkRun)
	if err != nil || len(run) == checkRun {
		return run, err
	}
	first, err := list(shards.BlobID{}, checkRun-len(run))
	for _, id := range first {
		if bytes.Compare(id[:], after[:]) <= 0 {
			run = append(run, id)
		}
	}
	return run, err
}

// check compares our lines of a certified blob with each other, and with a number of lines of other members along each
// axis.
func (c *checker) check(ctx context.Context, id shards.BlobID, crossing int) {
	if c.chain.certified(id) != nil {
		return
	}
	meta, err := c.shelf.metadata(id)
	if err != nil {
		return
	}
	at, err := c.shelf.seats.now()
	if err != nil || len(at.shards) == 0 {
		return
	}
	if own, differs, err := c.crossings.differing(ctx, meta, at); err == nil && differs {
		c.proveOwn(ctx, meta, own)
		return
	}
	for _, axis := range axes {
		lines := c.lines(ctx, meta, axis, at)
		if len(lines) == 0 {
			continue
		}
		if proof := c.compare(ctx, meta, axis, at, lines, crossing); proof != nil {
			c.invalids.take(id, evidence{cell: proof}, "found", "by comparing with other members")
			return
		}
	}
}

// own refuses a blob whose rows and columns here contradict each other, and proves that.
func (c *checker) own(ctx context.Context, id shards.BlobID, at seat) error {
	meta, err := c.shelf.metadata(id)
	if err != nil {
		return wireError(err)
	}
	found, differs, err := c.crossings.differing(ctx, meta, at)
	if err != nil {
		return wireError(err)
	}
	if !differs {
		return nil
	}
	c.proveOwn(ctx, meta, found)
	return fmt.Errorf("%w: its row %d and its column %d differ where they cross", p2p.ErrInvalid, found.row, found.column)
}

// proveOwn proves that a row and a column of ours differ at a cell.
func (c *checker) proveOwn(ctx context.Context, meta *shards.Metadata, at cell) {
	id, self := meta.ID(), visitor{c.shelf.seats.self, true}
	row, err := c.expander.tree(ctx, self, id, shards.Primary, at.row)
	var column *shards.Expansion
	if err == nil {
		column, err = c.expander.tree(ctx, self, id, shards.Secondary, at.column)
	}
	var proof *shards.CellProof
	if err == nil {
		proof, err = shards.NewCellProof(meta, at.row, at.column, row.Opening(at.column), column.Opening(at.row))
	}
	if err != nil {
		c.log.Warn("slivers of ours contradict each other, and that cannot be proved now", "blob", id.String(), "row", at.row,
			"column", at.column, "err", err)
		return
	}
	c.invalids.take(id, evidence{cell: proof}, "found", "by comparing our own slivers")
}

// lines returns the hashes of our lines along axis, by index: of all that are at hand, or else of checkLines.
func (c *checker) lines(ctx context.Context, meta *shards.Metadata, axis shards.Axis, at seat) map[int][]shards.Hash {
	id, lines := meta.ID(), map[int][]shards.Hash{}
	all := c.crossings.lines(id, axis, at)
	for _, l := range all {
		if l.hashes != nil {
			lines[l.index] = l.hashes
		}
	}
	if len(lines) > 0 {
		return lines
	}
	for _, i := range rand.Perm(len(all))[:min(len(all), checkLines)] {
		if tree, err := c.expander.tree(ctx, visitor{at.self, true}, id, axis, all[i].index); err == nil {
			lines[all[i].index] = tree.Leaves()
		}
	}
	return lines
}

// compare asks other members for the cells of random crossing lines, until as many as wanted have answered. It returns
// a proof if one contradicts our lines.
func (c *checker) compare(ctx context.Context, meta *shards.Metadata, axis shards.Axis, at seat,
	lines map[int][]shards.Hash, want int) (proof *shards.CellProof) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex // guards proof and answered
	answered := 0
	var g errgroup.Group
	g.SetLimit(checkRequests)
	perLine := max(1, checkBytes/want/((1+c.shelf.params.ProofSize())*shards.HashSize))
	for tried, index := range rand.Perm(c.shelf.params.Shards()) {
		mu.Lock()
		enough := answered >= want || proof != nil || tried >= 4*want+len(at.shards)
		mu.Unlock()
		if enough || ctx.Err() != nil {
			break
		}
		owner := at.Owner(c.shelf.params.ShardOfPair(meta.ID(), c.shelf.params.PairOfSliver(axis.Other(), index)))
		if owner.Node == at.self {
			continue
		}
		g.Go(func() error {
			targets := some(lines, min(perLine, p2p.MaxLeaves))
			openings, err := c.ask(ctx, meta, axis.Other(), owner, index, targets)
			if err != nil {
				return nil
			}
			found := c.contradiction(meta, axis, lines, index, targets, openings)
			mu.Lock()
			defer mu.Unlock()
			answered++
			if found != nil {
				proof = found
			}
			return nil
		})
	}
	_ = g.Wait()
	return proof
}

// some returns up to most indices of lines, at random.
func some(lines map[int][]shards.Hash, most int) []int {
	list := make([]int, 0, len(lines))
	for i := range lines {
		list = append(list, i)
	}
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:min(len(list), most)]
}

// ask fetches the hashes of symbols of another member's sliver, and verifies them.
func (c *checker) ask(ctx context.Context, meta *shards.Metadata, axis shards.Axis, owner *certs.Member, index int,
	targets []int) ([]shards.Opening, error) {
	if err := c.swarm.connect(ctx, owner.Node); err != nil {
		return nil, err
	}
	openings, err := bounded(ctx, func(ctx context.Context) ([]shards.Opening, error) {
		return c.swarm.Leaves(ctx, owner.Node, meta.ID(), axis, index, targets, c.shelf.params.ProofSize())
	})
	if err == nil {
		err = meta.VerifyOpenings(axis, index, targets, openings)
	}
	if errors.Is(err, shards.ErrSymbol) || errors.Is(err, p2p.ErrProtocol) {
		c.log.Warn("peer served wrong hashes of symbols", "peer", owner.Name, "blob", meta.ID().String(), "err", err)
	}
	return openings, err
}

// contradiction compares what a crossing line has at targets with our lines. It returns a proof for the first cell that
// differs, or nil.
func (c *checker) contradiction(meta *shards.Metadata, axis shards.Axis, lines map[int][]shards.Hash, index int,
	targets []int, theirs []shards.Opening) *shards.CellProof {
	for i, own := range targets {
		c.meters.cells.Inc()
		if theirs[i].Leaf == lines[own][index] {
			continue
		}
		tree, err := meta.NewExpansion(axis, own, lines[own])
		if err != nil {
			continue
		}
		row, column, inRow, inColumn := own, index, tree.Opening(index), theirs[i]
		if axis == shards.Secondary {
			row, column, inRow, inColumn = index, own, inColumn, inRow
		}
		if proof, err := shards.NewCellProof(meta, row, column, inRow, inColumn); err == nil {
			return proof
		}
	}
	return nil
}
