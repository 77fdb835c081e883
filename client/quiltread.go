package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"walrus/certs"
	"walrus/quilt"
	"walrus/shards"
)

// Quilt reads files of one quilt. Its metadata and index are in memory. It needs no closing and is safe for concurrent
// use.
type Quilt struct {
	c      *Client          // constant, as all fields
	com    *certs.Committee // of the epoch in which it was opened
	meta   *shards.Metadata
	id     shards.BlobID
	index  *quilt.Index
	pinned *Blob // read from its pinners, because the committee does not have it; else nil
	opened QuiltRead
	// dialHedge: a column that waits this long for a connection is recovered from other nodes instead.
	dialHedge time.Duration
}

// QuiltRead reports how a read of files went.
type QuiltRead struct {
	Size      uint64    // bytes of the files' contents
	Fetched   int64     // bytes of slivers, and of symbols with their proofs, received and verified
	Columns   int       // columns fetched as slivers
	Recovered int       // columns made from other nodes' symbols because their own nodes did not deliver
	Bad       []BadNode // nodes that served wrong bytes or did not deliver
}

// Visit receives one file: its place, and its identifier, tags and size from the file's own header. content fetches the
// bytes while it writes them out. Visit may leave content unread. Its first error ends the read.
type Visit func(p quilt.Patch, content io.WriterTo) error

// OpenQuilt finds the quilt and reads its index. It fetches the metadata and the index columns. Errors: as from Read,
// and quilt.ErrFormat for a blob that is no quilt.
func (c *Client) OpenQuilt(ctx context.Context, id shards.BlobID) (*Quilt, error) {
	q, err := c.findQuilt(ctx, id)
	if err != nil {
		return nil, err
	}
	r := q.newReader(&q.opened)
	defer r.close()
	next := 0
	stream := &columnStream{more: func() ([]column, error) {
		next++
		return r.batch(ctx, []int{next - 1})
	}}
	if q.index, err = quilt.ReadIndex(q.com.Params(), q.meta.Length, stream); err != nil {
		return nil, fmt.Errorf("open quilt %s: %w", id, err)
	}
	return q, nil
}

// findQuilt finds the blob without reading the index.
func (c *Client) findQuilt(ctx context.Context, id shards.BlobID) (*Quilt, error) {
	com, err := c.Committee(ctx)
	if err != nil {
		return nil, fmt.Errorf("open quilt: %w", err)
	}
	start := time.Now()
	meta, bad, err := c.find(ctx, com, id, "open quilt "+id.String())
	if c.pins.worth(ctx, err) {
		if from := c.pins.find(ctx, com.Params(), id); from != nil {
			b := &Blob{c: c, com: com, meta: from.meta, id: id, bad: from.bad, pins: from, why: err}
			return &Quilt{c: c, com: com, meta: from.meta, id: id, pinned: b, opened: QuiltRead{Bad: from.bad}}, nil
		}
	}
	if err != nil {
		return nil, err
	}
	hedge := max(minDialHedge, dialHedgeFactor*time.Since(start))
	return &Quilt{c: c, com: com, meta: meta, id: id, dialHedge: hedge, opened: QuiltRead{Bad: bad}}, nil
}

// ReadPatches reads files by their patch IDs, quilt after quilt, without any index. See Quilt.Read.
func (c *Client) ReadPatches(ctx context.Context, ids []quilt.PatchID, opt ReadOptions,
	visit Visit) (*QuiltRead, error) {
	res := &QuiltRead{}
	var order []shards.BlobID
	patches := map[shards.BlobID][]quilt.Patch{}
	for _, id := range ids {
		if patches[id.Quilt] == nil {
			order = append(order, id.Quilt)
		}
		patches[id.Quilt] = append(patches[id.Quilt], id.Patch())
	}
	for _, id := range order {
		q, err := c.findQuilt(ctx, id)
		if err != nil {
			return res, err
		}
		one, err := q.Read(ctx, patches[id], opt, visit)
		res.add(one)
		res.add(&q.opened)
		if err != nil {
			return res, err
		}
	}
	return res, nil
}

func (a *QuiltRead) add(b *QuiltRead) {
	a.Size += b.Size
	a.Fetched += b.Fetched
	a.Columns += b.Columns
	a.Recovered += b.Recovered
	for _, n := range b.Bad {
		if !slices.ContainsFunc(a.Bad, func(m BadNode) bool { return m.Node == n.Node && m.Lied == n.Lied }) {
			a.Bad = append(a.Bad, n)
		}
	}
}

// ID returns the quilt's blob ID.
func (q *Quilt) ID() shards.BlobID { return q.id }

// Size returns the size of the quilt as a blob, in bytes.
func (q *Quilt) Size() uint64 { return q.meta.Length }

// Index returns the index of the files. It is shared and read-only.
func (q *Quilt) Index() *quilt.Index { return q.index }

// Find returns the files with the given identifiers, in their order. Errors wrap ErrNoFile.
func (q *Quilt) Find(identifiers ...string) ([]quilt.Patch, error) {
	var patches []quilt.Patch
	for _, identifier := range identifiers {
		p, ok := q.index.Find(identifier)
		if !ok {
			return nil, fmt.Errorf("quilt %s: %.80q: %w", q.id, identifier, ErrNoFile)
		}
		patches = append(patches, p)
	}
	return patches, nil
}

// Opened reports what reading the index took.
func (q *Quilt) Opened() QuiltRead { return q.opened }

// Stat reads the header of the file at p: identifier, tags, and size, which the index lacks. It fetches the columns
// that hold the header: one column for most files. Errors: as from Read.
func (q *Quilt) Stat(ctx context.Context, p quilt.Patch) (quilt.Patch, error) {
	if p.Start < 1 || p.End <= p.Start || p.End > q.com.Params().Columns() {
		return p, fmt.Errorf("read quilt %s: %w: it has no columns %d to %d", q.id, quilt.ErrFormat, p.Start, p.End-1)
	}
	r := q.newReader(&QuiltRead{})
	defer r.close()
	next := p.Start
	stream := &columnStream{left: p.End - p.Start, more: func() ([]column, error) {
		if next == p.End {
			return nil, io.ErrUnexpectedEOF
		}
		next++
		return r.batch(ctx, []int{next - 1})
	}}
	found, err := quilt.ReadFile(q.com.Params(), q.meta.Length, p, stream)
	if err != nil {
		return p, fmt.Errorf("read quilt %s: %w", q.id, err)
	}
	return found, nil
}

// CopyFile writes the content of one file to w and returns its identifier, tags and size. See Read.
func (q *Quilt) CopyFile(ctx context.Context, w io.Writer, p quilt.Patch) (quilt.Patch, *QuiltRead, error) {
	found := p
	res, err := q.Read(ctx, []quilt.Patch{p}, ReadOptions{}, func(p quilt.Patch, content io.WriterTo) error {
		found = p
		_, err := content.WriteTo(w)
		return err
	})
	return found, res, err
}

// Read reads files in the order of their columns, and fetches only those columns. A column is a secondary sliver,
// verified against the metadata before use. If its node does not deliver, the column is made from other nodes' symbols.
// Columns are fetched ahead within a bound on memory, and compared with some of the rows that they cross before a byte
// of them is used; with Strict, with all data rows. With an error Read also returns the result so far. Errors:
// quilt.ErrFormat if there is no such file, ErrInvalidBlob, *NotEnoughError, or visit's own.
func (q *Quilt) Read(ctx context.Context, patches []quilt.Patch, opt ReadOptions, visit Visit) (*QuiltRead, error) {
	res := &QuiltRead{}
	patches = slices.Clone(patches)
	slices.SortStableFunc(patches, func(a, b quilt.Patch) int { return cmp.Compare(a.Start, b.Start) })
	var list []int
	for _, p := range patches {
		if p.Start < 1 || p.End <= p.Start || p.End > q.com.Params().Columns() {
			return res, fmt.Errorf("read quilt %s: %w: it has no columns %d to %d", q.id, quilt.ErrFormat, p.Start, p.End-1)
		}
		for c := p.Start; c < p.End; c++ {
			list = append(list, c)
		}
	}
	r := q.newReader(res)
	defer r.close()
	r.strict = opt.Strict
	ctx, cancel := context.WithCancel(ctx)
	var g errgroup.Group
	batches, failed := make(chan []column), error(nil)
	g.Go(func() error {
		defer close(batches)
		for part := range slices.Chunk(list, r.batchSize()) {
			got, err := r.batch(ctx, part)
			if err != nil {
				failed = err
				return nil
			}
			select {
			case batches <- got:
			case <-ctx.Done():
				failed = ctx.Err()
				return nil
			}
		}
		return nil
	})
	stream := &columnStream{more: func() ([]column, error) {
		if got, ok := <-batches; ok {
			return got, nil
		}
		return nil, cmp.Or(failed, io.ErrUnexpectedEOF)
	}}
	written, err := q.visitAll(stream, patches, opt.Progress, visit)
	cancel()
	_ = g.Wait()
	res.Size = written
	return res, err
}

// visitAll takes the files out of the columns, which stream returns in order.
func (q *Quilt) visitAll(stream *columnStream, patches []quilt.Patch, progress Progress,
	visit Visit) (written uint64, err error) {
	total, done := int64(0), int64(0)
	column := q.meta.Layout(shards.Secondary).Size()
	for _, p := range patches {
		total += int64(p.End-p.Start) * column
	}
	for _, p := range patches {
		stream.left = p.End - p.Start
		found, err := quilt.ReadFile(q.com.Params(), q.meta.Length, p, stream)
		if err != nil {
			return written, fmt.Errorf("read quilt %s: %w", q.id, err)
		}
		content := &fileContent{r: stream, left: found.Size, tell: func(n int64) { progress.report(Reading, done+n, total) }}
		err = visit(found, content)
		written += uint64(found.Size - content.left)
		if err != nil {
			return written, err
		}
		if content.err != nil {
			return written, fmt.Errorf("read quilt %s: %w", q.id, content.err)
		}
		if err := stream.skip(); err != nil {
			return written, fmt.Errorf("read quilt %s: %w", q.id, err)
		}
		done += int64(p.End-p.Start) * column
		progress.report(Reading, done, total)
	}
	return written, nil
}

// fileContent reads the rest of the file at which a stream stands.
type fileContent struct {
	r    io.Reader
	left int64
	err  error // error of r
	tell func(written int64)
	sum  int64
}

// contentBuffer bounds the bytes written out at once.
const contentBuffer = 64 << 10

// WriteTo writes the rest of the content.
func (f *fileContent) WriteTo(w io.Writer) (n int64, err error) {
	buf := make([]byte, min(contentBuffer, max(f.left, 1)))
	for f.left > 0 {
		k, err := f.r.Read(buf[:min(int64(len(buf)), f.left)])
		if k > 0 {
			m, err := w.Write(buf[:k])
			n, f.sum, f.left = n+int64(m), f.sum+int64(m), f.left-int64(m)
			f.tell(f.sum)
			if err != nil {
				return n, err
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			f.err = err
			return n, err
		}
	}
	return n, nil
}
