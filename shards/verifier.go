package shards

import (
	"fmt"

	"walrus/shards/treehash"
)

// Verifier checks one sliver against its root in the metadata while it arrives: feed every strip in order, then
// Close. It keeps 65 bytes for each of the n symbols and 64 for each of the sliver's own.
type Verifier struct {
	axis    Axis
	index   int
	root    Hash
	layout  Layout
	line    *line
	strip   int    // the next one
	pending []byte // the last half hash block of each symbol, if strips end inside one
}

// NewVerifier returns the check of sliver index along axis.
func NewVerifier(m *Metadata, axis Axis, index int) (*Verifier, error) {
	return newVerifier(m, axis, index, nil)
}

func newVerifier(m *Metadata, axis Axis, index int, targets []int) (*Verifier, error) {
	if err := m.check(axis, index); err != nil {
		return nil, err
	}
	layout := m.Layout(axis)
	return &Verifier{
		axis: axis, index: index, root: m.Root(axis, index), layout: layout,
		line: m.Params().newLine(axis, layout.SymbolSize, targets),
	}, nil
}

// WriteStrip takes the next strip. Its size must be exactly what Layout says; errors wrap ErrSliver.
func (v *Verifier) WriteStrip(strip []byte) error {
	if v.strip >= v.layout.Strips() {
		return fmt.Errorf("%w: more than %d strips", ErrSliver, v.layout.Strips())
	}
	if _, size := v.layout.Strip(v.strip); len(strip) != size {
		return fmt.Errorf("%w: strip %d has %d bytes: want %d", ErrSliver, v.strip, len(strip), size)
	}
	ws := newWorkspace()
	defer ws.release()

	width := v.layout.StripWidth(v.strip)
	start := int64(v.strip) * int64(v.layout.Width)
	end := start + int64(width)
	v.strip++
	whole := end
	if end < v.layout.SymbolSize {
		whole = end / treehash.Window * treehash.Window
	}
	for v.line.at < whole {
		n := int(min(int64(v.line.windowWidth()), whole-v.line.at))
		cells := strip
		if v.line.at != start || n != width {
			cells = v.gather(grow(&ws.cells, v.layout.Symbols*n), n, strip, width, int(v.line.at-start))
		}
		v.line.absorb(ws, cells, n)
	}
	if rest := int(end - whole); rest > 0 {
		v.gather(grow(&v.pending, v.layout.Symbols*rest), rest, strip, width, width-rest)
	}
	return nil
}

// gather fills cells with n bytes of each symbol: from offset at in the strip, or, below 0, first those that are pending.
func (v *Verifier) gather(cells []byte, n int, strip []byte, width, at int) []byte {
	pending := max(-at, 0)
	for k := range v.layout.Symbols {
		cell := cells[k*n : (k+1)*n]
		copy(cell, v.pending[k*pending:(k+1)*pending])
		copy(cell[pending:], strip[k*width+at+pending:(k+1)*width])
	}
	return cells
}

// Close ends the sliver. It returns nil if that was the one the metadata tells of, and else an error that wraps ErrSliver.
func (v *Verifier) Close() error {
	ws := newWorkspace()
	defer ws.release()
	if err := v.complete(); err != nil {
		return err
	}
	return v.compare(v.line.root(ws))
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

// VerifySliver checks a whole sliver, in strip order. Errors wrap ErrSliver if it is about the sliver.
func (m *Metadata) VerifySliver(axis Axis, index int, sliver []byte) error {
	v, err := NewVerifier(m, axis, index)
	if err != nil {
		return err
	}
	if int64(len(sliver)) != v.layout.Size() {
		return fmt.Errorf("%w: %d bytes: want %d", ErrSliver, len(sliver), v.layout.Size())
	}
	for t := range v.layout.Strips() {
		offset, size := v.layout.Strip(t)
		if err := v.WriteStrip(sliver[offset:][:size]); err != nil {
			return err
		}
	}
	return v.Close()
}

// check is the guard of every method that takes an axis and an index from a peer.
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
