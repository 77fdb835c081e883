//go:build linux || darwin || freebsd

package badgerdisk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Lock keeps other processes out of a directory, or out of what a file stands for; the file is made if missing. The
// system releases it when the process ends. Badger locks the directory of an open database in the same way.
func Lock(path string) (unlock io.Closer, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if errors.Is(err, syscall.EISDIR) {
		f, err = os.Open(path)
	}
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
	return f, nil
}

// Free returns the bytes that an unprivileged process may still write to the disk of dir.
func Free(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(uint64(st.Bsize)), nil // their types differ between systems
}

// Size returns the bytes of the disk of dir.
func Size(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Blocks) * int64(uint64(st.Bsize)), nil // their types differ between systems
}

// allocated returns the disk space of a file in bytes. A sparse file takes less than its length.
func allocated(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int64(st.Blocks) * 512
	}
	return info.Size()
}

// failures of the disk.
var failures = []error{syscall.EIO}

// refusals of the operating system that are no damage to the data.
var refusals = []error{
	syscall.EMFILE, syscall.ENFILE, syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.ENOSPC, syscall.ENOMEM,
	syscall.EDQUOT,
}
