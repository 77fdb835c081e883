package badgerdisk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// MakeDir makes a directory that outlives a loss of power, unless it exists.
func MakeDir(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(path, 0o750); err != nil {
		return err
	}
	return SyncPath(filepath.Dir(path))
}

// SyncPath is fsync(2) of a file or directory.
func SyncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Used measures the disk space in bytes that the files below dir take.
func Used(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				total += allocated(info)
			}
		}
		if errors.Is(err, fs.ErrNotExist) { // deleted meanwhile
			return nil
		}
		return err
	})
	return total, err
}

// Unreadable reports that a disk failed to read or write, or that a memory map of a file had a fault, as when the disk
// fails to read. Another time it may succeed.
func Unreadable(err error) bool {
	for _, r := range failures {
		if err != nil && (errors.Is(err, r) || strings.Contains(err.Error(), r.Error())) {
			return true
		}
	}
	return errors.Is(err, errFault)
}

// Refused distinguishes an operating system that refuses to open or write files from files that are damaged.
func Refused(err error) bool {
	for _, r := range refusals {
		// Badger keeps only the text of an error's cause.
		if err != nil && (errors.Is(err, r) || strings.Contains(err.Error(), r.Error())) {
			return true
		}
	}
	return false
}
