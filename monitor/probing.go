package monitor

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"golang.org/x/crypto/blake2b"
	"golang.org/x/sync/errgroup"

	"walrus/internal/pause"
	"walrus/monitor/round"
	"walrus/p2p"
	"walrus/probe"
	"walrus/shards"
)

// probing is one round of a Prober.
type probing struct {
	*Prober   // constant, as the next six
	v         *view
	number    uint64
	height    uint64
	blobs     []*known
	questions int // put to each node
	patience  round.Patience
	results   []round.Result // each written by its own visit

	lock     sync.Mutex
	receipts []round.Receipt // guarded by lock, as the next
	evidence map[int][]*probe.Evidence
}

// visitAll probes the nodes of a plan, each at its time.
func (r *probing) visitAll(ctx context.Context, plan []round.Visit) error {
	var g errgroup.Group
	g.SetLimit(probesAtOnce)
	for _, visit := range plan {
		if !pause.For(ctx, visit.At.Sub(r.watch.now())) {
			break
		}
		g.Go(func() error {
			r.results[visit.Node] = r.visit(ctx, visit.Node)
			return nil
		})
	}
	err := g.Wait()
	if cause := ctx.Err(); cause != nil && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return err
}

// visit probes one node.
func (r *probing) visit(ctx context.Context, node int) round.Result {
	now := time.Now()
	whole, cancel := context.WithDeadline(ctx, now.Add(r.patience.Whole))
	defer cancel()
	questions := r.draw(node)
	step := round.Probe{Count: len(questions)}
	if len(questions) == 0 {
		return round.Result{}
	}
	act := step.Step(now, r.patience, round.Happened{Event: round.Begin})
	for !act.Done {
		switch {
		case whole.Err() != nil:
			act = step.Step(time.Now(), r.patience, round.Happened{Event: round.Late})
		case act.Ask:
			h := r.ask(whole, node, &questions[act.Question], act.Question)
			act = step.Step(time.Now(), r.patience, h)
		default:
			pause.For(whole, time.Until(act.Wait))
			act = step.Step(time.Now(), r.patience, round.Happened{Event: round.Again})
		}
	}
	if act.Result.Outcome.Convicts() {
		r.accuse(ctx, node)
	}
	return act.Result
}

// drawn is a question with the blob that it is about.
type drawn struct {
	probe.Question
	blob *known
}

// draw draws the questions for a node, by bytes. Only this process knows the seed.
func (r *probing) draw(node int) (list []drawn) {
	params, held := r.v.com.Params(), r.v.com.Members()[node].Shards
	for k := range r.questions {
		b := append(r.secret[:len(r.secret):len(r.secret)], r.v.nodes[node][:]...)
		b = binary.LittleEndian.AppendUint64(b, r.number)
		seed := blake2b.Sum256(append(b, byte(k)))
		blob := pick(r.blobs, binary.LittleEndian.Uint64(seed[:]))
		q, ok := probe.Draw(seed, params, probe.Blob{ID: blob.id, Length: blob.meta.Length}, held)
		if !ok {
			return nil
		}
		list = append(list, drawn{r.fill(q), blob})
	}
	return list
}

// fill completes a drawn question.
func (r *probing) fill(q probe.Question) probe.Question {
	q.Network, q.Shards, q.Height = r.watch.network, r.v.com.Params().Shards(), r.height
	_, _ = rand.Read(q.Nonce[:]) // it never fails
	return q
}

// ask puts a question to a node as a repair does: the symbols first, then their proofs.
func (r *probing) ask(ctx context.Context, node int, q *drawn, number int) round.Happened {
	id := r.v.com.Members()[node].Node
	short, cancel := context.WithTimeout(ctx, r.patience.Answer)
	defer cancel()
	if err := r.cfg.Swarm.Connect(short, id); err != nil {
		return round.Happened{Event: round.NoConnection}
	}
	r.mu.Lock()
	r.status.Questions++
	r.mu.Unlock()
	short, cancel = context.WithTimeout(ctx, r.patience.Answer)
	defer cancel()
	began := time.Now()
	first, err := r.cfg.Swarm.Probe(short, id, q.Question)
	took := time.Since(began)
	if err != nil {
		return failed(err, took)
	}
	if first.Code != probe.Answered {
		return r.refused(node, first, took, 2*number)
	}
	r.receipt(node, 2*number, &first)
	h := round.Happened{Event: round.Right, RTT: took, Size: q.Bytes(), Took: took}
	if !q.Whole() { // a part has no proof
		return h
	}
	asked := time.Now()
	second, err := r.cfg.Swarm.Probe(short, id, q.Proofs())
	rtt := time.Since(asked)
	if err != nil {
		return failed(err, rtt)
	}
	if second.Code != probe.Answered {
		return r.refused(node, second, rtt, 2*number+1)
	}
	r.receipt(node, 2*number+1, &second)
	h.RTT = rtt
	if e := lie(q.blob.meta, &first, &second); e != nil {
		if _, err := probe.Judge(e); err == nil {
			r.convict(node, e)
			h.Event = round.False
		}
	}
	return h
}

// refused judges a signed refusal, which becomes the receipt of that number.
func (r *probing) refused(node int, receipt probe.Receipt, took time.Duration, number int) round.Happened {
	e := &probe.Evidence{Receipts: []probe.Receipt{receipt}}
	if _, err := probe.Judge(e); err != nil { // it says that the sliver is not its own; our ledger says it is
		return round.Happened{Event: round.Denied, RTT: took}
	}
	r.receipt(node, number, &receipt)
	r.convict(node, e)
	return round.Happened{Event: round.Lacking, RTT: took}
}

// failed is the event of an answer that bears no signature.
func failed(err error, took time.Duration) round.Happened {
	switch {
	case errors.Is(err, p2p.ErrNotFound), errors.Is(err, p2p.ErrCorrupt), errors.Is(err, p2p.ErrNotOwner):
		return round.Happened{Event: round.Denied, RTT: took}
	case errors.Is(err, p2p.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded), errors.Is(err, p2p.ErrBusy):
		return round.Happened{Event: round.Busy}
	}
	return round.Happened{Event: round.Silence}
}

// lie returns evidence if what a node signed about a cell does not lead to the root of the sliver; nil if it does, or
// if only a part of the symbol was asked for.
func lie(meta *shards.Metadata, symbol, proof *probe.Receipt) *probe.Evidence {
	q := &symbol.Question
	if !q.Whole() || len(symbol.Cells) != 1 || len(proof.Cells) != 1 {
		return nil
	}
	line, err := meta.OpenLine(q.Axis, q.Slivers[0])
	if err != nil || line.Leads(q.Targets[0], shards.Opening{Leaf: symbol.Cells[0].Leaf, Path: proof.Cells[0].Proof}) {
		return nil
	}
	return &probe.Evidence{Receipts: []probe.Receipt{*symbol, *proof}, Sliver: q.Slivers[0], Target: q.Targets[0], Line: &line}
}

// receipt keeps a receipt of the round.
func (r *probing) receipt(node, number int, receipt *probe.Receipt) {
	raw := receipt.Append(nil)
	r.lock.Lock()
	defer r.lock.Unlock()
	r.receipts = append(r.receipts, round.Receipt{Node: r.v.nodes[node], Number: uint16(number), Bytes: raw})
}

// convict keeps evidence for the accused and for the receipts of the round.
func (r *probing) convict(node int, e *probe.Evidence) {
	r.lock.Lock()
	r.evidence[node] = append(r.evidence[node], e)
	r.lock.Unlock()
	r.mu.Lock()
	r.status.Convicted++
	r.mu.Unlock()
}
