//go:build linux || darwin || freebsd

package badgerdb

import (
	"errors"
	"os"
	"syscall"
)

// lockDir takes the lock that Badger takes of an open database, and returns how to give it back.
func lockDir(path string) (unlock func(), err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, err
	}
	return func() { _ = f.Close() }, nil // nothing was written
}

// freeSpace is what an unprivileged process may still write, in bytes.
func freeSpace(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(uint64(st.Bsize)), nil // their types differ between systems
}
