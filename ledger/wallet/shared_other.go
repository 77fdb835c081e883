//go:build !(linux || darwin || freebsd)

package wallet

import (
	"errors"
	"os"
)

// lockFile is not there on this system: its processes are to each other as those on other machines.
func lockFile(string) (*os.File, error) { return nil, errors.ErrUnsupported }
