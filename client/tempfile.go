package client

import (
	"errors"
	"io/fs"
	"os"
)

// CreateTemp calls os.CreateTemp and makes the folder if it is missing: cleaners of temporary files also remove folders
// that a long-lived process still uses.
func CreateTemp(dir, pattern string) (*os.File, error) {
	f, err := os.CreateTemp(dir, pattern) // mode 0600
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if dir == "" {
		dir = os.TempDir()
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return os.CreateTemp(dir, pattern)
}

// tempFile is a temporary file. Where the system allows it, the file has no name, so it is gone when the process ends
// in any way. Elsewhere Close removes it.
type tempFile struct {
	*os.File
	named bool
}

func newTempFile(dir, pattern string) (*tempFile, error) {
	f, err := CreateTemp(dir, pattern)
	if err != nil {
		return nil, err
	}
	return &tempFile{f, os.Remove(f.Name()) != nil}, nil
}

// Close closes the file and frees its space.
func (t *tempFile) Close() error {
	err := t.File.Close()
	if t.named {
		if gone := os.Remove(t.Name()); err == nil {
			err = gone
		}
	}
	return err
}
