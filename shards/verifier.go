package shards

import (
	"fmt"
	"slices"
	"sync"

	"walrus/shards/fft16"
	"walrus/shards/treehash"
)

// Verifier checks one sliver against its root in the metadata while it arrives: feed it every strip in order, then
// Close. It keeps 65 bytes for each of the n symbols. If strips end inside a block of the hash, it also keeps up to
// 256 for each of the sliver's own symbols.
type Verifier struct {
	axis   Axis
	index  int
	root   Hash
	layout Layout
	strip  int // index of the next one
	stop   int // number of strips to read
	line   *line
	window int // bytes of each symbol to collect, if strips end inside a block of the hash
	have   int // bytes of each symbol collected so far
	memory *verifierMemory
	closed bool
	result error // the result of Close
}

// verifierMemory is reused by later Verifiers.
type verifierMemory struct {
	leaves treehash.Leaves
	cells  []byte // the collected bytes
}

var verifierMemories = sync.Pool{New: func() any { return new(verifierMemory) }}

// straddling is the number of bytes of each symbol that a Verifier collects if strips end inside a block of the hash.
const straddling = 2 * treehash.Window

// NewVerifier returns a Verifier of sliver index along axis.
func NewVerifier(m *Metadata, axis Axis, index int) (*Verifier, error) {
	return newVerifier(m, axis, index, nil)
}

func newVerifier(m *Metadata, axis Axis, index int, targets []int) (*Verifier, error) {
	if err := m.check(axis, index); err != nil {
		return nil, err
	}
	p, layout := m.Params(), m.Layout(axis)
	memory := verifierMemories.Get().(*verifierMemory)
	if memory.leaves.Len() != p.n {
		memory.leaves = treehash.NewLeaves(p.n)
	} else {
		memory.leaves.Reset()
	}
	v := &Verifier{
		axis: axis, index: index, root: m.Root(axis, index), layout: layout, memory: memory, stop: layout.Strips(),
		line: p.newLine(axis, layout.SymbolSize, memory.leaves, targets),
	}
	v.window = min(straddling, v.line.windowWidth())
	return v, nil
}

// WriteStrip adds the next strip, whose size must be exactly as Layout has it. Errors wrap ErrSliver.
func (v *Verifier) WriteStrip(strip []byte) error {
	if v.closed || v.strip >= v.layout.Strips() {
		return fmt.Errorf("%w: more than %d strips", ErrSliver, v.layout.Strips())
	}
	if _, size := v.layout.Strip(v.strip); len(strip) != size {
		return fmt.Errorf("%w: strip %d has %d bytes: want %d", ErrSliver, v.strip, len(strip), size)
	}
	ws := newWorkspace()
	defer ws.release()
	v.write(ws, strip)
	return nil
}

// write adds the next strip, which has the right size. It hashes complete windows in place and collects the others.
func (v *Verifier) write(ws *workspace, strip []byte) {
	width := v.layout.StripWidth(v.strip)
	v.strip++
	for offset := 0; offset < width; {
		rest := v.layout.SymbolSize - v.line.at
		window := int(min(int64(v.window), rest))
		if v.line.unhashed || v.layout.Width%treehash.Window == 0 || rest <= int64(width-offset) {
			window = min(v.line.windowWidth(), width-offset)
		}
		n := min(window-v.have, width-offset)
		if n == window {
			v.line.absorb(ws, strip[offset:], width, n)
		} else {
			v.wait(strip[offset:], width, n, window)
			if v.have == window {
				v.line.absorb(ws, v.memory.cells, window, window)
				v.have = 0
			}
		}
		offset += n
	}
}

// wait collects the next n bytes of each symbol, for a window of the given width.
func (v *Verifier) wait(strip []byte, width, n, window int) {
	cells := grow(&v.memory.cells, v.layout.Symbols*window)
	to := fft16.Strided{Buf: cells[v.have:], Stride: window, Parts: 1, Width: n}
	from := fft16.Strided{Buf: strip, Stride: width, Parts: 1, Width: n}
	fft16.Move(to, from, v.layout.Symbols, 1, false)
	v.have += n
}

// Close ends the sliver. It returns nil if the sliver matches its root, and otherwise an error that wraps ErrSliver.
func (v *Verifier) Close() error {
	if !v.closed {
		v.end(func([]Hash) {})
	}
	return v.result
}

// CloseLeaves ends the sliver as Close does, and returns the hashes of the n symbols of its expansion. A sliver that
// was rebuilt from symbols has these symbols in its expansion, so their hashes show which of them were wrong: see
// VerifyLeaves.
func (v *Verifier) CloseLeaves() (leaves []Hash, err error) {
	if v.closed {
		return nil, fmt.Errorf("%w: it was closed before", ErrSliver)
	}
	v.end(func(all []Hash) { leaves = slices.Clone(all) })
	return leaves, v.result
}

// end computes the result of Close, and lets seen look at the leaves.
func (v *Verifier) end(seen func(leaves []Hash)) {
	ws := newWorkspace()
	defer ws.release()
	if v.result = v.complete(); v.result == nil {
		leaves := v.line.digests(ws)
		seen(leaves)
		v.result = v.compare(merkleRoot(leaves))
	}
	v.release()
}

// Abort ends a sliver that will not be complete. It has no effect after Close.
func (v *Verifier) Abort() {
	if !v.closed {
		v.result = fmt.Errorf("%w: given up after %d of %d strips", ErrSliver, v.strip, v.layout.Strips())
		v.release()
	}
}

func (v *Verifier) release() {
	verifierMemories.Put(v.memory)
	v.closed, v.memory, v.line = true, nil, nil
}

func (v *Verifier) complete() error {
	if v.strip < v.layout.Strips() {
		return fmt.Errorf("%w: %d strips: want %d", ErrSliver, v.strip, v.layout.Strips())
	}
	return nil
}

func (v *Verifier) compare(root Hash) error {
	if root != v.root {
		return fmt.Errorf("%w: %s sliver %d does not match its root", ErrSliver, v.axis, v.index)
	}
	return nil
}

// VerifySliver checks a whole sliver, in strip order. Errors wrap ErrSliver if the sliver is at fault.
func (m *Metadata) VerifySliver(axis Axis, index int, sliver []byte) error {
	v, err := NewVerifier(m, axis, index)
	if err != nil {
		return err
	}
	if int64(len(sliver)) != v.layout.Size() {
		return fmt.Errorf("%w: %d bytes: want %d", ErrSliver, len(sliver), v.layout.Size())
	}
	v.window = v.line.windowWidth()
	for t := range v.layout.Strips() {
		offset, size := v.layout.Strip(t)
		if err := v.WriteStrip(sliver[offset:][:size]); err != nil {
			return err
		}
	}
	return v.Close()
}

// check validates an axis and an index from a peer.
func (m *Metadata) check(axis Axis, index int) error {
	if _, err := NewParams(len(m.Pairs)); err != nil {
		return fmt.Errorf("%w: %w", ErrMetadata, err)
	}
	if m.Length > MaxLength {
		return fmt.Errorf("%w: blob of %d bytes: the limit is %d", ErrMetadata, m.Length, uint64(MaxLength))
	}
	if !axis.Valid() {
		return fmt.Errorf("%s: must be 0 or 1", axis)
	}
	if index < 0 || index >= len(m.Pairs) {
		return fmt.Errorf("%s sliver %d: must be below %d", axis, index, len(m.Pairs))
	}
	return nil
}
