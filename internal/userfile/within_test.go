package userfile

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"strings"
	"testing"
)

// endless gives zeros and never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestWithin(t *testing.T) {
	for _, tt := range []struct {
		source        io.Reader
		largest, free int64
		want          int64 // bytes; -1: the source is too long
		dir           string
	}{
		{strings.NewReader("0123456789"), 10, 1 << 20, 10, ""},
		{strings.NewReader("0123456789"), 9, 1 << 20, -1, ""},
		{strings.NewReader("0123456789"), 1 << 20, 20, 10, ""},
		{strings.NewReader("0123456789"), 1 << 20, 10, -1, "/scratch"},
		{strings.NewReader(""), 1 << 20, 0, 0, ""},
		{endless{}, 1 << 20, 1 << 30, -1, ""},
		{endless{}, 1 << 40, 1 << 20, -1, "/scratch"},
	} {
		var b bytes.Buffer
		n, err := io.Copy(&b, within(tt.source, "/scratch", tt.largest, tt.free))
		var tooLong *TooLongError
		switch {
		case tt.want >= 0 && (err != nil || n != tt.want):
			t.Errorf("%+v: %d bytes, %v", tt, n, err)
		case tt.want < 0 && (!errors.As(err, &tooLong) || tooLong.Dir != tt.dir || int64(b.Len()) > min(tt.largest, tt.free)):
			t.Errorf("%+v: %d bytes, %v", tt, n, err)
		}
	}
}

// TestFree: the disk of an existing folder has a size, and a copy there takes less than all of it.
func TestFree(t *testing.T) {
	dir := t.TempDir()
	if n := free(dir); n <= 0 || n == math.MaxInt64 {
		t.Skipf("this system does not tell how much is free: %d", n)
	}
	r := Within(endless{}, dir, math.MaxInt64).(*boundedReader) //nolint:errcheck // what it returns
	if r.limit.Dir != dir || r.left > free(dir) && r.left > free(dir)/2*3 {
		t.Errorf("%d bytes may be copied to %q, where %d are free", r.left, r.limit.Dir, free(dir))
	}
	if r := Within(endless{}, "", math.MaxInt64).(*boundedReader); r.limit.Dir != os.TempDir() { //nolint:errcheck // the same
		t.Errorf("a copy in no folder goes to %q", r.limit.Dir)
	}
}
