package client

import (
	"errors"
	"io/fs"
	"os"
)

// CreateTemp is os.CreateTemp, but makes the folder if it is missing: cleaners of temporary files also remove folders that
// a long-lived process was told to use.
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

// tempFile is a file for what does not fit in memory. Where the system allows it, it has no name from the start, so that it
// is gone with the process however that ends; elsewhere closing removes it.
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

// Close ends the file.
func (t *tempFile) Close() error {
	err := t.File.Close()
	if t.named {
		if gone := os.Remove(t.Name()); err == nil {
			err = gone
		}
	}
	return err
}
