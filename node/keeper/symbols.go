package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/p2p"
	"walrus/shards"
	"walrus/store"
)

const (
	// symbolBatch bounds the symbols, in bytes, that one request holds at a time. A longer answer reads the sliver
	// again for each batch; a symbol that is longer by itself is passed on as it is read.
	symbolBatch = 8 << 20
	// symbolMemory bounds the memory of all requests for symbols together. Strangers get half of it, and one peer a
	// quarter. Between two runs of the garbage collector the heap may grow by twice as much.
	symbolMemory = 64 << 20
	// turnTime is the time after which a long expansion lets others have the CPU.
	turnTime = 20 * time.Millisecond
)

// expander sends symbols of our slivers to peers, within the shares of each. All fields are constant.
type expander struct {
	library     *library
	notary      *notary
	cpu, memory *shares // cpu: expansions at the same time
	lines       *cached[*line]
	leaves      *leaves
}

func newExpander(l *library, n *notary) *expander {
	cpus := int64(max(runtime.GOMAXPROCS(0), 2))
	return &expander{
		library: l, notary: n, lines: newLines(), leaves: newLeaves(),
		cpu: newShares(cpus, cpus/2, max(cpus/4, 1)), memory: newShares(symbolMemory, symbolMemory/2, symbolMemory/4),
	}
}

// Symbols writes symbols of slivers' expansions, and their proofs. It computes what they take from what is stored, and
// waits for its peer's share of that, before it reads a sliver. It holds symbolBatch of them at most. Symbols without
// proofs are read without hashing; their reader compares what it rebuilds with its root.
func (x *expander) Symbols(ctx context.Context, r p2p.SymbolRequest, w io.Writer) error {
	if x.library.chain.invalid(r.Blob) {
		return errInvalid
	}
	n := x.library.shelf.params.Shards()
	for _, t := range r.Targets {
		if t < 0 || t >= n {
			return fmt.Errorf("%w: no symbol %d among %d", p2p.ErrBadRequest, t, n)
		}
	}
	slivers := make([]*watchedSliver, len(r.Slivers))
	for i, index := range r.Slivers {
		ref, err := x.library.shelf.locate(r.Blob, r.Axis, index)
		if err != nil {
			return x.notary.lack(ref, index, err)
		}
		if slivers[i], err = x.library.open(ref); err != nil {
			return x.notary.lack(ref, index, wireError(err))
		}
	}
	job := &expansion{expander: x, turn: &turn{cpu: x.cpu, who: x.visitor(r.From)}, request: r}
	defer job.turn.leave()
	for i, sliver := range slivers {
		job.ref, job.index, job.sliver, job.begun = sliver.ref, r.Slivers[i], sliver, i > 0
		if err := job.run(ctx, w); err != nil {
			return x.explain(job, wireError(err))
		}
	}
	return nil
}

// explain lets damage of a sliver that was found while it was read be signed.
func (x *expander) explain(job *expansion, err error) error {
	if job.meta != nil && errors.Is(err, p2p.ErrCorrupt) {
		return x.notary.lack(job.ref, job.index, err)
	}
	return err
}

// visitor classifies the peer of a request. A gateway that asks through our own host asks for strangers.
func (x *expander) visitor(from peer.ID) visitor {
	at, err := x.library.shelf.seats.now()
	if err != nil || from == at.self {
		return visitor{id: from}
	}
	_, member := at.Member(from)
	return visitor{from, member}
}

// expansion is one request for symbols. It sends the symbols sliver by sliver.
type expansion struct {
	*expander
	turn    *turn
	request p2p.SymbolRequest
	meta    *shards.Metadata // nil while all lines that were needed were kept
	begun   bool             // symbols have been sent: from now on it waits for its share instead of being refused

	ref    store.Ref // the sliver, as the next two
	index  int
	sliver *watchedSliver
	held   int64 // share of the memory
}

func (e *expansion) run(ctx context.Context, w io.Writer) error {
	found := e.lines.get(e.ref)
	if found == nil {
		if err := e.enter(ctx); err != nil {
			return err
		}
		found = e.lines.get(e.ref) // another request may have expanded it meanwhile
	}
	if found != nil {
		defer e.lines.done(found)
		e.turn.leave()
		return e.answer(ctx, w, found)
	}
	var err error
	if e.meta == nil {
		e.meta, err = e.library.shelf.metadata(e.ref.Blob)
	}
	e.turn.leave()
	switch {
	case err != nil:
		return err
	case e.request.ProofLen > 0:
		return e.expand(ctx, w)
	}
	return e.answer(ctx, w, &line{meta: e.meta, size: e.meta.Layout(e.ref.Axis).SymbolSize})
}

// enter takes the CPU: later in the request it waits as long as it takes.
func (e *expansion) enter(ctx context.Context) error {
	if e.begun {
		return e.turn.take(ctx)
	}
	return e.turn.enter(ctx)
}

// check compares the sizes that the peer expects with the blob's.
func (e *expansion) check(size int64) error {
	q, params := &e.request, e.library.shelf.params
	if q.SymbolSize != size || q.ProofLen != params.ProofSize() && q.ProofLen != 0 {
		return fmt.Errorf("%w: symbols of this blob have %d bytes and proofs of %d hashes, not %d and %d",
			p2p.ErrBadRequest, size, params.ProofSize(), q.SymbolSize, q.ProofLen)
	}
	w, end := int64(params.StripWidth()), q.Offset+q.Length
	if q.Length > 0 && (q.Offset%w != 0 || end%w != 0 && end != size) {
		return fmt.Errorf("%w: bytes [%d, %d) of symbols of %d: must be whole strips of %d", p2p.ErrBadRequest,
			q.Offset, end, size, w)
	}
	return nil
}

// answer sends symbols of a line that has been expanded before, or that needs no proofs.
func (e *expansion) answer(ctx context.Context, w io.Writer, l *line) error {
	if err := e.check(l.size); err != nil {
		return err
	}
	if l.symbols == nil && e.request.Length > 0 {
		if err := e.hold(ctx, e.scratch(l.size)+e.batchBytes()); err != nil {
			return err
		}
		defer e.release()
	}
	return e.write(ctx, w, l, nil)
}

// expand reads the sliver, which proves it, and sends symbols of it. The first batch is kept on the way.
func (e *expansion) expand(ctx context.Context, w io.Writer) error {
	n := int64(e.library.shelf.params.Shards())
	size := e.meta.Layout(e.ref.Axis).SymbolSize
	if err := e.check(size); err != nil {
		return err
	}
	keep, kept := e.request.Targets[:e.batch()], e.batchBytes()
	l := &line{meta: e.meta, size: size, bytes: 2 * n * 64} // the tree and the metadata
	whole := n*size <= wholeLine
	if whole {
		keep, kept = make([]int, n), n*size
		for i := range keep {
			keep[i] = i
		}
	} else if kept == 0 {
		keep = nil
	}
	if err := e.hold(ctx, e.scratch(size)+l.bytes+kept); err != nil {
		return err
	}
	defer e.release()
	if err := e.enter(ctx); err != nil {
		return err
	}
	var symbols [][]byte
	var err error
	l.Expansion, symbols, err = e.meta.Expand(e.ref.Axis, e.index, io.NewSectionReader(e.reader(ctx), 0, e.sliver.Size()),
		keep)
	e.turn.leave()
	if errors.Is(err, shards.ErrSliver) { // the checksums hold, so wrong data was written
		err = fmt.Errorf("%w: %w", store.ErrCorrupt, err)
		e.library.damage.note(e.ref, err)
	}
	if err != nil {
		return err
	}
	if whole {
		l.symbols, l.bytes, symbols = symbols, l.bytes+kept, nil
	}
	e.lines.put(e.ref, l)
	defer e.lines.done(l)
	return e.write(ctx, w, l, symbols)
}

// write sends the symbols at all targets, batch by batch. first has the first batch, unless it is empty.
func (e *expansion) write(ctx context.Context, w io.Writer, l *line, first [][]byte) error {
	q := &e.request
	for targets := q.Targets; len(targets) > 0; first = nil {
		batch := targets[:min(e.batch(), len(targets))]
		targets = targets[len(batch):]
		parts, err := first, error(nil)
		switch {
		case q.Length == 0:
			parts = make([][]byte, len(batch))
		case l.symbols != nil:
			parts = make([][]byte, len(batch))
			for i, target := range batch {
				parts[i] = l.symbols[target][q.Offset:][:q.Length]
			}
		case q.Length > symbolBatch:
			parts = [][]byte{nil}
			err = e.pass(ctx, w, l, batch[0])
		case len(first) == 0:
			parts, err = e.read(ctx, l, batch)
		}
		if err != nil {
			return err
		}
		for i, target := range batch {
			if err := e.send(w, l, parts[i], target); err != nil {
				return err
			}
		}
	}
	return nil
}

// send writes a symbol and its proof, if it is asked for.
func (e *expansion) send(w io.Writer, l *line, part []byte, target int) error {
	if _, err := w.Write(part); err != nil {
		return err
	}
	if e.request.ProofLen == 0 {
		return nil
	}
	return writeProof(w, l.Proof(target))
}

// read reads the symbols of a batch from the sliver.
func (e *expansion) read(ctx context.Context, l *line, batch []int) ([][]byte, error) {
	symbols := make([][]byte, len(batch))
	for i := range symbols {
		symbols[i] = make([]byte, 0, e.request.Length)
	}
	if err := e.turn.take(ctx); err != nil {
		return nil, err
	}
	defer e.turn.leave()
	return symbols, e.each(ctx, l, batch, func(parts [][]byte) error {
		for i, part := range parts {
			symbols[i] = append(symbols[i], part...)
		}
		return nil
	})
}

// pass sends one long symbol while it is read. It holds no CPU while the peer is slow.
func (e *expansion) pass(ctx context.Context, w io.Writer, l *line, target int) error {
	if err := e.turn.take(ctx); err != nil {
		return err
	}
	defer e.turn.leave()
	return e.each(ctx, l, []int{target}, func(parts [][]byte) error {
		e.turn.leave()
		if _, err := w.Write(parts[0]); err != nil {
			return err
		}
		return e.turn.take(ctx)
	})
}

// each reads the part of the symbols that is asked for.
func (e *expansion) each(ctx context.Context, l *line, targets []int, emit func(parts [][]byte) error) error {
	return l.meta.ReadSymbols(e.ref.Axis, e.index, e.reader(ctx), targets, e.request.Offset, e.request.Length, emit)
}

func writeProof(w io.Writer, proof []shards.Hash) error {
	for i := range proof {
		if _, err := w.Write(proof[i][:]); err != nil {
			return err
		}
	}
	return nil
}

// reader reads the sliver. It stops when ctx ends, and lets others have the CPU now and then.
func (e *expansion) reader(ctx context.Context) io.ReaderAt {
	return readerAtFunc(func(p []byte, off int64) (int, error) {
		if err := e.turn.step(ctx); err != nil {
			return 0, err
		}
		return e.sliver.ReadAt(p, off)
	})
}

type readerAtFunc func(p []byte, off int64) (int, error)

func (f readerAtFunc) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }

// batch returns the number of symbols in the first batch.
func (e *expansion) batch() int {
	return int(min(max(symbolBatch/max(e.request.Length, 1), 1), int64(len(e.request.Targets))))
}

// batchBytes returns the bytes of the largest batch that is held.
func (e *expansion) batchBytes() int64 {
	if e.request.Length > symbolBatch {
		return 0
	}
	return int64(e.batch()) * e.request.Length
}

// scratch estimates the memory in which a sliver is expanded: a strip, and what a shards.Verifier keeps.
func (e *expansion) scratch(size int64) int64 {
	p := e.library.shelf.params
	own := int64(p.SourceSymbols(e.ref.Axis))
	return (min(size, int64(p.StripWidth()))+256)*own + int64(p.Shards())*65
}

// hold takes a share of the memory.
func (e *expansion) hold(ctx context.Context, bytes int64) error {
	hold := e.memory.enter
	if e.begun {
		hold = e.memory.take
	}
	if err := hold(ctx, e.turn.who, bytes); err != nil {
		return err
	}
	e.held = bytes
	return nil
}

func (e *expansion) release() { e.memory.give(e.turn.who, e.held) }

// turn is a share of the CPU that a request takes while it computes, and leaves while it waits for its peer.
type turn struct {
	cpu   *shares // constant, as is who
	who   visitor
	held  bool
	since time.Time
}

// enter takes the CPU at the start of a request.
func (t *turn) enter(ctx context.Context) error { return t.taken(t.cpu.enter(ctx, t.who, 1)) }

// take takes the CPU in the middle of a request.
func (t *turn) take(ctx context.Context) error { return t.taken(t.cpu.take(ctx, t.who, 1)) }

func (t *turn) taken(err error) error {
	t.held, t.since = err == nil, time.Now()
	return err
}

// step goes to the end of the queue if others wait and turnTime is over.
func (t *turn) step(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if time.Since(t.since) < turnTime {
		return nil
	}
	t.leave()
	return t.take(ctx)
}

// leave gives the CPU back, if it is held.
func (t *turn) leave() {
	if t.held {
		t.held = false
		t.cpu.give(t.who, 1)
	}
}
