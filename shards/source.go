package shards

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// source reads the symbols of a blob, in windows: the same bytes of all p·s symbols at a time. Beyond the blob's
// end there are zeros.
type source struct {
	Params
	r      io.ReaderAt
	length int64
	z      int64
}

const (
	// readOver is how many times more to read than is wanted, rather than to read symbol by symbol.
	readOver = 4
	// maxRead bounds one read, in bytes.
	maxRead = 1 << 20
)

// window fills dst with the bytes [at, at+width) of every symbol in the first rows, part after part: first the leading
// unit bytes of each symbol, row by row, then the next.
func (s *source) window(dst []byte, rows int, at int64, width, unit int) error {
	var mu sync.Mutex
	var failed error
	parallel(rows, func(ws *workspace, i int) {
		if err := s.row(ws, dst, rows, i, at, width, unit); err != nil {
			mu.Lock()
			failed = err
			mu.Unlock()
		}
	})
	return failed
}

// row does what window does for row i. Where the gaps between the bytes wanted of neighbours are short, it reads over them.
func (s *source) row(ws *workspace, dst []byte, rows, i int, at int64, width, unit int) error {
	cols := s.Columns()
	start := int64(i)*int64(cols)*s.z + at
	if width <= unit && int64(width) == s.z {
		return s.read(dst[i*cols*width:(i+1)*cols*width], start)
	}
	run := 1 // symbols to a read
	if s.z <= readOver*int64(width) {
		run = max(1, min(cols, maxRead/int(s.z)))
	}
	for j := 0; j < cols; j += run {
		count := min(run, cols-j)
		span := grow(&ws.cells, (count-1)*int(s.z)+width)
		if err := s.read(span, start+int64(j)*s.z); err != nil {
			return err
		}
		for k := range count {
			scatter(dst, span[k*int(s.z):][:width], rows*cols, i*cols+j+k, unit)
		}
	}
	return nil
}

// scatter copies symbol number cell of count to its places in parts of unit bytes of each.
func scatter(dst, symbol []byte, count, cell, unit int) {
	for offset := 0; offset < len(symbol); offset += unit {
		width := min(unit, len(symbol)-offset)
		copy(dst[count*offset+cell*width:][:width], symbol[offset:])
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
