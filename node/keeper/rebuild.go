package keeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/gather"
	"walrus/shards"
	"walrus/store"
)

// lastHope bounds the wait for silent members, if all others have answered or failed: to begin anew, and reach those
// that failed, helps more.
const lastHope = 15 * time.Second

// maxRounds bounds the attempts at one step. Each but the first follows a lie, and is made without the liars.
const maxRounds = 8

// rebuilding is the work on the missing slivers of one blob.
type rebuilding struct {
	*repairer
	at      seat
	meta    *shards.Metadata
	lack    lack
	holders gather.Holders // what is known of the members
	without map[shards.Axis]map[int]bool
	rebuilt int
	traffic int64
	asked   asked
}

// newRebuilding counts what is missing and what is left of a blob.
func (r *repairer) newRebuilding(meta *shards.Metadata, missing []store.Ref, at seat) *rebuilding {
	b := &rebuilding{
		repairer: r, at: at, meta: meta, holders: gather.NewHolders(len(at.Members())), asked: r.chain.asking(),
		without: map[shards.Axis]map[int]bool{shards.Primary: {}, shards.Secondary: {}},
	}
	r.doubts.tell(at.Committee, b.holders)
	params := r.shelf.params
	from, to := meta.ZeroRows()
	b.lack = lack{params: params, length: meta.Length, zeros: to - from, others: len(at.Members()) - 1}
	for _, ref := range at.slivers(meta.ID()) {
		index := params.SliverOfPair(ref.Axis, params.PairOnShard(ref.Blob, ref.Shard))
		lost := slices.Contains(missing, ref)
		switch {
		case lost && ref.Axis == shards.Primary:
			b.lack.primaries++
		case lost:
			b.lack.secondaries++
		case ref.Axis == shards.Secondary:
			b.lack.columns++
		case index < from || index >= to:
			b.lack.rows++
		}
	}
	return b
}

// lacking lists the members that said that they do not have what they should.
func (b *rebuilding) lacking() map[peer.ID]bool {
	list := map[peer.ID]bool{}
	for _, f := range b.holders.Failures() {
		if gather.Judge(f.Err) == gather.Absent {
			list[b.at.Members()[f.Holder].Node] = true
		}
	}
	return list
}

// do carries out a plan. What was rebuilt before an error stays.
func (b *rebuilding) do(ctx context.Context, plan []step) error {
	for _, s := range plan {
		if err := b.step(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// step carries out one step. Slivers that do not match their roots are rebuilt again without those who lied.
func (b *rebuilding) step(ctx context.Context, s step) error {
	for range maxRounds {
		a := &attempt{rebuilding: b, step: s, parts: map[int]int{}}
		wrong, err := a.run(ctx)
		if err != nil || len(wrong) == 0 {
			return err
		}
		s.targets = nil
		for _, l := range wrong {
			s.targets = append(s.targets, l.target)
		}
		if s.way == byRows { // a liar is found among the holders of symbols
			return b.do(ctx, planSymbols(b.lack, s.targets, b.cfg.Memory))
		}
		if err := a.blame(ctx, wrong[0]); err != nil {
			return err
		}
		if z := b.lack.symbol(); s.part == z && z >= int64(b.lack.params.ProofSize()*shards.HashSize) {
			s.way = byProvenSymbols
		}
	}
	return fmt.Errorf("others gave wrong symbols %d times", maxRounds)
}

// attempt is one try at a step.
type attempt struct {
	*rebuilding
	step
	lines    []*rebuilt
	parts    map[int]int // of each crossing sliver, the parts that came from it
	count    int         // parts in all
	recovery *shards.Recovery
	chosen   []int // the crossing slivers of recovery
}

// rebuilt is a sliver on its way to the disk.
type rebuilt struct {
	target
	verifier *shards.Verifier
	writer   *store.SliverWriter
	whole    []byte        // of a sliver with one part: it is written only once it is known to be right
	leaves   []shards.Hash // of its expansion, at the end
}

// run fetches and rebuilds part by part. It stores the slivers that match their roots, and returns the others.
func (a *attempt) run(ctx context.Context) (wrong []*rebuilt, err error) {
	z := a.lack.symbol()
	weight := min(a.weight(), a.cfg.Memory)
	if err := a.memory.Acquire(ctx, weight); err != nil {
		return nil, err
	}
	defer a.memory.Release(weight)
	defer func() {
		for _, l := range a.lines {
			l.abort()
		}
	}()
	for _, t := range a.targets {
		l := &rebuilt{target: t}
		if l.verifier, err = shards.NewVerifier(a.meta, t.Axis, t.index); err != nil {
			return nil, err
		}
		a.lines = append(a.lines, l)
	}
	for at := int64(0); at < z; at += a.part {
		if err := a.fetch(ctx, at, min(a.part, z-at)); err != nil {
			return nil, err
		}
	}
	for _, l := range a.lines {
		switch err := a.finish(l); {
		case errors.Is(err, shards.ErrSliver):
			wrong = append(wrong, l)
		case err != nil:
			return nil, err
		}
	}
	return wrong, nil
}

// weight returns the bytes of symbols that the attempt holds.
func (a *attempt) weight() int64 {
	if a.way == byRows {
		return a.lack.encoded() * a.part
	}
	return int64(len(a.targets)) * a.part * int64(a.lack.params.SourceSymbols(a.targets[0].Axis))
}

// fetch rebuilds the bytes [at, at+length) of each symbol of all lines.
func (a *attempt) fetch(ctx context.Context, at, length int64) error {
	a.count++
	switch a.way {
	case byRows:
		return a.fromRows(ctx, at, length)
	case byZeros:
		for _, l := range a.lines {
			if err := a.add(l, make([]byte, length*int64(a.lack.params.Columns()))); err != nil {
				return err
			}
		}
		return nil
	}
	indices := make([]int, len(a.targets))
	for i, t := range a.targets {
		indices[i] = t.index
	}
	axis := a.targets[0].Axis
	got, err := a.gather(ctx, axis, indices, at, length)
	if err != nil {
		return err
	}
	chosen := got.Sources()
	if !slices.Equal(chosen, a.chosen) {
		if a.recovery, err = shards.NewRecovery(a.lack.params, axis, chosen); err != nil {
			return err
		}
		a.chosen = chosen
	}
	for i, l := range a.lines {
		part := make([]byte, length*int64(a.lack.params.SourceSymbols(axis)))
		if err := a.recovery.Part(part, got.List(i, chosen)); err != nil {
			return err
		}
		if err := a.add(l, part); err != nil {
			return err
		}
	}
	return nil
}

// fromRows fetches the bytes [at, at+length) of all symbols of enough rows. They are a small blob of their own, which
// is encoded again.
func (a *attempt) fromRows(ctx context.Context, at, length int64) error {
	p := a.lack.params
	columns := make([]int, p.Columns())
	for c := range columns {
		columns[c] = c
	}
	got, err := a.gather(ctx, shards.Secondary, columns, at, length)
	if err != nil {
		return err
	}
	rows, size := got.Sources(), length*int64(p.Columns())
	d, err := shards.NewDecoder(p, shards.Primary, rows)
	if err != nil {
		return err
	}
	in, out, blob := make([][]byte, len(rows)), make([][]byte, p.Rows()), make([]byte, size*int64(p.Rows()))
	for c := range columns {
		for k, symbol := range got.List(c, rows) {
			in[k] = append(in[k], symbol...)
		}
	}
	for r := range out {
		out[r] = blob[int64(r)*size:][:size]
	}
	if err := d.Strip(int(length), in, out); err != nil {
		return err
	}
	enc, err := shards.NewEncoder(p, bytes.NewReader(blob), uint64(len(blob)))
	if err != nil {
		return err
	}
	return enc.Strips(ctx, func(s *shards.Strip) error {
		defer s.Release()
		for _, l := range a.lines {
			if err := a.add(l, slices.Clone(s.Sliver(l.Axis, l.index))); err != nil {
				return err
			}
		}
		return nil
	})
}

// gather gets a part of the symbols for slivers along axis. It waits until the traffic is within the budget.
func (a *attempt) gather(ctx context.Context, axis shards.Axis, targets []int, at,
	length int64) (*gather.Gathered, error) {
	w := a.want(axis)
	w.Targets, w.Offset, w.Length, w.Proofs, w.First = targets, at, length, a.way == byProvenSymbols, a.chosen
	got, err := gather.Symbols(ctx, a.sources(), w)
	a.learn(got.Holders, got.Traffic)
	if err != nil {
		return nil, err
	}
	for _, sliver := range got.Sources() {
		a.parts[sliver]++
	}
	return got, a.budget.spend(ctx, got.Traffic)
}

func (b *rebuilding) sources() sources {
	return sources{b.swarm, b.library, b.at.self, b.meta, b.asked}
}

// want describes whom to ask for symbols of slivers along axis.
func (b *rebuilding) want(axis shards.Axis) gather.Want {
	w := gather.Want{
		Committee: b.at.Committee, ID: b.meta.ID(), Meta: b.meta, Axis: axis, Window: b.cfg.Requests,
		Hope: lastHope, Local: b.at.self,
		Holders: b.holders, Without: b.without[axis],
	}
	if axis == shards.Secondary {
		w.Zero = b.zero
	}
	return w
}

// zero reports whether a row lies behind the blob's end.
func (b *rebuilding) zero(row int) bool {
	end := b.lack.params.Rows()
	return row < end && row >= end-b.lack.zeros
}

// learn keeps how the members behaved.
func (b *rebuilding) learn(from gather.Holders, traffic int64) {
	before := b.holders.Clone()
	b.holders.Learn(from)
	b.traffic += traffic
	b.meters.repairFetched.Add(float64(traffic))
	for _, f := range from.Failures() {
		if gather.Judge(f.Err) == gather.Failed {
			b.reach.lost(b.at.Members()[f.Holder].Node)
		}
	}
	for i := range b.at.Members() {
		if from.Delivered(i) && b.reach.heard(b.at.Members()[i].Node) {
			b.debts.hasten(time.Now())
		}
		if lie := b.holders.Lie(i); lie != nil && before.Lie(i) == nil {
			m := &b.at.Members()[i]
			b.log.Warn("peer served wrong symbols", "peer", m.Name, "blob", b.meta.ID().String(), "err", lie)
			b.doubts.add(m.Node)
		}
	}
}

// add checks the next strips of a line, and writes them. A sliver that came as a whole waits for the check's end.
func (a *attempt) add(l *rebuilt, part []byte) error {
	layout := a.meta.Layout(l.Axis)
	for rest := part; len(rest) > 0; {
		strip := rest[:min(layout.Width*layout.Symbols, len(rest))]
		if err := l.verifier.WriteStrip(strip); err != nil {
			return err
		}
		rest = rest[len(strip):]
	}
	if int64(len(part)) == layout.Size() {
		l.whole = part
		return nil
	}
	if l.writer == nil {
		var err error
		if l.writer, err = a.shelf.Create(l.Ref, layout.Size()); err != nil {
			return err
		}
	}
	_, err := l.writer.Write(part)
	return err
}

// finish stores a line if it matches its root. The error wraps ErrSliver if it does not.
func (a *attempt) finish(l *rebuilt) (err error) {
	if l.leaves, err = l.verifier.CloseLeaves(); err != nil {
		return err
	}
	if l.writer == nil {
		if l.writer, err = a.shelf.Create(l.Ref, int64(len(l.whole))); err != nil {
			return err
		}
		if _, err := l.writer.Write(l.whole); err != nil {
			return err
		}
		l.whole = nil
	}
	if err := l.writer.Commit(); err != nil {
		return err
	}
	a.rebuilt++
	a.damage.mended(l.Ref)
	a.repaired.Add(1)
	a.progress.rebuilt(time.Now())
	a.meters.stored(l.Axis)
	return nil
}

func (l *rebuilt) abort() {
	l.verifier.Abort()
	if l.writer != nil {
		l.writer.Abort()
	}
}

// blame finds who gave wrong symbols for a line. The error wraps ErrInconsistent if nobody did.
func (a *attempt) blame(ctx context.Context, l *rebuilt) error {
	var asked, partial []int
	for _, sliver := range slices.Sorted(maps.Keys(a.parts)) {
		switch {
		case l.Axis == shards.Secondary && a.zero(sliver): // its root has proved it
		case a.parts[sliver] == a.count:
			asked = append(asked, sliver)
		default:
			partial = append(partial, sliver)
		}
	}
	got, err := gather.Prove(ctx, a.sources(), a.want(l.Axis), l.index, asked,
		func(sliver int) shards.Hash { return l.leaves[sliver] })
	a.learn(got.Holders, got.Traffic)
	if err != nil {
		return err
	}
	if err := a.budget.spend(ctx, got.Traffic); err != nil {
		return err
	}
	culprits := culprits(asked, partial, got.Proven)
	if culprits == nil {
		err := fmt.Errorf("%w: %s sliver %d, rebuilt from proven symbols of slivers %v, does not match its root",
			shards.ErrInconsistent, l.Axis, l.index, asked)
		return &contradiction{a.meta, l.Axis, l.index, err}
	}
	for _, sliver := range culprits {
		a.without[l.Axis][sliver] = true
	}
	return nil
}

// culprits decides which crossing slivers the next attempt does without: those that gave all parts and could not be
// proven or, if all could, those that gave some parts, of which nothing can be proven. nil if every symbol was right.
func culprits(asked, partial []int, proven map[int]bool) []int {
	unproven := slices.DeleteFunc(slices.Clone(asked), func(sliver int) bool { return proven[sliver] })
	if len(unproven) > 0 {
		return unproven
	}
	if len(partial) > 0 {
		return partial
	}
	return nil
}
