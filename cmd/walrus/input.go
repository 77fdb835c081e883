package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"walrus/client"
)

// input is bytes to encode: they are read twice, hence a file.
type input struct {
	name string // as given
	file *os.File
	size uint64
	temp bool
}

// openInput opens the file at path, or spools standard input ("-"), a pipe or a device to a temporary file in tempDir
// ("": the system's).
func (a *app) openInput(ctx context.Context, path, tempDir string) (*input, error) {
	if path == "-" {
		return a.spool(ctx, path, a.stdin, tempDir)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err // says open, the path and why
	}
	st, err := f.Stat()
	switch {
	case err != nil:
	case st.IsDir():
		err = fmt.Errorf("open %s: it is a folder: name the files in it", path)
	case st.Mode().IsRegular():
		return &input{name: path, file: f, size: uint64(st.Size())}, nil
	default:
		var in *input
		if in, err = a.spool(ctx, path, f, tempDir); err == nil {
			return in, f.Close()
		}
	}
	return nil, errors.Join(err, f.Close())
}

func (a *app) spool(ctx context.Context, name string, r io.Reader, tempDir string) (*input, error) {
	f, err := client.CreateTemp(tempDir, "walrus-stdin-*")
	if err != nil {
		return nil, fmt.Errorf("keep a copy of standard input: %w", err)
	}
	// without a name nothing stays behind however the process ends; not every system takes it away from an open file
	in := &input{name: name, file: f, temp: os.Remove(f.Name()) != nil}
	n, err := copyUntil(ctx, f, r)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("keep a copy of standard input in %s: %w", filepath.Dir(f.Name()), err), in.Close())
	}
	in.size = uint64(n)
	what := "standard input"
	if name != "-" {
		what = name
	}
	a.warn("%s: %s kept in a temporary file, because it is read twice", what, byteSize(n))
	return in, nil
}

// copyUntil is io.Copy that ends when ctx does, even while r has nothing to give: the read is then left behind, and
// the process is about to end.
func copyUntil(ctx context.Context, w io.Writer, r io.Reader) (int64, error) {
	type result struct {
		n   int64
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := io.Copy(w, r)
		done <- result{n, err}
	}()
	select {
	case res := <-done:
		return res.n, res.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Close also removes what was spooled.
func (in *input) Close() error {
	err := in.file.Close()
	if in.temp {
		err = errors.Join(err, os.Remove(in.file.Name()))
	}
	return err
}
