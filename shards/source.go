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

// window fills dst, p rows of s symbols, with the bytes [at, at+width) of every symbol.
func (s *source) window(dst []byte, at int64, width int) error {
	row := s.Columns() * width
	var mu sync.Mutex
	var failed error
	parallel(s.Rows(), func(_ *workspace, i int) {
		if err := s.row(dst[i*row:(i+1)*row], i, at, width); err != nil {
			mu.Lock()
			failed = errors.Join(failed, err)
			mu.Unlock()
		}
	})
	return failed
}

func (s *source) row(dst []byte, i int, at int64, width int) error {
	start := int64(i) * int64(s.Columns()) * s.z
	if int64(width) == s.z {
		return s.read(dst, start)
	}
	for j := range s.Columns() {
		if err := s.read(dst[j*width:(j+1)*width], start+int64(j)*s.z+at); err != nil {
			return err
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
