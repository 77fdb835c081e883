//go:build !(linux || darwin || freebsd)

package wallet

import (
	"errors"
	"os"
)

// lockFile is not supported on this system: its processes compete like those on different machines.
func lockFile(string) (*os.File, error) { return nil, errors.ErrUnsupported }
