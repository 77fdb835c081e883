package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"walrus/p2p"
	"walrus/shards"
)

// symbolPatience: after this long without an answer, other nodes are asked as well. A node has to read and expand a
// whole sliver to answer.
const symbolPatience = 3 * time.Second

// recovery collects the symbols to make columns from: one symbol for each target, with its proof, from each of p
// primary slivers on any nodes. The goroutine of run owns the fields.
type recovery struct {
	r       *columnReader // only its constant fields are used
	targets []int         // columns

	got     map[int][][]byte // by primary sliver: a symbol for each target
	pending []int            // primary slivers still to ask for
	dead    map[int]bool     // by committee index: not asked again
	slow    map[int]bool     // by committee index: answered late; asked last
	busy    map[int]int      // by primary sliver: how often its node was busy
	errs    map[int]error    // by committee index: the newest error
	traffic int64            // bytes of symbols and proofs
	err     error            // result of run
}

// symbolRequest asks for the symbols of one primary sliver.
type symbolRequest struct {
	sliver  int
	start   time.Time
	symbols []shards.Symbol
	err     error
}

func newRecovery(r *columnReader, targets []int) *recovery {
	return &recovery{
		r: r, targets: targets, pending: rand.Perm(r.params.Shards()), // random order spreads the work over the nodes
		got: map[int][][]byte{}, dead: maps.Clone(r.bad), slow: maps.Clone(r.suspect), busy: map[int]int{}, errs: map[int]error{},
	}
}

// run asks until enough slivers gave their symbols. Every request it started has ended when it returns.
func (c *recovery) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var g errgroup.Group
	defer func() {
		cancel()
		_ = g.Wait()
	}()
	answers := make(chan *symbolRequest, c.r.params.Shards()*(1+maxBusy))
	flying := map[*symbolRequest]bool{} // false: late, no longer counted on
	tick := time.NewTicker(readTick)
	defer tick.Stop()
	need := c.r.params.Rows()
	for len(c.got) < need {
		counted := 0
		for _, on := range flying {
			if on {
				counted++
			}
		}
		for ; counted < min(maxWindow, need-len(c.got)); counted++ {
			sliver, ok := c.next()
			if !ok {
				break
			}
			req := &symbolRequest{sliver: sliver, start: time.Now()}
			flying[req] = true
			g.Go(func() error {
				req.symbols, req.err = c.fetch(ctx, sliver)
				answers <- req
				return nil
			})
		}
		if len(flying) == 0 {
			return c.notEnough()
		}
		select {
		case req := <-answers:
			delete(flying, req)
			c.record(req)
		case <-tick.C:
			for req := range flying {
				if time.Since(req.start) > symbolPatience {
					flying[req] = false
					c.slow[c.owner(req.sliver)] = true
				}
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// owner returns the committee index of the node holding primary sliver i.
func (c *recovery) owner(i int) int {
	m := c.r.com.Owner(c.r.params.ShardOfPair(c.r.id, c.r.params.PairOfSliver(shards.Primary, i)))
	k, _ := c.r.com.Member(m.Node)
	return k
}

// next picks a sliver to ask for: none of dead nodes, and those of slow nodes last.
func (c *recovery) next() (int, bool) {
	at := -1
	for k, i := range c.pending {
		o := c.owner(i)
		if c.dead[o] {
			continue
		}
		if !c.slow[o] {
			at = k
			break
		}
		if at < 0 {
			at = k
		}
	}
	if at < 0 {
		return 0, false
	}
	i := c.pending[at]
	c.pending = append(c.pending[:at], c.pending[at+1:]...)
	return i, true
}

// record handles the outcome of a request.
func (c *recovery) record(req *symbolRequest) {
	owner := c.owner(req.sliver)
	if err := req.err; err != nil {
		if errors.Is(err, p2p.ErrBusy) && c.busy[req.sliver] < maxBusy {
			c.busy[req.sliver]++
			c.pending = append(c.pending, req.sliver)
			return
		}
		c.errs[owner] = err
		// a node that lacks this sliver may have its others
		if !errors.Is(err, p2p.ErrNotFound) && !errors.Is(err, p2p.ErrCorrupt) && !errors.Is(err, p2p.ErrBusy) {
			c.dead[owner] = true
		}
		return
	}
	row := make([][]byte, len(req.symbols))
	for i := range req.symbols {
		row[i] = req.symbols[i].Data
	}
	c.got[req.sliver] = row
	delete(c.slow, owner)
	c.traffic += int64(len(row)) * c.symbolBytes()
}

// symbolBytes returns the bytes of a symbol and its proof on the wire.
func (c *recovery) symbolBytes() int64 {
	return c.r.layout.SymbolSize + int64(c.r.params.ProofSize()*len(shards.Hash{}))
}

// fetch fetches the symbols of a primary sliver and verifies each.
func (c *recovery) fetch(ctx context.Context, sliver int) ([]shards.Symbol, error) {
	node := c.r.com.Members()[c.owner(sliver)].Node
	if err := c.r.c.connect(ctx, node); err != nil {
		return nil, err
	}
	most := int(min(p2p.MaxSymbolsBytes/c.symbolBytes(), p2p.MaxTargets))
	if most == 0 {
		return nil, fmt.Errorf("symbols of %d bytes are above the limit of one response, %d: read the quilt as a blob instead",
			c.symbolBytes(), p2p.MaxSymbolsBytes)
	}
	var all []shards.Symbol
	for rest := c.targets; len(rest) > 0; {
		part := rest[:min(most, len(rest))]
		rest = rest[len(part):]
		symbols, err := c.r.c.swarm.Symbols(ctx, node, c.r.id, shards.Primary, sliver, part, c.r.layout.SymbolSize, c.r.params.ProofSize())
		if err != nil {
			return nil, err
		}
		claims := make([]shards.Claim, len(part))
		for i, target := range part {
			claims[i] = shards.Claim{Index: sliver, Target: target, Symbol: symbols[i]}
		}
		if err := c.r.meta.VerifySymbols(shards.Primary, claims); err != nil {
			return nil, fmt.Errorf("served wrong symbols of primary sliver %d: %w", sliver, err)
		}
		all = append(all, symbols...)
	}
	return all, nil
}

// symbolsOf returns the symbols for the i-th target, by primary sliver.
func (c *recovery) symbolsOf(i int) map[int][]byte {
	out := make(map[int][]byte, len(c.got))
	for sliver, row := range c.got {
		out[sliver] = row[i]
	}
	return out
}

func (c *recovery) notEnough() error {
	e := &NotEnoughError{
		Op: "read quilt " + c.r.id.String(), Did: "gave their symbols for what is missing", Have: len(c.got), Needed: c.r.params.Rows(),
		Shards: c.r.params.Shards(), Advice: "try again when more nodes are up",
	}
	members := c.r.com.Members()
	for i := range members {
		if err := c.errs[i]; err != nil {
			e.Nodes = append(e.Nodes, badNode(&members[i], err))
		} else if c.dead[i] || c.slow[i] {
			e.Nodes = append(e.Nodes, badNode(&members[i], errSilent))
		}
	}
	return e
}

// rebuild makes a column from verified symbols. A column that does not match the metadata proves that the writer
// encoded the blob wrongly.
func (r *columnReader) rebuild(index int, symbols map[int][]byte) (column, error) {
	sliver, err := r.meta.Rebuild(shards.Secondary, index, symbols)
	if errors.Is(err, shards.ErrInconsistent) {
		return column{}, fmt.Errorf("column %d: %w", index, ErrInconsistent)
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
