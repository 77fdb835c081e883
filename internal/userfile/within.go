package userfile

import (
	"fmt"
	"io"
	"os"
)

// Within returns a reader of r for a copy of it in dir ("": the system's folder for temporary files). An endless
// source, such as /dev/zero, must not fill the disk: once r has given more than largest bytes, or more than nine tenths
// of the bytes free in dir, reading fails with a *TooLongError.
func Within(r io.Reader, dir string, largest int64) io.Reader {
	if dir == "" {
		dir = os.TempDir()
	}
	return within(r, dir, largest, free(dir))
}

func within(r io.Reader, dir string, largest, free int64) io.Reader {
	limit := &TooLongError{Most: largest}
	if room := free / 10 * 9; room < largest {
		limit = &TooLongError{Most: room, Dir: dir}
	}
	return &boundedReader{r: r, left: limit.Most, limit: limit}
}

// TooLongError means that a source to be copied is too long.
type TooLongError struct {
	Most int64  // bytes that may be copied
	Dir  string // the folder that has room for no more; "": no source may be longer
}

func (e *TooLongError) Error() string {
	if e.Dir == "" {
		return fmt.Sprintf("it is longer than %d bytes, the limit: check that it ends", e.Most)
	}
	return fmt.Sprintf("it is longer than %d bytes, nine tenths of what is free in %s: check that it ends, or keep copies where there is more room, with tempDir in the configuration or $TMPDIR", e.Most, e.Dir)
}

type boundedReader struct {
	r     io.Reader
	left  int64 // bytes
	limit *TooLongError
}

func (b *boundedReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if int64(n) > b.left {
		return 0, b.limit
	}
	b.left -= int64(n)
	return n, err
}
