package client

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"walrus/certs"
	"walrus/gather"
	"walrus/shards"
)

// maxBatch bounds the columns fetched together, and thereby the symbols asked of one node at once.
const maxBatch = 128

// columnReader fetches secondary slivers of one blob, batch by batch. One goroutine uses it.
type columnReader struct {
	c         *Client // constant, as the next seven
	com       *certs.Committee
	params    shards.Params
	meta      *shards.Metadata
	id        shards.BlobID
	layout    shards.Layout // of a column
	dialHedge time.Duration
	owner     []int     // committee index by column
	file      *tempFile // holds columns too large for memory; nil until needed
	end       int64     // of the file
	strict    bool      // compare every cell; constant
	pinned    *Blob     // read from its pinners; nil while the committee delivers
	whole     *tempFile // all of it; nil until needed
	holders   gather.Holders
	res       *QuiltRead
}

func (q *Quilt) newReader(res *QuiltRead) *columnReader {
	return &columnReader{
		c: q.c, com: q.com, params: q.com.Params(), meta: q.meta, id: q.id, layout: q.meta.Layout(shards.Secondary),
		pinned: q.pinned, dialHedge: q.dialHedge, owner: gather.Owners(q.com, q.id, shards.Secondary), holders: q.c.nodes.known(q.com),
		res: res,
	}
}

// close names the nodes that failed, and remembers the silent ones for later reads.
func (r *columnReader) close() {
	r.res.Bad = blame(r.res.Bad, r.com, r.holders.Failures())
	r.c.nodes.rememberSilent(r.com, r.holders)
	for _, f := range []*tempFile{r.file, r.whole} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// memory bounds one batch: one batch is read while another waits and a third is fetched.
func (r *columnReader) memory() int64 { return r.c.cfg.ReadMemory / 4 }

func (r *columnReader) batchSize() int { return int(min(max(r.memory()/r.layout.Size(), 1), maxBatch)) }

// column is a verified sliver in the plain order of its symbols, in memory or in a file.
type column struct {
	plain  []byte
	file   *tempFile
	off    int64
	size   int64
	leaves []shards.Hash // of its expansion; nil once the column has been compared with rows
}

func (r *columnReader) create() (column, error) {
	size := r.layout.Size()
	if size <= r.memory() {
		return column{plain: make([]byte, size), size: size}, nil
	}
	if r.file == nil {
		f, err := newTempFile(r.c.cfg.TempDir, "walrus-quilt-*")
		if err != nil {
			return column{}, &localError{err}
		}
		r.file = f
	}
	c := column{file: r.file, off: r.end, size: size}
	r.end += size
	return c, nil
}

// put writes strip t of the sliver.
func (c *column) put(layout shards.Layout, t int, strip []byte) error {
	if c.file == nil {
		layout.Scatter(c.plain, t, strip)
		return nil
	}
	width := layout.StripWidth(t)
	for k := range layout.Symbols {
		at := c.off + int64(k)*layout.SymbolSize + int64(t)*int64(layout.Width)
		if _, err := c.file.WriteAt(strip[k*width:(k+1)*width], at); err != nil {
			return err
		}
	}
	return nil
}

func (c *column) read(p []byte, off int64) (int, error) {
	p = p[:min(int64(len(p)), c.size-off)]
	if c.file == nil {
		return copy(p, c.plain[off:]), nil
	}
	return c.file.ReadAt(p, c.off+off)
}

// columnStream reads columns one after the other as bytes.
type columnStream struct {
	more  func() ([]column, error) // fetches the next columns
	ready []column
	off   int64 // byte to read next in the first ready column
	left  int   // columns until the end of a file; 0 without files
}

// Read reads from the first column that is not used up.
func (s *columnStream) Read(p []byte) (int, error) {
	if len(s.ready) > 0 && s.off == s.ready[0].size {
		s.advance()
	}
	if len(s.ready) == 0 {
		var err error
		if s.ready, err = s.more(); err != nil {
			return 0, err
		}
	}
	n, err := s.ready[0].read(p, s.off)
	s.off += int64(n)
	return n, err
}

func (s *columnStream) advance() {
	s.ready[0] = column{} // lets its memory be freed
	s.ready, s.off = s.ready[1:], 0
	s.left--
}

// skip advances to the end of the file's last column.
func (s *columnStream) skip() error {
	for s.left > 0 {
		if len(s.ready) == 0 {
			var err error
			if s.ready, err = s.more(); err != nil {
				return err
			}
		}
		s.advance()
	}
	return nil
}

// columnFetch is one attempt to fetch a column from its node.
type columnFetch struct {
	index     int
	column    column
	start     time.Time
	connected atomic.Bool
	moved     atomic.Int64 // when bytes last came in, unix nanoseconds
	err       error
}

// Write records that bytes came in.
func (f *columnFetch) Write(p []byte) (int, error) {
	f.moved.Store(time.Now().UnixNano())
	return len(p), nil
}

// fetchColumn fetches secondary sliver f.index, verifying it as it comes in.
func (r *columnReader) fetchColumn(ctx context.Context, f *columnFetch) error {
	node := r.com.Members()[r.owner[f.index]].Node
	if err := r.c.nodes.Connect(ctx, node); err != nil {
		return err
	}
	f.connected.Store(true)
	f.moved.Store(time.Now().UnixNano())
	body, err := r.c.nodes.FetchSliver(ctx, node, r.id, shards.Secondary, f.index, 0, r.layout.Size())
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	return r.fill(&f.column, f.index, io.TeeReader(body, f))
}

func (r *columnReader) fill(c *column, index int, from io.Reader) error {
	leaves, err := readSliver(r.meta, shards.Secondary, index, from,
		func(t int, strip []byte) error { return c.put(r.layout, t, strip) })
	c.leaves = leaves
	return err
}

// batch fetches columns, compares them with rows, and returns them in the order of list. Every goroutine it started has
// ended when it returns.
func (r *columnReader) batch(ctx context.Context, list []int) ([]column, error) {
	if r.pinned == nil {
		got, err := r.fetchBatch(ctx, list)
		if err = r.c.orInvalid(ctx, r.id, err); !r.c.pins.worth(ctx, err) {
			return got, err
		}
		from := r.c.pins.find(ctx, r.params, r.id)
		if from == nil {
			return nil, err
		}
		r.pinned = &Blob{c: r.c, com: r.com, meta: r.meta, id: r.id, pins: from, why: err}
	}
	return r.fromBlob(ctx, list)
}

// fromBlob makes columns from the rows of a pinned blob, all of which it reads once. The rows are the content: there is
// nothing to compare the columns with.
func (r *columnReader) fromBlob(ctx context.Context, list []int) ([]column, error) {
	if r.whole == nil {
		f, err := newTempFile(r.c.cfg.TempDir, "walrus-quilt-*")
		if err != nil {
			return nil, &localError{err}
		}
		r.whole = f
		res, err := r.pinned.CopyRange(ctx, f, 0, int64(r.meta.Length), ReadOptions{})
		r.res.Fetched += res.Fetched
		r.res.Bad = append(r.res.Bad, res.Bad...)
		if err != nil {
			return nil, err
		}
	}
	z, row := r.layout.SymbolSize, r.meta.Layout(shards.Primary).Size()
	out := make([]column, 0, len(list))
	symbol := make([]byte, z)
	for _, j := range list {
		c, err := r.create()
		if err != nil {
			return nil, err
		}
		for k := range r.layout.Symbols {
			at := int64(k)*row + int64(j)*z
			clear(symbol)
			if n := min(z, int64(r.meta.Length)-at); n > 0 {
				if _, err := r.whole.ReadAt(symbol[:n], at); err != nil {
					return nil, &localError{err}
				}
			}
			if c.file == nil {
				copy(c.plain[int64(k)*z:], symbol)
			} else if _, err := c.file.WriteAt(symbol, c.off+int64(k)*z); err != nil {
				return nil, &localError{err}
			}
		}
		out = append(out, c)
		r.res.Columns++
	}
	return out, nil
}

func (r *columnReader) fetchBatch(ctx context.Context, list []int) ([]column, error) {
	ctx, cancel := context.WithCancel(ctx)
	var g errgroup.Group
	defer func() {
		cancel()
		_ = g.Wait()
	}()
	b := newColumnBatch(r, &g, list)
	check := r.checkCells(ctx, b.wanted)
	defer check.close()
	tick := time.NewTicker(readTick)
	defer tick.Stop()
	for len(b.have) < len(b.wanted) {
		if err := b.schedule(ctx); err != nil {
			return nil, err
		}
		select {
		case f := <-b.results:
			if local := (*localError)(nil); errors.As(f.err, &local) {
				return nil, local
			}
			b.finish(f)
		case rec := <-b.recovering:
			if err := b.recovered(rec); err != nil {
				return nil, err
			}
		case <-tick.C:
			b.markSlow()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err := check.compare(ctx, b.have); err != nil {
		return nil, err
	}
	out := make([]column, len(list))
	for i, c := range list {
		out[i] = b.have[c]
		out[i].leaves = nil
	}
	return out, nil
}
