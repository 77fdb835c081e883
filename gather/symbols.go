package gather

import (
	"context"
	"fmt"
	"math/rand/v2"
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

// Swarm asks storage nodes. Errors wrap the sentinels of p2p.
type Swarm interface {
	// Connect finds a node's addresses and dials it, unless connected.
	Connect(ctx context.Context, node peer.ID) error
	// Symbols asks for the symbols at targets of the expansion of one sliver, with their proofs.
	Symbols(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index int, targets []int, symbolSize int64, proofLen int) ([]shards.Symbol, error)
}

// Want names the symbols to gather: one for each target, from each of enough crossing slivers.
type Want struct {
	Committee *certs.Committee
	ID        shards.BlobID
	Meta      *shards.Metadata
	Axis      shards.Axis // of the targets
	Targets   []int       // slivers along Axis that the symbols rebuild
	Window    int         // requests counted on at a time
	// Local is asked first and costs no traffic. It is trusted: its symbols are not verified. Empty: nobody.
	Local peer.ID
	// Holders says what is known already; nil: nothing. Symbols works on a clone.
	Holders Holders
}

// need is the number of crossing slivers that rebuild a target.
func (w *Want) need() int { return w.Meta.Params().SourceSymbols(w.Axis) }

// SymbolBytes returns the size of a blob's symbol with its proof on the wire.
func SymbolBytes(meta *shards.Metadata) int64 {
	params := meta.Params()
	return params.SymbolSize(meta.Length) + int64(params.ProofSize()*shards.HashSize)
}

// batch returns how many targets fit in one request.
func (w *Want) batch() int { return int(min(p2p.MaxSymbolsBytes/SymbolBytes(w.Meta), p2p.MaxTargets)) }

// Gathered is the result of Symbols.
type Gathered struct {
	Holders Holders // how each holder behaved
	Traffic int64   // bytes of symbols and proofs that holders sent

	rows map[int][][]byte // by crossing sliver: a symbol for each target
}

// Of returns the symbols for target k of the list, by crossing sliver: enough for shards.Metadata.Rebuild.
func (g *Gathered) Of(k int) map[int][]byte {
	out := make(map[int][]byte, len(g.rows))
	for sliver, row := range g.rows {
		out[sliver] = row[k]
	}
	return out
}

// Liars lists the holders that sent provably wrong bytes.
func (g *Gathered) Liars() (liars []Failure) {
	for _, f := range g.Holders.Failures() {
		if f.Lied() {
			liars = append(liars, f)
		}
	}
	return liars
}

// answer is the outcome of one request.
type answer struct {
	sliver int
	row    [][]byte
	err    error
}

// Symbols asks holders, in random order, until enough crossing slivers have given their symbols. Every request it
// started has ended when it returns. Errors: *Error if not enough are left, ErrTooLarge, or ctx's; the result so far
// comes with each.
func Symbols(ctx context.Context, swarm Swarm, w Want) (*Gathered, error) {
	members := w.Committee.Members()
	out := &Gathered{Holders: NewHolders(len(members)), rows: map[int][][]byte{}}
	if w.Holders != nil {
		out.Holders = w.Holders.Clone()
	}
	if w.batch() == 0 {
		return out, fmt.Errorf("%w: a symbol has %d bytes in a network of %d shards, the limit is %d",
			ErrTooLarge, SymbolBytes(w.Meta), w.Meta.Params().Shards(), p2p.MaxSymbolsBytes)
	}
	local, found := w.Committee.Member(w.Local)
	if !found {
		local = -1
	}
	owner := Owners(w.Committee, w.ID, w.Axis.Other())
	plan := newPlan(w.need(), w.Window, local, owner, rand.Perm(len(owner)), out.Holders) // spreads the work
	ctx, cancel := context.WithCancel(ctx)
	var requests sync.WaitGroup
	defer requests.Wait()
	defer cancel()
	answers := make(chan answer, len(owner)) // one request at a time for each sliver
	timer := time.NewTimer(0)
	defer timer.Stop()
	for next := plan.look(time.Now()); ; {
		for _, sliver := range next.ask {
			requests.Go(func() {
				row, err := w.ask(ctx, swarm, members[owner[sliver]].Node, sliver)
				answers <- answer{sliver, row, err}
			})
		}
		switch next.end {
		case done:
			return out, nil
		case impossible:
			if err := ctx.Err(); err != nil { // that is why the requests failed
				return out, err
			}
			return out, &Error{
				Have: len(out.rows), Need: plan.need, Targets: len(w.Targets), Axis: w.Axis,
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
				next = plan.failed(time.Now(), a.sliver, a.err)
				break
			}
			out.rows[a.sliver] = a.row
			if owner[a.sliver] != local {
				out.Traffic += int64(len(a.row)) * SymbolBytes(w.Meta)
			}
			next = plan.delivered(time.Now(), a.sliver)
		case <-timer.C:
			next = plan.look(time.Now())
		case <-ctx.Done():
			return out, ctx.Err()
		}
	}
}

// ask gets the symbols of one crossing sliver, in as many requests as the limits of the protocol require, and verifies
// each.
func (w *Want) ask(ctx context.Context, swarm Swarm, node peer.ID, sliver int) (row [][]byte, err error) {
	limit := requestTime + time.Duration(int64(len(w.Targets))*SymbolBytes(w.Meta)/requestRate)*time.Second
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if node != w.Local {
		if err := swarm.Connect(ctx, node); err != nil {
			return nil, err
		}
	}
	params, axis := w.Meta.Params(), w.Axis.Other()
	for rest := w.Targets; len(rest) > 0; {
		part := rest[:min(w.batch(), len(rest))]
		rest = rest[len(part):]
		symbols, err := swarm.Symbols(ctx, node, w.ID, axis, sliver, part, params.SymbolSize(w.Meta.Length), params.ProofSize())
		if err != nil {
			return nil, err
		}
		if node != w.Local {
			if err := w.verify(sliver, part, symbols); err != nil {
				return nil, err
			}
		}
		for i := range symbols {
			row = append(row, symbols[i].Data)
		}
	}
	return row, nil
}

// verify checks that symbols stand at targets of the expansion of a crossing sliver.
func (w *Want) verify(sliver int, targets []int, symbols []shards.Symbol) error {
	if len(symbols) != len(targets) {
		return fmt.Errorf("%w: sent %d symbols: asked for %d", shards.ErrSymbol, len(symbols), len(targets))
	}
	claims := make([]shards.Claim, len(targets))
	for i, target := range targets {
		claims[i] = shards.Claim{Index: sliver, Target: target, Symbol: symbols[i]}
	}
	if err := w.Meta.VerifySymbols(w.Axis.Other(), claims); err != nil {
		return fmt.Errorf("served wrong symbols of %s sliver %d: %w", w.Axis.Other(), sliver, err)
	}
	return nil
}
