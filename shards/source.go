package shards

import (
	"errors"
	"fmt"
	"io"
)

// source reads the symbols of a blob in windows: the same bytes of all p·s symbols at a time. Beyond the blob's end
// it reads zeros.
type source struct {
	Params
	r      io.ReaderAt
	length int64
	z      int64
}

const (
	// readOver: one read spans a gap of at most this many unneeded bytes. Across a longer gap two reads are cheaper:
	// copying this many bytes from the system's cache takes as long as a system call.
	readOver = 8 << 10
	// maxRead bounds one read, in bytes, so that its bytes are still in a core's cache when they are used.
	maxRead = 256 << 10
)

// row fills row i of every part. It reads width bytes of every symbol, from offset at on, and puts unit of them into
// each part but the last, which gets the rest. It reads across short gaps between symbols.
func (s *source) row(ws *workspace, parts [][]byte, i int, at int64, width, unit int) error {
	cols := s.Columns()
	start := int64(i)*int64(cols)*s.z + at
	if width <= unit && int64(width) == s.z {
		return s.read(parts[0][i*cols*width:(i+1)*cols*width], start)
	}
	run := 1 // symbols per read
	if s.z-int64(width) <= readOver {
		run = max(1, min(cols, maxRead/int(s.z)))
	}
	for j := 0; j < cols; j += run {
		count := min(run, cols-j)
		span := grow(&ws.cells, (count-1)*int(s.z)+width)
		if err := s.read(span, start+int64(j)*s.z); err != nil {
			return err
		}
		for k := range count {
			scatter(parts, span[k*int(s.z):][:width], i*cols+j+k, unit)
		}
	}
	return nil
}

// scatter copies symbol number cell to its places in parts, which have unit bytes of each symbol.
func scatter(parts [][]byte, symbol []byte, cell, unit int) {
	for q := range parts {
		width := min(unit, len(symbol)-q*unit)
		copy(parts[q][cell*width:][:width], symbol[q*unit:])
	}
}

// read fills dst from offset at of the blob.
func (s *source) read(dst []byte, at int64) error {
	have := int(min(max(s.length-at, 0), int64(len(dst))))
	clear(dst[have:])
	if have == 0 {
		return nil
	}
	n, err := s.r.ReadAt(dst[:have], at)
	if n == have {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read blob: %d bytes at offset %d of %d: %w", have, at, s.length, err)
}
