package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// outputFile is a file that appears under its name only when it is whole. Until then it is FILE.partial-… beside it.
type outputFile struct {
	*os.File
	path    string
	partial bool // a partial file is to be renamed or removed
}

// createOutput prepares to write path. What is there and is no regular file (a device, a pipe) is written directly.
func createOutput(path string) (*outputFile, error) {
	mode := fs.FileMode(0o666)
	switch st, err := os.Stat(path); {
	case err == nil && st.IsDir():
		return nil, fmt.Errorf("write %s: it is a folder: name a file", path)
	case err == nil && !st.Mode().IsRegular():
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, fmt.Errorf("write: %w", err)
		}
		return &outputFile{File: f, path: path}, nil
	case err == nil:
		mode = st.Mode().Perm()
	}
	f, err := createPartial(path, mode)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return &outputFile{File: f, path: path, partial: true}, nil
}

// createPartial makes the partial file with the mode that the system's umask leaves of mode, which os.CreateTemp
// would not.
func createPartial(path string, mode fs.FileMode) (*os.File, error) {
	dir, base := filepath.Split(path)
	for i := range 10_000 {
		name := fmt.Sprintf("%s%s.partial-%d-%d", dir, base, os.Getpid(), i)
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
	return nil, errors.New("too many partial files from earlier reads: remove them")
}

// keep gives the file its name.
func (f *outputFile) keep() error {
	if err := f.Close(); err != nil {
		return fmt.Errorf("write %s: %w", f.path, err)
	}
	if !f.partial {
		return nil
	}
	if err := os.Rename(f.Name(), f.path); err != nil {
		return fmt.Errorf("write %s: %w", f.path, err)
	}
	f.partial = false
	return nil
}

// discard removes what keep has not kept.
func (f *outputFile) discard() {
	_ = f.Close() // closed already by keep
	if f.partial {
		_ = os.Remove(f.Name())
	}
}
