//go:build linux || darwin || freebsd

package store

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// dirLock keeps other processes out of a store's directory. The system releases it when the process ends.
type dirLock struct{ f *os.File }

func lockDir(path string) (*dirLock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
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
	return &dirLock{f}, nil
}

func (l *dirLock) release() error { return l.f.Close() }

// freeSpace is what an unprivileged process may still write, in bytes.
func freeSpace(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// allocated is the disk space of a file in bytes, which for a sparse file is less than its length.
func allocated(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int64(st.Blocks) * 512
	}
	return info.Size()
}

// refusals of the operating system that are no damage to the data.
var refusals = []error{
	syscall.EMFILE, syscall.ENFILE, syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.ENOSPC, syscall.ENOMEM,
	syscall.EDQUOT,
}
