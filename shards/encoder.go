package shards

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// Encoder encodes one blob in two passes over its bytes: Metadata, and Strips, once its result is known. Its memory
// does not grow with the blob. It is safe for concurrent use if the source is.
type Encoder struct {
	src  source
	mu   sync.Mutex
	free []stripMemory // guarded by mu
	slab []byte        // guarded by mu; the memory into which a blob is read
}

// NewEncoder returns the encoder of the first length bytes of src. src must not change while it is in use, and must
// allow concurrent calls, as io.ReaderAt demands.
func NewEncoder(p Params, src io.ReaderAt, length uint64) (*Encoder, error) {
	if length > MaxLength {
		return nil, fmt.Errorf("encode blob of %d bytes: the limit is %d", length, uint64(MaxLength))
	}
	return &Encoder{src: source{Params: p, r: src, length: int64(length), z: p.SymbolSize(length)}}, nil
}

// StripSize returns the memory of one Strip, in bytes.
func (e *Encoder) StripSize() int64 {
	p := e.src.Params
	return int64(p.n) * int64(p.Rows()+p.Columns()) * int64(p.Layout(Primary, uint64(e.src.length)).StripWidth(0))
}

// Strips is pass two: it computes every strip in order and calls emit with it. The receiver owns the strip until
// Release, also after emit has returned. Memory: every strip the receiver has not released, plus at most 264 MiB of
// read-ahead and scratch, the same memory as in pass one. The receiver bounds it by releasing strips. Strips ends with
// the first error of emit, of the source, or of ctx.
func (e *Encoder) Strips(ctx context.Context, emit func(*Strip) error) error {
	return e.strips(ctx.Err, emit)
}

func (e *Encoder) strips(stopped func() error, emit func(*Strip) error) error {
	f := e.newFill()
	defer f.close()
	for t := range f.layout.Strips() {
		if err := stopped(); err != nil {
			return err
		}
		s, err := f.strip(t)
		if err != nil {
			return err
		}
		if err := emit(s); err != nil {
			return err
		}
	}
	return nil
}

// take returns free memory.
func (e *Encoder) take() (m stripMemory) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if last := len(e.free) - 1; last >= 0 {
		m, e.free = e.free[last], e.free[:last]
	}
	return m
}

func (e *Encoder) giveBack(m stripMemory) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.free = append(e.free, m)
}

// takeSlab returns the slab, or nil if it is in use.
func (e *Encoder) takeSlab() (slab []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	slab, e.slab = e.slab, nil
	return slab
}

func (e *Encoder) putSlab(slab []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.slab = slab
}

// Pair is a sliver pair: the primary sliver i and the secondary sliver n−1−i, in strip order.
type Pair struct{ Primary, Secondary []byte }

// Encode returns the metadata of blob and its n sliver pairs, by pair index, in strip order.
func Encode(p Params, blob []byte) (*Metadata, []Pair, error) {
	e, err := NewEncoder(p, Bytes(blob), uint64(len(blob)))
	if err != nil {
		return nil, nil, err
	}
	never := func() error { return nil }
	m, err := e.metadata(never, nil)
	if err != nil {
		return nil, nil, err
	}
	pairs := make([]Pair, p.n)
	for i := range pairs {
		pairs[i].Primary = make([]byte, 0, m.Layout(Primary).Size())
		pairs[i].Secondary = make([]byte, 0, m.Layout(Secondary).Size())
	}
	err = e.strips(never, func(s *Strip) error {
		defer s.Release()
		for i := range pairs {
			pairs[i].Primary = append(pairs[i].Primary, s.Sliver(Primary, i)...)
			pairs[i].Secondary = append(pairs[i].Secondary, s.Sliver(Secondary, p.SliverOfPair(Secondary, i))...)
		}
		return nil
	})
	return m, pairs, err
}
