package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"walrus/quilt"
)

// quiltInput is the files of a quilt that is to be stored.
type quiltInput struct {
	files []quilt.File
	from  map[string]string // by identifier: the path
	open  []*pathContent
	// room is how many bytes of small files may still be kept in memory.
	room int64
}

const (
	// smallFile is up to which size, in bytes, a file is read whole: a quilt is read across all its files, bit by bit.
	smallFile = 64 << 10
	// smallFiles bounds what is kept of all small files, in bytes. The others are opened and stay open.
	smallFiles = 64 << 20
)

// blobSpec is one file as --blobs has it.
type blobSpec struct {
	Path       string            `json:"path"`
	Identifier string            `json:"identifier"`
	Tags       map[string]string `json:"tags"`
}

// newQuiltInput gathers the files below paths, and those of specs, which are JSON.
func (a *app) newQuiltInput(paths, specs []string) (*quiltInput, error) {
	in := &quiltInput{from: map[string]string{}, room: smallFiles}
	for _, path := range paths {
		if err := a.addTree(in, path); err != nil {
			return nil, err
		}
	}
	for _, text := range specs {
		var spec blobSpec
		dec := json.NewDecoder(strings.NewReader(text))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&spec); err != nil || spec.Path == "" {
			return nil, usagef(`--blobs %s: want {"path":"…","identifier":"…","tags":{"…":"…"}} (see walrus store-quilt --help)`, text)
		}
		if spec.Identifier == "" {
			spec.Identifier = filepath.Base(spec.Path)
		}
		if err := in.add(spec.Path, spec.Identifier, spec.Tags); err != nil {
			return nil, err
		}
	}
	if len(in.files) == 0 {
		return nil, fmt.Errorf("no files in %s", strings.Join(paths, ", "))
	}
	return in, nil
}

// addTree adds a file under its name, or all files below a folder under their paths in it.
func (a *app) addTree(in *quiltInput, root string) error {
	st, err := os.Stat(root)
	if err != nil {
		return err
	}
	if !st.IsDir() {
		return in.add(root, filepath.Base(root), nil)
	}
	// with a separator at its end, a root that is a link to a folder is followed
	return filepath.WalkDir(root+string(filepath.Separator), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
			a.warn("%s is left out: it is no regular file", path)
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return in.add(path, filepath.ToSlash(rel), nil)
	})
}

func (in *quiltInput) add(path, identifier string, tags map[string]string) error {
	if first, ok := in.from[identifier]; ok {
		return fmt.Errorf("%s and %s would both be %q in the quilt: name one of them with --blobs", first, path, identifier)
	}
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("%s: only regular files can be in a quilt", path)
	}
	c := &pathContent{path: path}
	if st.Size() <= min(smallFile, in.room) {
		in.room -= st.Size()
		c.small = true
	}
	in.from[identifier] = path
	in.open = append(in.open, c)
	in.files = append(in.files, quilt.File{Identifier: identifier, Tags: tags, Size: st.Size(), Content: c})
	return nil
}

// size of all files together, in bytes.
func (in *quiltInput) size() (sum int64) {
	for _, f := range in.files {
		sum += f.Size
	}
	return sum
}

// Close closes the files that were opened.
func (in *quiltInput) Close() error {
	var errs []error
	for _, c := range in.open {
		if c.file != nil {
			errs = append(errs, c.file.Close())
		}
	}
	return errors.Join(errs...)
}

// pathContent is the content of a file, which is opened when it is first read. A small one is then kept in memory.
type pathContent struct {
	path  string
	small bool

	once  sync.Once
	file  *os.File
	bytes []byte
	err   error
}

// ReadAt is that of io.ReaderAt.
func (c *pathContent) ReadAt(p []byte, off int64) (int, error) {
	c.once.Do(func() {
		if c.small {
			c.bytes, c.err = os.ReadFile(c.path)
		} else {
			c.file, c.err = os.Open(c.path)
		}
	})
	switch {
	case c.err != nil:
		return 0, c.err
	case !c.small:
		return c.file.ReadAt(p, off)
	}
	n := copy(p, c.bytes[min(off, int64(len(c.bytes))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
