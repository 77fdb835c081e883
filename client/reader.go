package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"walrus/certs"
	"walrus/gather"
	"walrus/shards"
)

const (
	// maxWindow bounds the rows fetched at once.
	maxWindow = 32
	// readTick is the interval at which slow rows are looked for and busy nodes are asked again.
	readTick = 200 * time.Millisecond
	// slowFactor: a row that takes this many times the median is slow.
	slowFactor = 4
	// slowLine is the rate, in bytes per second, below which the first rows are slow.
	slowLine = 1 << 20
)

type rowState uint8

const (
	rowUnknown  rowState = iota
	rowFetching          // on its way
	rowSlow              // on its way, but too slow to count on
	rowBusy              // its node was busy; asked again after its rest
	rowHave              // verified, in the row store
	rowFailed            // cannot be fetched
	rowDropped           // written out and no longer held
)

// reader reads one range of a blob. The goroutine of run owns every field, except constants and those marked.
type reader struct {
	c        *Client // constant, as the next eight
	blob     *Blob
	com      *certs.Committee
	params   shards.Params
	meta     *shards.Metadata
	id       shards.BlobID
	layout   shards.Layout // of a row
	owners   []int         // committee index by primary index
	w        io.Writer
	progress Progress

	rows    *rowStore
	state   []rowState // by primary index
	fetches []*fetch   // by primary index; the newest
	holders gather.Holders
	off     int64 // byte of the blob to write out next
	end     int64 // where the range ends
	total   int64 // bytes of the range
	need    int   // index after the last source row of the range; later rows are not wanted, or padding
	next    int   // source row to write out next
	decode  bool  // some source row must be decoded: keep every row
	keep    bool  // rows stay in the row store after they are written out
	flying  int   // fetches under way
	// dialHedge: a row that waits this long for a connection is decoded from others instead.
	dialHedge time.Duration
	took      []time.Duration
	results   chan *fetch
	res       *ReadResult
}

// fetch is one attempt to fetch a row.
type fetch struct {
	index int
	call  *rowCall // shared by all reads that want the row now
	ours  bool     // this read started the call
	start time.Time
	err   error // nil: the row was fetched and verified
}

// newReader makes a reader of n bytes of the blob from off; the range must lie within the blob.
func newReader(b *Blob, w io.Writer, off, n int64, progress Progress) *reader {
	c, com, meta := b.c, b.com, b.meta
	params := com.Params()
	layout := meta.Layout(shards.Primary)
	r := &reader{
		c: c, blob: b, com: com, params: params, meta: meta, id: b.id, layout: layout, w: w, progress: progress,
		rows: &rowStore{rows: map[int]held{}, place: rowPlace{
			layout: layout, memory: c.cfg.ReadMemory / 2, file: &spillFile{dir: c.cfg.TempDir}, buffers: c.buffers,
		}},
		state: make([]rowState, params.Shards()), fetches: make([]*fetch, params.Shards()),
		holders: c.silentNodes(com), owners: gather.Owners(com, b.id, shards.Primary), results: make(chan *fetch, params.Shards()),
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

// run writes out the range. Every fetch it started has ended when it returns.
func (r *reader) run(ctx context.Context) error {
	defer r.rows.close()
	ctx, cancel := context.WithCancel(ctx)
	var g errgroup.Group
	defer func() {
		cancel()
		_ = g.Wait()
		for len(r.results) > 0 {
			(<-r.results).leave()
		}
		r.nameFailed()
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
			r.settle() // rows that another read has decoded are fetched after all
			continue
		}
		r.schedule(ctx, &g)
		if r.flying == 0 && r.count(rowBusy) == 0 {
			return r.notEnough()
		}
		select {
		case f := <-r.results:
			if err := r.take(f); err != nil {
				return err
			}
		case <-tick.C:
			for len(r.results) > 0 { // came in while rows were written out
				if err := r.take(<-r.results); err != nil {
					return err
				}
			}
			r.markSlow()
			r.askAgain()
		case <-ctx.Done():
			return fmt.Errorf("read %s: %w", r.id, ctx.Err())
		}
	}
}

// emit writes out, in order, the next rows that have come in.
func (r *reader) emit() error {
	for r.next < r.need && r.state[r.next] == rowHave {
		start := int64(r.next) * r.layout.Size()
		to := min(r.layout.Size(), r.end-start)
		n, err := r.rows.rows[r.next].writeTo(r.w, r.off-start, to)
		r.off += n
		if errors.Is(err, errRotten) {
			r.discard(r.next, err)
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: write row %d: %w", r.id, r.next, err)
		}
		_, cached := r.rows.rows[r.next].row.(*cachedRow) // cheap to read again, and holds an open file
		if (!r.keep || cached) && !r.decode {
			r.rows.drop(r.next)
			r.state[r.next] = rowDropped
		}
		r.next++
		r.progress.report(Reading, r.total-(r.end-r.off), r.total)
	}
	return nil
}

// discard drops a cached row that turned out damaged, so that it is fetched again.
func (r *reader) discard(i int, err error) {
	h := r.rows.rows[i]
	if c, ok := h.row.(*cachedRow); ok {
		c.drop(err)
	}
	h.call.forget()
	r.rows.drop(i)
	r.state[i] = rowUnknown
}

// schedule starts fetches: the next source rows within the window, or, once a row must be decoded, as many rows as
// decoding lacks.
func (r *reader) schedule(ctx context.Context, g *errgroup.Group) {
	r.settle()
	window := int(min(max(r.c.cfg.ReadMemory/r.layout.Size(), 2), maxWindow))
	if !r.decode {
		for i := r.next; i < min(r.next+window, r.need) && r.flying < window; i++ {
			if r.state[i] == rowUnknown {
				r.start(ctx, g, i)
			}
		}
		return
	}
	lacking := r.params.Rows() - r.count(rowHave) - r.count(rowFetching)
	for _, wanted := range []rowState{rowUnknown, rowDropped} { // rows already written out are fetched again only if need be
		for _, desperate := range []bool{false, true} {
			for k := 0; k < len(r.state) && lacking > 0 && r.count(rowFetching) < maxWindow; k++ {
				i := (r.next + k) % len(r.state) // first rows still to be written, then parity
				if r.state[i] != wanted || (r.holders.Silent(r.owners[i]) && !desperate) {
					continue
				}
				r.start(ctx, g, i)
				lacking--
			}
		}
	}
}

// settle marks unfetched rows of bad nodes as failed, and decides whether rows not yet written must be decoded. The
// decision is reversed if the missing row comes in after all.
func (r *reader) settle() {
	for i, s := range r.state {
		if (s == rowUnknown || s == rowBusy || s == rowDropped) && r.holders.Out(r.owners[i]) && !r.c.cache.has(r.id, i) {
			r.state[i] = rowFailed
		}
	}
	r.decode = false
	for i := r.next; i < r.need && !r.decode; i++ {
		s := r.state[i]
		r.decode = s == rowFailed || s == rowSlow || (s == rowUnknown && r.holders.Silent(r.owners[i]) && !r.c.cache.has(r.id, i))
	}
	r.rows.spill = r.decode && !r.keep
}

func (r *reader) start(ctx context.Context, g *errgroup.Group, index int) {
	f := &fetch{index: index, start: time.Now()}
	key := rowKey{blob: r.id, index: index, node: r.com.Members()[r.owners[index]].Node}
	f.call, f.ours = r.c.flights.join(ctx, key, func() *flight {
		fl := &flight{key: key, blob: r.blob, place: r.rows.place, spill: r.rows.spill}
		fl.moved.Store(f.start.UnixNano())
		return fl
	}, func(ctx context.Context, fl *flight, ready func()) error { return fl.run(ctx, ready) })
	r.fetches[index], r.state[index] = f, rowFetching
	r.flying++
	g.Go(func() error {
		if f.err = f.call.wait(ctx); f.err != nil {
			f.call.leave()
		}
		r.results <- f
		return nil
	})
}

// leave releases a fetched row that the reader will not take.
func (f *fetch) leave() {
	if f.err == nil {
		f.call.leave()
	}
}

// askAgain makes the rows of busy nodes available again.
func (r *reader) askAgain() {
	now := time.Now()
	for i, s := range r.state {
		if s == rowBusy && !now.Before(r.holders.Rest(r.owners[i])) {
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
		Nodes: blame(r.res.Bad, r.com, r.holders.Failures()), Advice: "try again when more nodes are up",
	}
}
