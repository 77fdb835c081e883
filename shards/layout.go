package shards

import "walrus/shards/fft16"

// Strips bound memory. Every linear step acts element by element at the same offset inside each symbol. So the bytes
// [t·w, (t+1)·w) of all symbols, a strip, are a complete small matrix of their own. Slivers are sent and stored in
// strip order: strip after strip, and inside a strip symbol after symbol. So an encoder can send all slivers while it
// holds one strip, and a node can verify and store them as they arrive. A blob whose symbols are no longer than w has
// one strip, and strip order is then the plain order of the symbols.
const (
	// maxStripMatrix bounds one strip of the whole n×n matrix (32 MiB). A sender holds a few of them.
	maxStripMatrix = 32 << 20
	// maxStripSliver bounds one strip of one sliver (512 KiB). A node holds one for each incoming sliver.
	maxStripSliver = 512 << 10
	// stripAlign is the group of the code's byte layout: 32 low then 32 high bytes of 32 elements.
	stripAlign = 64
)

// StripWidth returns w, in bytes: a multiple of 64 that depends only on n. It is part of the wire and disk format.
func (p Params) StripWidth() int {
	w := min(maxStripMatrix/(p.n*p.n), maxStripSliver/p.Columns())
	return max(w/stripAlign*stripAlign, stripAlign)
}

// Layout describes the order of one sliver's bytes on the wire and on disk.
type Layout struct {
	Symbols    int   // symbols in the sliver
	SymbolSize int64 // z, bytes
	Width      int   // w, bytes of each symbol in a strip; the last strip may be narrower
}

// Layout returns the layout of a sliver along axis of a blob of length bytes.
func (p Params) Layout(axis Axis, length uint64) Layout {
	return Layout{Symbols: p.SourceSymbols(axis), SymbolSize: p.SymbolSize(length), Width: p.StripWidth()}
}

// Size returns the size of the sliver, in bytes.
func (l Layout) Size() int64 { return int64(l.Symbols) * l.SymbolSize }

// Strips returns the number of strips, at least 1.
func (l Layout) Strips() int {
	return int((l.SymbolSize + int64(l.Width) - 1) / int64(l.Width))
}

// StripWidth returns the number of bytes of each symbol in strip t: w, or the rest in the last strip.
func (l Layout) StripWidth(t int) int {
	return int(min(int64(l.Width), l.SymbolSize-int64(t)*int64(l.Width)))
}

// Strip returns the offset and the size of strip t in the sliver's strip order, in bytes.
func (l Layout) Strip(t int) (offset int64, size int) {
	return int64(t) * int64(l.Width) * int64(l.Symbols), l.StripWidth(t) * l.Symbols
}

// Scatter copies strip t, in strip order, to its places in dst, which holds the sliver's symbols one after the
// other (for a primary sliver of a source row, the bytes of the blob).
func (l Layout) Scatter(dst []byte, t int, strip []byte) {
	plain, strips := l.places(dst, t, strip)
	fft16.Move(plain, strips, l.Symbols, ahead, false)
}

// Gather is the inverse of Scatter: it fills strip, in strip order, from the plain order of src.
func (l Layout) Gather(strip []byte, t int, src []byte) {
	plain, strips := l.places(src, t, strip)
	fft16.Move(strips, plain, l.Symbols, ahead, false)
}

// ahead is the number of symbols by which memory is prefetched while symbols are copied.
const ahead = 4

// places returns the positions of strip t's bytes of the symbols in plain and in strip order.
func (l Layout) places(plain []byte, t int, strip []byte) (inPlain, inStrip fft16.Strided) {
	w := l.StripWidth(t)
	at := int64(t) * int64(l.Width)
	return fft16.Strided{Buf: plain[at:], Stride: int(l.SymbolSize), Parts: 1, Width: w},
		fft16.Strided{Buf: strip, Stride: w, Parts: 1, Width: w}
}
