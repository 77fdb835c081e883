//go:build !linux && !darwin && !freebsd

package badgerdb

import "math"

// lockDir does nothing where Badger's own lock is another one.
func lockDir(string) (unlock func(), err error) { return func() {}, nil }

// freeSpace is not known on this system.
func freeSpace(string) (int64, error) { return math.MaxInt64, nil }
