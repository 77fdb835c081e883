package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"walrus/client"
	"walrus/internal/userfile"
	"walrus/shards"
)

// input is a file of bytes to be encoded, which reads them twice.
type input struct {
	watched
	name string // as given by the user
	size uint64
	temp bool
}

// openInput opens the file at path. Sources that cannot be read twice, or do not report their length, are copied to a
// temporary file in tempDir ("": the system's): standard input ("-"), a pipe, a device, a system file such as those in
// /proc.
func (a *terminal) openInput(ctx context.Context, path, tempDir string) (*input, error) {
	if path == "-" {
		return a.spool(ctx, path, a.stdin, tempDir)
	}
	f, err := userfile.OpenInput(ctx, path)
	if err != nil {
		return nil, err // the error says open, the path and the reason
	}
	in, err := a.inputOf(ctx, path, f, tempDir)
	if in == nil || in.file != f {
		err = errors.Join(err, f.Close())
	}
	return in, err
}

func (a *terminal) inputOf(ctx context.Context, path string, f *os.File, tempDir string) (*input, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		return nil, fmt.Errorf("open %s: is a folder: name the files in it", path)
	}
	if !st.Mode().IsRegular() {
		return a.spool(ctx, path, f, tempDir)
	}
	begin, ok, err := asLongAsItSays(ctx, path, f, st)
	switch {
	case err != nil:
		return nil, err
	case ok:
		return &input{watched: watched{file: f, stat: st, name: path}, name: path, size: uint64(st.Size())}, nil
	}
	return a.spoolFile(ctx, path, begin, f, st, tempDir)
}

// asLongAsItSays reports whether a regular file has as many bytes as its reported size. Files in /proc report 0, files
// in /sys a page, files on some remote file systems anything. Such a file is read to its end instead; begin is the part
// read here. A file that is being written to has changed its size by now: that is an error.
func asLongAsItSays(ctx context.Context, name string, f *os.File, st fs.FileInfo) (begin []byte, ok bool, err error) {
	if st.Size() == 0 {
		var b bytes.Buffer
		_, err = userfile.CopyUntil(ctx, &b, io.LimitReader(f, 1)) // some files block until something happens
		begin, ok = b.Bytes(), b.Len() == 0
	} else {
		n, end := f.ReadAt(make([]byte, 2), st.Size()-1)
		ok = n == 1 && errors.Is(end, io.EOF) // if it cannot be read, spooling reports the reason
	}
	if err == nil && !ok {
		err = sameSize(name, f, st)
	}
	return begin, ok, err
}

// spoolFile copies a file that does not report its length. begin was read already.
func (a *terminal) spoolFile(ctx context.Context, name string, begin []byte, f *os.File, st fs.FileInfo,
	tempDir string) (*input, error) {
	in, err := a.spool(ctx, name, io.MultiReader(bytes.NewReader(begin), f), tempDir)
	if err != nil {
		return nil, err
	}
	if err := sameSize(name, f, st); err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return in, nil
}

func (a *terminal) spool(ctx context.Context, name string, r io.Reader, tempDir string) (*input, error) {
	f, err := client.CreateTemp(tempDir, "walrus-stdin-*")
	if err != nil {
		return nil, fmt.Errorf("keep a copy of %s: %w", spoken(name), err)
	}
	// without a name it is gone when the process ends in any way; not every system can unlink an open file
	in := &input{watched: watched{file: f, name: name}, name: name, temp: os.Remove(f.Name()) != nil}
	n, err := userfile.CopyUntil(ctx, f, userfile.Within(r, tempDir, cmp.Or(a.largest, shards.MaxLength)))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("keep a copy of %s in %s: %w", spoken(name), filepath.Dir(f.Name()), err),
			in.Close())
	}
	in.size = uint64(n)
	a.warn("%s: %s kept in a temporary file, because it is read twice", spoken(name), byteSize(n))
	return in, nil
}

func spoken(name string) string {
	if name == "-" {
		return "standard input"
	}
	return name
}

// Close also removes the copy.
func (in *input) Close() error {
	err := in.file.Close()
	if in.temp {
		err = errors.Join(err, os.Remove(in.file.Name()))
	}
	return err
}

// watched is a file whose reads fail once it has changed since it was opened. It is read twice, and the bytes sent must
// match the blob ID.
type watched struct {
	file *os.File
	stat fs.FileInfo // nil: a copy of ours, which nobody changes
	name string
}

// ReadAt implements io.ReaderAt.
func (w *watched) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.file.ReadAt(p, off)
	if changed := w.unchanged(); changed != nil {
		return 0, changed
	}
	return n, err
}

// unchanged returns an error if the file has changed.
func (w *watched) unchanged() error {
	if w.stat == nil {
		return nil
	}
	now, err := w.file.Stat()
	if err != nil {
		return err
	}
	return sameFile(w.name, w.stat, now)
}

func sameFile(name string, before, now fs.FileInfo) error {
	how := ""
	switch {
	case before.Size() != now.Size():
		how = fmt.Sprintf(", from %d to %d bytes", before.Size(), now.Size())
	case before.ModTime().Equal(now.ModTime()):
		return nil
	}
	return &changedError{name, how}
}

// sameSize is sameFile for files whose modification time the system invents.
func sameSize(name string, f *os.File, before fs.FileInfo) error {
	now, err := f.Stat()
	if err != nil || now.Size() == before.Size() {
		return err
	}
	return sameFile(name, before, now)
}

// changedError means that a file was written to while it was read.
type changedError struct{ name, how string }

func (e *changedError) Error() string {
	return fmt.Sprintf("%s changed while it was read%s: try again when nothing writes to it, or with a copy", e.name,
		e.how)
}

// blame returns err, or an error for the changed file if it changed. A changed file also explains nodes that refuse the
// data.
func blame(err error, unchanged func() error) error {
	var changed *changedError
	if errors.As(err, &changed) {
		return changed
	}
	var refused *client.NotEnoughError
	if errors.As(err, &refused) || errors.Is(err, io.ErrUnexpectedEOF) {
		if changed := unchanged(); changed != nil {
			return changed
		}
	}
	return err
}
