package gather

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/p2p"
	"walrus/shards"
)

// A request may take requestTime, and a second more for each requestRate bytes it asks for: a holder that trickles
// bytes must not keep a gathering from ending.
const (
	requestTime = 2 * time.Minute
	requestRate = 64 << 10
)

// requestBytes bounds what one request for several slivers asks for. The header is then below a thousandth of the
// answer, and a slow holder delays no more than this.
const requestBytes = 1 << 20

// Swarm asks storage nodes. Errors wrap the sentinels of p2p.
type Swarm interface {
	// Connect finds a node's addresses and dials it, unless connected.
	Connect(ctx context.Context, node peer.ID) error
	// SymbolParts asks for symbols of the expansions of slivers, and for their proofs.
	SymbolParts(ctx context.Context, to peer.ID, q p2p.SymbolQuery) ([]shards.Symbol, error)
}

// Want names the symbols to gather: one for each target, from each of enough crossing slivers.
type Want struct {
	Committee *certs.Committee
	ID        shards.BlobID
	Meta      *shards.Metadata
	Axis      shards.Axis // of the targets
	Targets   []int       // slivers along Axis that the symbols rebuild
	Window    int         // requests counted on at a time
	// Hope bounds the wait for holders that are late, beside the time that their bytes take at requestRate, if all others
	// have answered or failed. 0: as long as a request may take.
	Hope time.Duration
	// Proofs asks for each symbol's proof. Without them nothing is verified: compare what is rebuilt with its root, and
	// call Prove if it does not match.
	Proofs bool
	// Offset and Length ask for a part of each symbol, of whole strips; without proofs. 0: the whole symbol.
	Offset, Length int64
	// Local is asked first and costs no traffic. It is trusted: its symbols are not verified. Empty: nobody.
	Local peer.ID
	// Zero tells which crossing slivers are known to be all zeros: nobody is asked for them. nil: none.
	Zero func(sliver int) bool
	// First lists crossing slivers to ask for before others. A caller that gathers part by part asks for those of the part
	// before: only a sliver that gave all parts of a symbol can prove it.
	First []int
	// Without lists crossing slivers that are not asked for.
	Without map[int]bool
	// Holders says what is known already; nil: nothing. Symbols works on a clone.
	Holders Holders
}

// need is the number of crossing slivers that rebuild a target.
func (w *Want) need() int { return w.Meta.Params().SourceSymbols(w.Axis) }

// length returns the bytes of each symbol that are asked for.
func (w *Want) length() int64 {
	if w.Length > 0 {
		return w.Length
	}
	return w.Meta.Params().SymbolSize(w.Meta.Length) - w.Offset
}

// symbolBytes returns the size of a symbol, with its proof if it has one, on the wire.
func (w *Want) symbolBytes() int64 {
	if !w.Proofs {
		return w.length()
	}
	return w.length() + int64(w.Meta.Params().ProofSize()*shards.HashSize)
}

// targets returns how many targets fit in one request.
func (w *Want) targets() int { return int(min(p2p.MaxSymbolsBytes/w.symbolBytes(), p2p.MaxTargets)) }

// batch returns how many slivers are asked for together.
func (w *Want) batch() int {
	return int(min(max(requestBytes/(w.symbolBytes()*int64(len(w.Targets))), 1), p2p.MaxSlivers))
}

// query asks for symbols of slivers at targets.
func (w *Want) query(slivers, targets []int) p2p.SymbolQuery {
	params := w.Meta.Params()
	q := p2p.SymbolQuery{
		Blob: w.ID, Axis: w.Axis.Other(), Slivers: slivers, Targets: targets,
		SymbolSize: params.SymbolSize(w.Meta.Length), Offset: w.Offset, Length: w.length(),
	}
	if w.Proofs {
		q.ProofLen = params.ProofSize()
	}
	return q
}

// Gathered is the result of Symbols.
type Gathered struct {
	Holders Holders // how each holder behaved
	Traffic int64   // bytes of symbols and proofs that holders sent

	need int
	zero []byte           // the symbol of slivers that are all zeros
	rows map[int][][]byte // by crossing sliver: a symbol for each target
}

// Of returns the symbols for target k of the list, by crossing sliver: enough for shards.Metadata.Rebuild.
func (g *Gathered) Of(k int) map[int][]byte {
	out := make(map[int][]byte, len(g.rows))
	for sliver := range g.rows {
		out[sliver] = g.symbol(sliver, k)
	}
	return out
}

// Sources lists as many of the crossing slivers whose symbols were gathered as rebuild a target, ascending. If a late
// holder has answered after all there are more; those with the lowest indices are chosen.
func (g *Gathered) Sources() []int {
	all := slices.Sorted(maps.Keys(g.rows))
	return all[:min(g.need, len(all))]
}

// List returns the symbols for target k of the list, in the order of slivers.
func (g *Gathered) List(k int, slivers []int) [][]byte {
	out := make([][]byte, len(slivers))
	for i, sliver := range slivers {
		out[i] = g.symbol(sliver, k)
	}
	return out
}

func (g *Gathered) symbol(sliver, k int) []byte {
	if row := g.rows[sliver]; row != nil {
		return row[k]
	}
	return g.zero
}

// answer is the outcome of one request.
type answer struct {
	slivers []int
	rows    [][][]byte
	err     error
}

// Symbols asks holders, in random order, until enough crossing slivers have given their symbols. Every request it
// started has ended when it returns. Errors: *Error if not enough are left, ErrTooLarge, or ctx's; the result so far
// comes with each.
func Symbols(ctx context.Context, swarm Swarm, w Want) (*Gathered, error) {
	out := &Gathered{Holders: NewHolders(len(w.Committee.Members())), need: w.need(), rows: map[int][][]byte{}}
	if w.Holders != nil {
		out.Holders = w.Holders.Clone()
	}
	if w.targets() == 0 {
		return out, fmt.Errorf("%w: a symbol has %d bytes in a network of %d shards, the limit is %d",
			ErrTooLarge, w.symbolBytes(), w.Meta.Params().Shards(), p2p.MaxSymbolsBytes)
	}
	owner := Owners(w.Committee, w.ID, w.Axis.Other())
	var order []int
	seen := make([]bool, len(owner))
	for _, sliver := range append(slices.Clone(w.First), rand.Perm(len(owner))...) { // a random order spreads the work
		switch {
		case w.Without[sliver] || seen[sliver]:
			continue
		case w.Zero != nil && w.Zero(sliver) && len(out.rows) < w.need():
			out.rows[sliver] = nil
		default:
			order = append(order, sliver)
		}
		seen[sliver] = true
	}
	if len(out.rows) > 0 {
		out.zero = make([]byte, w.length())
	}
	plan := newPlan(w.need()-len(out.rows), w.Window, w.batch(), w.local(), owner, order, out.Holders)
	if w.Hope > 0 {
		plan.hope = w.Hope + w.duration(plan.batch)
	}
	for _, sliver := range w.First {
		plan.pinned[sliver] = true
	}
	return out, w.run(ctx, swarm, plan, out)
}

// local returns the committee index of the local holder; -1 if there is none.
func (w *Want) local() int {
	if i, ok := w.Committee.Member(w.Local); ok {
		return i
	}
	return -1
}

// run does what the plan decides, until it ends.
func (w *Want) run(ctx context.Context, swarm Swarm, plan *plan, out *Gathered) error {
	members, local := w.Committee.Members(), w.local()
	ctx, cancel := context.WithCancel(ctx)
	var requests sync.WaitGroup
	defer requests.Wait()
	defer cancel()
	answers := make(chan answer, len(plan.owner)) // one request at a time for each sliver
	timer := time.NewTimer(0)
	defer timer.Stop()
	for next := plan.look(time.Now()); ; {
		for _, slivers := range next.ask {
			requests.Go(func() {
				rows, err := w.ask(ctx, swarm, members[plan.owner[slivers[0]]].Node, slivers)
				answers <- answer{slivers, rows, err}
			})
		}
		switch next.end {
		case done:
			return nil
		case impossible:
			if err := ctx.Err(); err != nil { // that is why the requests failed
				return err
			}
			return &Error{
				Have: len(out.rows), Need: w.need(), Targets: len(w.Targets), Axis: w.Axis,
				Committee: w.Committee, Failures: out.Holders.Failures(),
			}
		}
		timer.Stop()
		if !next.wake.IsZero() {
			timer.Reset(time.Until(next.wake))
		}
		select {
		case a := <-answers:
			if a.err != nil {
				next = plan.failed(time.Now(), a.slivers[0], a.err)
				break
			}
			for i, sliver := range a.slivers {
				out.rows[sliver] = a.rows[i]
			}
			if plan.owner[a.slivers[0]] != local {
				out.Traffic += int64(len(a.slivers)*len(w.Targets)) * w.symbolBytes()
			}
			next = plan.delivered(time.Now(), a.slivers[0])
		case <-timer.C:
			next = plan.look(time.Now())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// limit bounds a request for so many bytes.
func limit(ctx context.Context, bytes int64) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, requestTime+time.Duration(bytes/requestRate)*time.Second)
}

// duration returns the time in which symbols of so many slivers arrive at least.
func (w *Want) duration(slivers int) time.Duration {
	return time.Duration(int64(slivers*len(w.Targets))*w.symbolBytes()/requestRate) * time.Second
}

// ask gets the symbols of crossing slivers of one holder, by sliver and target, in as many requests as the limits of
// the protocol require, and verifies those with proofs.
func (w *Want) ask(ctx context.Context, swarm Swarm, node peer.ID, slivers []int) (rows [][][]byte, err error) {
	ctx, cancel := limit(ctx, int64(len(slivers)*len(w.Targets))*w.symbolBytes())
	defer cancel()
	if node != w.Local {
		if err := swarm.Connect(ctx, node); err != nil {
			return nil, err
		}
	}
	rows = make([][][]byte, len(slivers))
	for rest := w.Targets; len(rest) > 0; {
		part := rest[:min(w.targets(), len(rest))]
		rest = rest[len(part):]
		symbols, err := swarm.SymbolParts(ctx, node, w.query(slivers, part))
		if err != nil {
			return nil, err
		}
		if err := w.verify(node, slivers, part, symbols); err != nil {
			return nil, err
		}
		for i := range symbols {
			rows[i/len(part)] = append(rows[i/len(part)], symbols[i].Data)
		}
	}
	return rows, nil
}

// verify checks that symbols stand at targets of the expansions of crossing slivers, if they have proofs.
func (w *Want) verify(node peer.ID, slivers, targets []int, symbols []shards.Symbol) error {
	if len(symbols) != len(slivers)*len(targets) {
		return fmt.Errorf("%w: sent %d symbols: asked for %d", shards.ErrSymbol, len(symbols), len(slivers)*len(targets))
	}
	if !w.Proofs || node == w.Local {
		return nil
	}
	claims := make([]shards.Claim, len(symbols))
	for i := range symbols {
		claims[i] = shards.Claim{Index: slivers[i/len(targets)], Target: targets[i%len(targets)], Symbol: symbols[i]}
	}
	if err := w.Meta.VerifySymbols(w.Axis.Other(), claims); err != nil {
		return fmt.Errorf("served wrong symbols: %w", err)
	}
	return nil
}
