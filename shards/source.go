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

// window fills dst, the first rows of s symbols, with the bytes [at, at+width) of every symbol.
func (s *source) window(dst []byte, rows int, at int64, width int) error {
	row := s.Columns() * width
	var mu sync.Mutex
	var failed error
	parallel(rows, func(ws *workspace, i int) {
		if err := s.row(ws, dst[i*row:(i+1)*row], i, at, width); err != nil {
			mu.Lock()
			failed = err
			mu.Unlock()
		}
	})
	return failed
}

// row fills dst with those of row i. Where the gaps between the windows of neighbours are short, it reads over them.
func (s *source) row(ws *workspace, dst []byte, i int, at int64, width int) error {
	cols := s.Columns()
	start := int64(i)*int64(cols)*s.z + at
	run := 1 // symbols to a read
	if s.z <= readOver*int64(width) {
		run = max(1, min(cols, maxRead/int(s.z)))
	}
	for j := 0; j < cols; j += run {
		count := min(run, cols-j)
		part := dst[j*width : (j+count)*width]
		if count == 1 || int64(width) == s.z {
			if err := s.read(part, start+int64(j)*s.z); err != nil {
				return err
			}
			continue
		}
		z := int(s.z)
		span := grow(&ws.cells, (count-1)*z+width)
		if err := s.read(span, start+int64(j)*s.z); err != nil {
			return err
		}
		for k := range count {
			copy(part[k*width:(k+1)*width], span[k*z:])
		}
	}
	return nil
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
