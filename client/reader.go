package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"walrus/certs"
	"walrus/p2p"
	"walrus/shards"
)

const (
	// maxWindow bounds how many rows are fetched at once.
	maxWindow = 32
	// readTick is how often slow rows are looked for and busy nodes asked again.
	readTick = 200 * time.Millisecond
	// maxBusy is how often a row is asked for again from a node that says it is busy.
	maxBusy = 25
	// slowFactor: a row that takes this many times the median is slow.
	slowFactor = 4
	// slowLine is the rate, in bytes per second, below which the first rows are slow.
	slowLine = 1 << 20
)

type rowState uint8

const (
	rowUnknown  rowState = iota
	rowFetching          // on its way
	rowSlow              // on its way, but not counted on
	rowBusy              // its node was busy; asked again at the next tick
	rowHave              // verified, in the row store
	rowFailed            // not to be had
	rowDropped           // was written out and is no longer held
)

// reader is the reading of one range of a blob. Its loop runs in one goroutine, which owns every field but those marked.
type reader struct {
	c        *Client // constant, as the next seven
	com      *certs.Committee
	params   shards.Params
	meta     *shards.Metadata
	id       shards.BlobID
	layout   shards.Layout // of a row
	w        io.Writer
	progress Progress

	rows    *rowStore
	state   []rowState   // by primary index
	fetches []*fetch     // by primary index; the newest
	busy    []int        // by primary index: how often the node was busy
	bad     map[int]bool // by committee index: not asked again
	good    map[int]bool // by committee index: has delivered
	suspect map[int]bool // by committee index: silent; asked only when no others are left
	off     int64        // byte of the blob to write out next
	end     int64        // where the range ends
	total   int64        // bytes of the range
	need    int          // source row before which the range ends; what follows is not wanted, or padding
	next    int          // source row to write out next
	decode  bool         // some source row must be decoded: keep every row
	keep    bool         // rows stay in the row store after they are written out
	flying  int          // fetches under way
	// dialHedge is how long a row waits for a connection before it is decoded from others instead.
	dialHedge time.Duration
	took      []time.Duration
	results   chan *fetch
	res       *ReadResult
}

// fetch is one attempt to get a row.
type fetch struct {
	index int
	row   row // filled, and verified if err is nil
	start time.Time
	// connected and moved are shared: whether there is a connection, and when bytes last came in (unix nanoseconds).
	connected atomic.Bool
	moved     atomic.Int64
	err       error
}

// newReader reads n bytes of the blob from off on, which are within it.
func newReader(b *Blob, w io.Writer, off, n int64, progress Progress) *reader {
	c, com, meta := b.c, b.com, b.meta
	params := com.Params()
	layout := meta.Layout(shards.Primary)
	r := &reader{
		c: c, com: com, params: params, meta: meta, id: b.id, layout: layout, w: w, progress: progress,
		rows:  &rowStore{layout: layout, memory: c.cfg.ReadMemory / 2, dir: c.cfg.TempDir, rows: map[int]row{}},
		state: make([]rowState, params.Shards()), fetches: make([]*fetch, params.Shards()), busy: make([]int, params.Shards()),
		bad: map[int]bool{}, good: map[int]bool{}, suspect: c.silentNodes(com), results: make(chan *fetch, params.Shards()),
		off: off, end: off + n, total: n,
		keep:      layout.Size()*int64(params.Rows()) <= c.cfg.ReadMemory,
		dialHedge: b.dialHedge,
		res:       &ReadResult{Size: meta.Length, Bad: slices.Clone(b.bad)},
	}
	if n > 0 {
		r.next, r.need = int(off/layout.Size()), int((off+n-1)/layout.Size())+1
	}
	return r
}

// run writes out the range. It returns after every fetch it started.
func (r *reader) run(ctx context.Context) error {
	defer r.rows.close()
	ctx, cancel := context.WithCancel(ctx)
	var g errgroup.Group
	defer func() {
		cancel()
		_ = g.Wait()
		r.nameSlow()
	}()
	tick := time.NewTicker(readTick)
	defer tick.Stop()
	for {
		if err := r.emit(); err != nil {
			return err
		}
		if r.next == r.need {
			return nil
		}
		if r.decode && r.count(rowHave) >= r.params.Rows() {
			if err := r.decodeMissing(ctx); err != nil {
				return err
			}
			continue
		}
		if err := r.schedule(ctx, &g); err != nil {
			return err
		}
		if r.flying == 0 && r.count(rowBusy) == 0 {
			return r.notEnough()
		}
		select {
		case f := <-r.results:
			if local := (*localError)(nil); errors.As(f.err, &local) {
				return fmt.Errorf("read %s: %w", r.id, local)
			}
			r.take(f)
		case <-tick.C:
			for len(r.results) > 0 { // came in while we were writing out
				r.take(<-r.results)
			}
			r.markSlow()
			r.askAgain()
		case <-ctx.Done():
			return fmt.Errorf("read %s: %w", r.id, ctx.Err())
		}
	}
}

// emit writes out the rows that are there and next.
func (r *reader) emit() error {
	for r.next < r.need && r.state[r.next] == rowHave {
		start := int64(r.next) * r.layout.Size()
		to := min(r.layout.Size(), r.end-start)
		if err := r.rows.rows[r.next].writeTo(r.w, r.off-start, to); err != nil {
			return fmt.Errorf("read %s: write row %d: %w", r.id, r.next, err)
		}
		r.off = start + to
		if !r.keep && !r.decode {
			r.rows.drop(r.next)
			r.state[r.next] = rowDropped
		}
		r.next++
		r.progress.report(Reading, r.total-(r.end-r.off), r.total)
	}
	return nil
}

// schedule starts fetches: the next source rows within the window, or, once a row must be decoded, as many rows as
// decoding lacks.
func (r *reader) schedule(ctx context.Context, g *errgroup.Group) error {
	r.settle()
	window := int(min(max(r.c.cfg.ReadMemory/r.layout.Size(), 2), maxWindow))
	if !r.decode {
		for i := r.next; i < min(r.next+window, r.need) && r.flying < window; i++ {
			if r.state[i] == rowUnknown {
				if err := r.start(ctx, g, i); err != nil {
					return err
				}
			}
		}
		return nil
	}
	lacking := r.params.Rows() - r.count(rowHave) - r.count(rowFetching)
	for _, wanted := range []rowState{rowUnknown, rowDropped} { // what was written out is fetched again only if need be
		for _, desperate := range []bool{false, true} {
			for k := 0; k < len(r.state) && lacking > 0 && r.count(rowFetching) < maxWindow; k++ {
				i := (r.next + k) % len(r.state) // first what is still to be written, then parity
				if r.state[i] != wanted || (r.suspect[r.owner(i)] && !desperate) {
					continue
				}
				if err := r.start(ctx, g, i); err != nil {
					return err
				}
				lacking--
			}
		}
	}
	return nil
}

// settle gives up the rows of nodes that turned out bad, and decides whether rows not yet written must be decoded: it
// changes back when the row that was missing comes in after all.
func (r *reader) settle() {
	for i, s := range r.state {
		if (s == rowUnknown || s == rowBusy || s == rowDropped) && r.bad[r.owner(i)] {
			r.state[i] = rowFailed
		}
	}
	r.decode = false
	for i := r.next; i < r.need && !r.decode; i++ {
		s := r.state[i]
		r.decode = s == rowFailed || s == rowSlow || (s == rowUnknown && r.suspect[r.owner(i)])
	}
	r.rows.spill = r.decode && !r.keep
}

func (r *reader) owner(index int) int {
	m := r.com.Owner(r.params.ShardOfPair(r.id, r.params.PairOfSliver(shards.Primary, index)))
	i, _ := r.com.Member(m.Node)
	return i
}

func (r *reader) start(ctx context.Context, g *errgroup.Group, index int) error {
	row, err := r.rows.create()
	if err != nil {
		return fmt.Errorf("read %s: %w", r.id, err)
	}
	f := &fetch{index: index, row: row, start: time.Now()}
	f.moved.Store(f.start.UnixNano())
	r.fetches[index], r.state[index] = f, rowFetching
	r.flying++
	g.Go(func() error {
		f.err = r.fetchRow(ctx, f)
		r.results <- f
		return nil
	})
	return nil
}

// fetchRow fetches primary sliver f.index into its row, verifying it as it comes in.
func (r *reader) fetchRow(ctx context.Context, f *fetch) error {
	node := r.com.Members()[r.owner(f.index)].Node
	if err := r.c.connect(ctx, node); err != nil {
		return err
	}
	f.connected.Store(true)
	f.moved.Store(time.Now().UnixNano())
	body, err := r.c.swarm.FetchSliver(ctx, node, r.id, shards.Primary, f.index, 0, r.layout.Size())
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	v, err := shards.NewVerifier(r.meta, shards.Primary, f.index)
	if err != nil {
		return err
	}
	_, size := r.layout.Strip(0)
	strip := make([]byte, size)
	for t := range r.layout.Strips() {
		off, size := r.layout.Strip(t)
		n, err := io.ReadFull(progressReader{body, f}, strip[:size])
		if err != nil {
			return fmt.Errorf("sent %d of %d bytes of primary sliver %d: %w", off+int64(n), r.layout.Size(), f.index, err)
		}
		if err := v.WriteStrip(strip[:size]); err != nil {
			return err
		}
		if err := f.row.put(t, strip[:size]); err != nil {
			return &localError{err}
		}
	}
	if err := v.Close(); err != nil {
		return fmt.Errorf("served wrong bytes for primary sliver %d: %w", f.index, err)
	}
	return nil
}

// localError is a failure of this machine, not of a node.
type localError struct{ err error }

func (e *localError) Error() string {
	return fmt.Sprintf("keep a row in a temporary file (set tempDir to a place with room for the blob): %v", e.err)
}

func (e *localError) Unwrap() error { return e.err }

// progressReader notes when bytes last came in.
type progressReader struct {
	io.Reader
	f *fetch
}

func (p progressReader) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	if n > 0 {
		p.f.moved.Store(time.Now().UnixNano())
	}
	return n, err
}

// take records the end of a fetch.
func (r *reader) take(f *fetch) {
	r.flying--
	if r.fetches[f.index] != f { // decoded meanwhile
		if f.err != nil {
			r.blame(r.owner(f.index), f.err)
		}
		return
	}
	if f.err == nil {
		r.state[f.index], r.rows.rows[f.index] = rowHave, f.row
		r.good[r.owner(f.index)] = true
		delete(r.suspect, r.owner(f.index))
		r.took = append(r.took, time.Since(f.start))
		r.res.Fetched += r.layout.Size()
		return
	}
	if errors.Is(f.err, p2p.ErrBusy) {
		if r.busy[f.index]++; r.busy[f.index] <= maxBusy {
			r.state[f.index] = rowBusy
			return
		}
	}
	r.state[f.index] = rowFailed
	r.blame(r.owner(f.index), f.err)
	if !errors.Is(f.err, p2p.ErrNotFound) && !errors.Is(f.err, p2p.ErrCorrupt) && !errors.Is(f.err, p2p.ErrBusy) {
		r.bad[r.owner(f.index)] = true
	}
}

// blame names node i, once; a lie outweighs what was said before.
func (r *reader) blame(i int, err error) {
	m := &r.com.Members()[i]
	named := badNode(m, err)
	for k, b := range r.res.Bad {
		if b.Node == m.Node {
			if named.Lied && !b.Lied {
				r.res.Bad[k] = named
			}
			return
		}
	}
	r.res.Bad = append(r.res.Bad, named)
}

// nameSlow names the nodes that delivered nothing of what they were asked for, and remembers the silent ones for the next.
func (r *reader) nameSlow() {
	for i, s := range r.state {
		if s == rowSlow && !r.good[r.owner(i)] {
			r.blame(r.owner(i), errSilent)
		}
	}
	for i := range r.suspect { // also those that were silent a moment ago and were not asked
		r.blame(i, errSilent)
	}
	r.c.rememberSilent(r.com, r.suspect)
}

// minDialHedge and the factor over the time in which the first node was reached and gave the metadata bound how long a
// row waits for a connection: what another node did in that time, this one should.
const (
	minDialHedge    = time.Second
	dialHedgeFactor = 4
)

// markSlow stops counting on rows that hold up the read: the next one, or when decoding any.
func (r *reader) markSlow() {
	// a row is late that takes far longer than the others did, or, as long as none has come, than a slow line would
	limit := r.c.cfg.Hedge + time.Duration(r.layout.Size())*time.Second/slowLine
	if n := len(r.took); n > 0 {
		sorted := slices.Sorted(slices.Values(r.took))
		limit = max(r.c.cfg.Hedge, slowFactor*sorted[n/2])
	}
	for i, s := range r.state {
		if s != rowFetching || (!r.decode && i != r.next) {
			continue
		}
		patience := r.c.cfg.Hedge
		if !r.fetches[i].connected.Load() {
			patience = min(patience, r.dialHedge)
		}
		silent := time.Since(time.Unix(0, r.fetches[i].moved.Load())) > patience
		late := time.Since(r.fetches[i].start) > limit
		if silent {
			r.suspect[r.owner(i)] = true
		}
		if silent || late {
			r.state[i] = rowSlow
		}
	}
}

// askAgain makes the rows of busy nodes available again.
func (r *reader) askAgain() {
	for i, s := range r.state {
		if s == rowBusy {
			r.state[i] = rowUnknown
		}
	}
}

func (r *reader) count(s rowState) int {
	n := 0
	for _, x := range r.state {
		if x == s {
			n++
		}
	}
	return n
}

func (r *reader) notEnough() error {
	return &NotEnoughError{
		Op: "read " + r.id.String(), Did: "delivered", Have: r.count(rowHave), Needed: r.params.Rows(), Shards: r.params.Shards(),
		Nodes: r.res.Bad, Advice: "try again when more nodes are up",
	}
}
