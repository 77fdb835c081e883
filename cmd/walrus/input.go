package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"walrus/client"
	"walrus/internal/userfile"
)

// input is bytes to encode: they are read twice, hence a file.
type input struct {
	watched
	name string // as given
	size uint64
	temp bool
}

// openInput opens the file at path, or spools to a temporary file in tempDir ("": the system's) what cannot be read twice or
// does not say how long it is: standard input ("-"), a pipe, a device, a file of the system such as those in /proc.
func (a *app) openInput(ctx context.Context, path, tempDir string) (*input, error) {
	if path == "-" {
		return a.spool(ctx, path, a.stdin, tempDir)
	}
	f, err := userfile.OpenInput(ctx, path)
	if err != nil {
		return nil, err // says open, the path and why
	}
	in, err := a.inputOf(ctx, path, f, tempDir)
	if in == nil || in.file != f {
		err = errors.Join(err, f.Close())
	}
	return in, err
}

func (a *app) inputOf(ctx context.Context, path string, f *os.File, tempDir string) (*input, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		return nil, fmt.Errorf("open %s: it is a folder: name the files in it", path)
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

// asLongAsItSays tells whether a regular file has as many bytes as it says. Those of /proc say 0, those of /sys a page, and
// those of some remote file systems anything; such a file is read to its end, what was read of it already is begin. One that
// somebody writes to says another size by now.
func asLongAsItSays(ctx context.Context, name string, f *os.File, st fs.FileInfo) (begin []byte, ok bool, err error) {
	if st.Size() == 0 {
		var b bytes.Buffer
		_, err = userfile.CopyUntil(ctx, &b, io.LimitReader(f, 1)) // until: some wait for something to happen
		begin, ok = b.Bytes(), b.Len() == 0
	} else {
		n, end := f.ReadAt(make([]byte, 2), st.Size()-1)
		ok = n == 1 && errors.Is(end, io.EOF) // if it cannot be read, spooling says why
	}
	if err == nil && !ok {
		err = sameSize(name, f, st)
	}
	return begin, ok, err
}

// spoolFile spools a file that does not say how long it is, of which begin was read already.
func (a *app) spoolFile(ctx context.Context, name string, begin []byte, f *os.File, st fs.FileInfo, tempDir string) (*input, error) {
	in, err := a.spool(ctx, name, io.MultiReader(bytes.NewReader(begin), f), tempDir)
	if err != nil {
		return nil, err
	}
	if err := sameSize(name, f, st); err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return in, nil
}

func (a *app) spool(ctx context.Context, name string, r io.Reader, tempDir string) (*input, error) {
	f, err := client.CreateTemp(tempDir, "walrus-stdin-*")
	if err != nil {
		return nil, fmt.Errorf("keep a copy of %s: %w", spoken(name), err)
	}
	// without a name nothing stays behind however the process ends; not every system takes it away from an open file
	in := &input{watched: watched{file: f, name: name}, name: name, temp: os.Remove(f.Name()) != nil}
	n, err := userfile.CopyUntil(ctx, f, r)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("keep a copy of %s in %s: %w", spoken(name), filepath.Dir(f.Name()), err), in.Close())
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

// Close also removes what was spooled.
func (in *input) Close() error {
	err := in.file.Close()
	if in.temp {
		err = errors.Join(err, os.Remove(in.file.Name()))
	}
	return err
}

// watched is a file whose reads fail once it is not what it was when it was opened: it is read twice, and what is sent must
// be what the blob ID was made of.
type watched struct {
	file *os.File
	stat fs.FileInfo // nil: a copy of ours, which nobody changes
	name string
}

// ReadAt is that of io.ReaderAt.
func (w *watched) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.file.ReadAt(p, off)
	if changed := w.unchanged(); changed != nil {
		return 0, changed
	}
	return n, err
}

// unchanged says what happened to a file that was changed.
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

// sameSize is sameFile of files for whose time the system makes up something.
func sameSize(name string, f *os.File, before fs.FileInfo) error {
	now, err := f.Stat()
	if err != nil || now.Size() == before.Size() {
		return err
	}
	return sameFile(name, before, now)
}

// changedError is a file that somebody wrote to while it was read.
type changedError struct{ name, how string }

func (e *changedError) Error() string {
	return fmt.Sprintf("%s changed while it was read%s: try again when nothing writes to it, or with a copy", e.name, e.how)
}

// blame is err, unless the file changed: then nothing else is to blame, least of all nodes that refuse what is not the blob.
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
