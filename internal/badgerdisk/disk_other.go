//go:build !(linux || darwin || freebsd)

package badgerdisk

import (
	"io"
	"io/fs"
	"math"
	"os"
)

// Lock does nothing on this system, where Badger's own lock is of another kind.
func Lock(string) (unlock io.Closer, err error) { return io.NopCloser(nil), nil }

// Free is not known on this system.
func Free(string) (int64, error) { return math.MaxInt64, nil }

// Size is not known on this system.
func Size(string) (int64, error) { return math.MaxInt64, nil }

func allocated(info fs.FileInfo) int64 { return info.Size() }

var failures []error

var refusals = []error{os.ErrPermission}
