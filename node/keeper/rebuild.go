package keeper

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"walrus/p2p"
	"walrus/shards"
)

const (
	// symbolPatience: after this long without an answer, other members are asked as well. A member reads and expands
	// a whole sliver for one request.
	symbolPatience = 3 * time.Second
	// maxBusy limits how often a busy member is asked for the symbols of one crossing sliver.
	maxBusy = 5
	// symbolTimeout bounds one request as a whole.
	symbolTimeout = 2 * time.Minute
)

// rebuild collects the symbols from which slivers of one blob along one axis are rebuilt. It takes them from enough
// crossing slivers, on whatever members: from each one symbol per target, with its proof. Its fields are owned by
// run.
type rebuild struct {
	from    *repairer
	at      seat // of the current epoch
	meta    *shards.Metadata
	id      shards.BlobID
	axis    shards.Axis
	targets []int // sliver indices along axis

	got     map[int][][]byte // by crossing sliver: a symbol for each target
	pending []int            // crossing slivers to ask for, in order
	dead    map[int]bool     // members not to ask any more, by committee index
	slow    map[int]bool     // members that were slow or busy; asked last
	traffic int64            // bytes of symbols and proofs fetched
	errs    map[int]error    // the latest error of each member, by committee index, for explain
	busy    map[int]int      // by crossing sliver: how often its member was busy
}

// symbolRequest asks for the symbols of one crossing sliver.
type symbolRequest struct {
	crossing int
	start    time.Time
	symbols  []shards.Symbol
	err      error
}

// collect gets the symbols from which the slivers of a blob at the indices targets along axis are rebuilt: for each
// target, the symbols by crossing sliver. traffic counts the bytes fetched, after an error too.
func (r *repairer) collect(ctx context.Context, meta *shards.Metadata, axis shards.Axis, targets []int) (symbols []map[int][]byte, traffic int64, err error) {
	at, err := r.shelf.seats.now()
	if err != nil {
		return nil, 0, err
	}
	c := &rebuild{from: r, at: at, meta: meta, id: meta.ID(), axis: axis, targets: targets}
	if err := c.run(ctx); err != nil {
		return nil, c.traffic, err
	}
	for i := range targets {
		symbols = append(symbols, c.symbolsOf(i))
	}
	return symbols, c.traffic, nil
}

// run sends requests until enough crossing slivers have given their symbols. It returns after every request it
// started.
func (r *rebuild) run(ctx context.Context) error {
	r.got, r.dead, r.slow = map[int][][]byte{}, map[int]bool{}, map[int]bool{}
	r.errs, r.busy = map[int]error{}, map[int]int{}
	r.plan()
	ctx, cancel := context.WithCancel(ctx)
	var g errgroup.Group
	defer func() {
		cancel()
		_ = g.Wait()
	}()
	answers := make(chan *symbolRequest, r.meta.Params().Shards())
	flying := map[*symbolRequest]bool{} // false: late, and another was sent in its place
	tick := time.NewTicker(symbolPatience / 3)
	defer tick.Stop()
	for len(r.got) < r.need() {
		for counted := count(flying); counted < min(r.from.cfg.Requests, r.need()-len(r.got)); counted++ {
			q, ok := r.next()
			if !ok {
				break
			}
			req := &symbolRequest{crossing: q, start: time.Now()}
			flying[req] = true
			g.Go(func() error {
				req.symbols, req.err = r.ask(ctx, q)
				answers <- req
				return nil
			})
		}
		if len(flying) == 0 {
			return fmt.Errorf("have %d of %d symbols for each of %d %s slivers: %w", len(r.got), r.need(), len(r.targets), r.axis, r.explain())
		}
		select {
		case req := <-answers:
			delete(flying, req)
			r.record(req)
		case now := <-tick.C:
			for req := range flying {
				if now.Sub(req.start) > symbolPatience {
					flying[req] = false
					r.slow[r.owner(req.crossing)] = true
				}
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// explain joins the members' errors on one line.
func (r *rebuild) explain() error {
	var why []string
	for i, err := range r.errs {
		why = append(why, r.at.Members()[i].Name+": "+strings.Join(strings.Fields(err.Error()), " "))
	}
	slices.Sort(why)
	return errors.New(strings.Join(why, "; "))
}

func count(flying map[*symbolRequest]bool) int {
	n := 0
	for _, counted := range flying {
		if counted {
			n++
		}
	}
	return n
}

func (r *rebuild) need() int { return r.meta.Params().SourceSymbols(r.axis) }

// owner returns the committee index of the member that holds crossing sliver q.
func (r *rebuild) owner(q int) int {
	shard := r.meta.Params().ShardOfPair(r.id, r.meta.Params().PairOfSliver(r.axis.Other(), q))
	i, _ := r.at.Member(r.at.Owner(shard).Node)
	return i
}

// plan orders the crossing slivers: ours first, as they cost no traffic, then the others at random, to spread the
// work over the network.
func (r *rebuild) plan() {
	self, _ := r.at.Member(r.at.self)
	var own, others []int
	for _, q := range rand.Perm(r.meta.Params().Shards()) {
		if r.owner(q) == self {
			own = append(own, q)
		} else {
			others = append(others, q)
		}
	}
	r.pending = append(own, others...)
}

// next takes a crossing sliver from the plan: never from dead members, from slow ones last.
func (r *rebuild) next() (q int, ok bool) {
	late := -1
	for i, q := range r.pending {
		switch o := r.owner(q); {
		case r.dead[o]:
		case r.slow[o]:
			if late < 0 {
				late = i
			}
		default:
			r.pending = append(r.pending[:i], r.pending[i+1:]...)
			return q, true
		}
	}
	if late < 0 {
		return 0, false
	}
	q = r.pending[late]
	r.pending = append(r.pending[:late], r.pending[late+1:]...)
	return q, true
}

// ask gets the verified symbols of crossing sliver q.
func (r *rebuild) ask(ctx context.Context, q int) ([]shards.Symbol, error) {
	if r.at.Members()[r.owner(q)].Node == r.at.self {
		return r.local(q)
	}
	return r.fetch(ctx, q)
}

// record stores the symbols of an answer, or decides what its error means for the member.
func (r *rebuild) record(req *symbolRequest) {
	owner := r.owner(req.crossing)
	m := &r.at.Members()[owner]
	if err := req.err; err != nil {
		if errors.Is(err, shards.ErrSymbol) || errors.Is(err, p2p.ErrProtocol) {
			r.from.log.Warn("peer served wrong symbols", "peer", m.Name, "blob", r.id.String(), "err", err)
		}
		// a member that lacks this sliver or is busy may still have its other slivers
		if !errors.Is(err, p2p.ErrNotFound) && !errors.Is(err, p2p.ErrCorrupt) && !errors.Is(err, p2p.ErrBusy) && m.Node != r.at.self {
			r.dead[owner] = true
		}
		if m.Node != r.at.self {
			r.errs[owner] = err
		}
		if r.busy[req.crossing]++; errors.Is(err, p2p.ErrBusy) && r.busy[req.crossing] < maxBusy {
			r.pending = append(r.pending, req.crossing)
			r.slow[owner] = true // ask others first
		}
		return
	}
	row := make([][]byte, len(req.symbols))
	for i := range req.symbols {
		row[i] = req.symbols[i].Data
	}
	r.got[req.crossing] = row
	if m.Node != r.at.self {
		r.traffic += int64(len(req.symbols)) * symbolBytes(r.meta)
	}
}

// local takes the symbols from a sliver of our own, if we have it.
func (r *rebuild) local(q int) ([]shards.Symbol, error) {
	ref, err := r.from.shelf.locate(r.id, r.axis.Other(), q)
	if err != nil {
		return nil, err
	}
	if ok, err := r.from.shelf.HasSliver(ref); err != nil || !ok {
		return nil, errors.Join(p2p.ErrNotFound, err)
	}
	return r.from.library.symbols(r.meta, ref, q, r.targets)
}

// fetch asks the owner of q, in as many requests as the limit on one response requires, and verifies every symbol.
func (r *rebuild) fetch(ctx context.Context, q int) ([]shards.Symbol, error) {
	ctx, cancel := context.WithTimeout(ctx, symbolTimeout)
	defer cancel()
	node := r.at.Members()[r.owner(q)].Node
	if err := r.from.swarm.connect(ctx, node); err != nil {
		return nil, err
	}
	params := r.meta.Params()
	most := int(p2p.MaxSymbolsBytes / symbolBytes(r.meta))
	if most == 0 {
		return nil, fmt.Errorf("symbols of %d bytes are above the limit of %d of one response: the blob is too large for a network of %d shards",
			symbolBytes(r.meta), p2p.MaxSymbolsBytes, params.Shards())
	}
	var all []shards.Symbol
	for rest := r.targets; len(rest) > 0; {
		part := rest[:min(most, len(rest))]
		rest = rest[len(part):]
		symbols, err := r.from.swarm.Symbols(ctx, node, r.id, r.axis.Other(), q, part, params.SymbolSize(r.meta.Length), params.ProofSize())
		if err != nil {
			return nil, err
		}
		claims := make([]shards.Claim, len(part))
		for i, target := range part {
			claims[i] = shards.Claim{Index: q, Target: target, Symbol: symbols[i]}
		}
		if err := r.meta.VerifySymbols(r.axis.Other(), claims); err != nil {
			return nil, err
		}
		all = append(all, symbols...)
	}
	return all, nil
}

// symbolsOf returns the symbols for the i-th target, by crossing sliver.
func (r *rebuild) symbolsOf(i int) map[int][]byte {
	out := make(map[int][]byte, len(r.got))
	for q, row := range r.got {
		out[q] = row[i]
	}
	return out
}
