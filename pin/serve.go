package pin

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"walrus/p2p"
	"walrus/shards"
)

const (
	// serveStep bounds what is sent before the rate is asked again, in bytes.
	serveStep = 256 << 10
	// openFiles bounds the copies that stay open, each with its metadata: at n = 1000 that is 64 KiB.
	openFiles = 64
	// maxComputed bounds the slivers that are encoded at a time: each reads the whole blob.
	maxComputed = 2
	// maxSymbols bounds the bytes of symbols that one request holds in memory.
	maxSymbols = 16 << 20
)

// Metadata returns the metadata of a pinned blob. The errors of this and the next methods wrap those of p2p.
func (k *Keeper) Metadata(_ context.Context, id shards.BlobID) ([]byte, error) {
	c, done, err := k.files.open(id)
	if err != nil {
		return nil, err
	}
	defer done()
	b := c.meta.Marshal()
	if !k.served.take(id, len(b)) {
		return nil, errSpent
	}
	return b, nil
}

var errSpent = fmt.Errorf("%w: this pinner has sent what it gives per day", p2p.ErrBusy)

// OpenSliver opens a sliver of a pinned blob: rows and columns of data are read, all others are encoded.
func (k *Keeper) OpenSliver(ctx context.Context, id shards.BlobID, axis shards.Axis, index int) (p2p.SliverReader, error) {
	if index < 0 || index >= k.cfg.Params.Shards() {
		return nil, fmt.Errorf("%w: no sliver %d among %d", p2p.ErrBadRequest, index, k.cfg.Params.Shards())
	}
	if k.served.spent() {
		return nil, errSpent
	}
	c, done, err := k.files.open(id)
	if err != nil {
		return nil, err
	}
	l := c.line(axis, index)
	if computed(k.cfg.Params, axis, index) {
		if !k.files.compute() {
			done()
			return nil, errEncodes
		}
		k.files.computed() // a reader may be slow: the slot is taken for each window
		l.enter = func() (func(), error) { return k.files.computed, k.files.awaitCompute(ctx) }
	}
	return &sliver{ctx: ctx, k: k, id: id, line: l, close: done}, nil
}

var errEncodes = fmt.Errorf("%w: this pinner encodes other slivers", p2p.ErrBusy)

// Symbols writes symbols of slivers of a pinned blob.
func (k *Keeper) Symbols(ctx context.Context, r p2p.SymbolRequest, w io.Writer) error {
	p := k.cfg.Params
	for _, list := range [][]int{r.Targets, r.Slivers} {
		for _, i := range list {
			if i < 0 || i >= p.Shards() {
				return fmt.Errorf("%w: no line %d among %d", p2p.ErrBadRequest, i, p.Shards())
			}
		}
	}
	c, done, err := k.files.open(r.Blob)
	if err != nil {
		return err
	}
	defer done()
	size, width, end := c.meta.Layout(r.Axis).SymbolSize, int64(p.StripWidth()), r.Offset+r.Length
	if r.SymbolSize != size || r.ProofLen != 0 && r.ProofLen != p.ProofSize() {
		return fmt.Errorf("%w: symbols of this blob have %d bytes and proofs of %d hashes, not %d and %d",
			p2p.ErrBadRequest, size, p.ProofSize(), r.SymbolSize, r.ProofLen)
	}
	if r.Length > 0 && (r.Offset%width != 0 || end%width != 0 && end != size) {
		return fmt.Errorf("%w: bytes [%d, %d) of symbols of %d: must be whole strips of %d", p2p.ErrBadRequest, r.Offset, end, size, width)
	}
	if need := max(r.Length, size*int64(min(r.ProofLen, 1))) * int64(len(r.Targets)); need > maxSymbols {
		return fmt.Errorf("%w: symbols of %d bytes: at most %d at a time", p2p.ErrBusy, need, maxSymbols)
	}
	if !k.files.compute() {
		return errEncodes
	}
	for i, index := range r.Slivers {
		if i > 0 {
			if err := k.files.awaitCompute(ctx); err != nil {
				return err
			}
		}
		b, err := symbols(c, &r.SymbolQuery, index)
		if k.files.computed(); err != nil { // a slot is not held while the peer takes its bytes
			return err
		}
		if err := k.pay(ctx, r.Blob, len(b)); err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// symbols makes the part of an answer that belongs to one sliver.
func symbols(c *copyFile, q *p2p.SymbolQuery, index int) (b []byte, err error) {
	l := c.line(q.Axis, index)
	parts := make([][]byte, len(q.Targets))
	if q.ProofLen == 0 {
		if q.Length == 0 {
			return nil, nil
		}
		err := c.meta.ReadSymbols(q.Axis, index, l, q.Targets, q.Offset, q.Length, func(more [][]byte) error {
			for i := range parts {
				parts[i] = append(parts[i], more[i]...)
			}
			return nil
		})
		for _, part := range parts {
			b = append(b, part...)
		}
		return b, corrupt(err)
	}
	x, kept, err := c.meta.Expand(q.Axis, index, io.NewSectionReader(l, 0, l.layout.Size()), q.Targets)
	if err != nil {
		return nil, corrupt(err)
	}
	for i, target := range q.Targets {
		b = append(b, kept[i][q.Offset:q.Offset+q.Length]...)
		for _, h := range x.Proof(target) {
			b = append(b, h[:]...)
		}
	}
	return b, nil
}

// corrupt marks damage of our copy for the peer.
func corrupt(err error) error {
	if errors.Is(err, shards.ErrSliver) || errors.Is(err, ErrDamaged) {
		return fmt.Errorf("%w: %w", p2p.ErrCorrupt, err)
	}
	return err
}

// pay counts bytes that are about to be sent, and waits until the rate allows them.
func (k *Keeper) pay(ctx context.Context, id shards.BlobID, n int) error {
	if !k.served.take(id, n) {
		return errSpent
	}
	for k.line != nil && n > 0 {
		step := min(n, serveStep)
		if err := k.line.WaitN(ctx, step); err != nil {
			return err
		}
		n -= step
	}
	return nil
}

// sliver is an open sliver. It implements p2p.SliverReader.
type sliver struct {
	ctx   context.Context // of the request: a reader has no other
	k     *Keeper
	id    shards.BlobID
	line  *line
	close func()
}

func (s *sliver) Size() int64 { return s.line.layout.Size() }

func (s *sliver) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.line.ReadAt(p, off)
	if err != nil && err != io.EOF {
		return n, corrupt(err)
	}
	if err := s.k.pay(s.ctx, s.id, n); err != nil {
		return 0, err
	}
	return n, err
}

func (s *sliver) Close() error {
	s.close()
	return nil
}

// files keeps the copies used last open.
type files struct {
	k    *Keeper
	slot chan struct{} // one for each sliver that is encoded

	mu    sync.Mutex
	order *list.List                      // of *openFile, the one used last first; guarded by mu
	byID  map[shards.BlobID]*list.Element // guarded by mu
}

type openFile struct {
	id   shards.BlobID
	file *copyFile
	uses int  // guarded by files.mu
	gone bool // no longer in the list; guarded by files.mu
}

func newFiles(k *Keeper) *files {
	return &files{k: k, slot: make(chan struct{}, maxComputed), order: list.New(), byID: map[shards.BlobID]*list.Element{}}
}

// open opens the copy of a pinned blob. The caller calls done when it needs it no longer.
func (f *files) open(id shards.BlobID) (c *copyFile, done func(), err error) {
	if f.k.cfg.blocked(id) != nil {
		return nil, nil, fmt.Errorf("%w: not pinned here", p2p.ErrNotFound)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.byID[id]; e != nil {
		f.order.MoveToFront(e)
		return f.use(e.Value.(*openFile))
	}
	r, err := f.k.record(id)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil, fmt.Errorf("%w: not pinned here", p2p.ErrNotFound)
	case err != nil:
		return nil, nil, err
	case r.State == refused:
		return nil, nil, fmt.Errorf("%w: not kept here: it is invalid or blocked", p2p.ErrNotFound)
	case r.State != pinned:
		return nil, nil, fmt.Errorf("%w: not whole here yet", p2p.ErrNotFound)
	}
	if c, err = f.k.openCopy(id); err != nil {
		if errors.Is(err, ErrDamaged) {
			f.k.suspect(id)
		}
		return nil, nil, corrupt(err)
	}
	o := &openFile{id: id, file: c}
	f.byID[id] = f.order.PushFront(o)
	for f.order.Len() > openFiles {
		f.drop(f.order.Back())
	}
	return f.use(o)
}

func (f *files) use(o *openFile) (*copyFile, func(), error) {
	o.uses++
	return o.file, sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if o.uses--; o.gone && o.uses == 0 {
			_ = o.file.Close() // only read
		}
	}), nil
}

// drop takes a copy out of the list; the last user closes it. f.mu is held.
func (f *files) drop(e *list.Element) {
	o := f.order.Remove(e).(*openFile)
	delete(f.byID, o.id)
	if o.gone = true; o.uses == 0 {
		_ = o.file.Close() // only read
	}
}

// forget lets nobody else use the copy of a blob.
func (f *files) forget(id shards.BlobID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.byID[id]; e != nil {
		f.drop(e)
	}
}

func (f *files) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.order.Len() > 0 {
		f.drop(f.order.Back())
	}
}

// compute takes the right to encode a sliver; computed gives it back.
func (f *files) compute() bool {
	select {
	case f.slot <- struct{}{}:
		return true
	default:
		return false
	}
}

// awaitCompute waits for it.
func (f *files) awaitCompute(ctx context.Context) error {
	select {
	case f.slot <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (f *files) computed() { <-f.slot }

// suspect lets a blob be checked at once.
func (k *Keeper) suspect(id shards.BlobID) {
	if err := k.alterBlob(id, func(r *record) error {
		r.Check = time.Now()
		return nil
	}); err != nil && !errors.Is(err, ErrNotFound) {
		k.log.Warn("note that a pinned blob must be checked", "blob", id.String(), "err", err)
	}
	k.wake()
}

// meter counts what is served.
type meter struct {
	daily int64 // constant; 0: no bound

	mu sync.Mutex
	dayCount
	total uint64                   // since Open; guarded by mu, as is dayCount
	blobs map[shards.BlobID]uint64 // not written down yet; guarded by mu
}

// dayCount is the number of bytes that were served on a day.
type dayCount struct {
	Day   int64 `json:"day"` // since 1970
	Today int64 `json:"today"`
}

func newMeter(daily int64) *meter { return &meter{daily: daily, blobs: map[shards.BlobID]uint64{}} }

// turn begins a new day. m.mu is held.
func (m *meter) turn() {
	if day := time.Now().Unix() / 86400; day != m.Day {
		m.Day, m.Today = day, 0
	}
}

// take counts bytes unless the day's share is used up.
func (m *meter) take(id shards.BlobID, n int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.turn(); m.daily > 0 && m.Today+int64(n) > m.daily {
		return false
	}
	m.Today += int64(n)
	m.total += uint64(n)
	m.blobs[id] += uint64(n)
	return true
}

func (m *meter) spent() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn()
	return m.daily > 0 && m.Today >= m.daily
}

func (m *meter) pending(id shards.BlobID) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.blobs[id]
}

func (m *meter) totals() (total uint64, today int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn()
	return m.total, m.Today
}

// flushServed writes down what was served.
func (k *Keeper) flushServed() error {
	k.served.mu.Lock()
	blobs := k.served.blobs
	k.served.blobs = map[shards.BlobID]uint64{}
	day := k.served.dayCount
	k.served.mu.Unlock()
	if len(blobs) == 0 {
		return nil
	}
	if err := k.db.update(func(t *tx) error { return t.put([]byte{keyDay}, &day) }); err != nil {
		return err
	}
	for id, n := range blobs {
		if err := k.alterBlob(id, func(r *record) error {
			r.Served += n
			return nil
		}); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}

// removeFile removes a file that may be gone already.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
