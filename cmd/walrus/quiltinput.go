package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"walrus/internal/userfile"
	"walrus/quilt"
	"walrus/shards"
)

// quiltInput holds the files of a quilt to be stored.
type quiltInput struct {
	files []quilt.File
	from  map[string]string // path by identifier
	open  []interface {
		io.Closer
		unchanged() error
	}
	temp string // folder for copies
	// room is the number of bytes of small files that may still be kept in memory
	room int64
}

const (
	// smallFile bounds the files that are read whole, in bytes: a quilt is read across all its files, bit by bit.
	smallFile = 64 << 10
	// smallFiles bounds the bytes kept of all small files. Other files are opened and stay open.
	smallFiles = 64 << 20
)

// blobSpec is one file in the form of --blobs.
type blobSpec struct {
	Path       string            `json:"path"`
	Identifier string            `json:"identifier"`
	Tags       map[string]string `json:"tags"`
}

// newQuiltInput collects the files below paths and the files in specs, which are JSON.
func (a *app) newQuiltInput(ctx context.Context, paths, specs []string) (_ *quiltInput, err error) {
	in := &quiltInput{from: map[string]string{}, room: smallFiles}
	defer func() {
		if err != nil {
			_ = in.Close() // nothing was written
		}
	}()
	if conf, err := a.loadClient(); err == nil { // otherwise joining the network reports the error
		in.temp = conf.TempDir
	}
	for _, path := range paths {
		if err := in.addTree(ctx, &a.terminal, path); err != nil {
			return nil, err
		}
	}
	for _, text := range specs {
		var spec blobSpec
		dec := json.NewDecoder(strings.NewReader(text))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&spec); err != nil || spec.Path == "" {
			return nil, usagef(`--blobs %s: want {"path":"…","identifier":"…","tags":{"…":"…"}} (see walrus store-quilt --help)`,
				text)
		}
		if spec.Identifier == "" {
			spec.Identifier = filepath.Base(spec.Path)
		}
		if spec.Path, err = userfile.Expand(spec.Path); err != nil {
			return nil, usagef("--blobs: %w", err)
		}
		if err := in.addFile(ctx, &a.terminal, spec.Path, spec.Identifier, spec.Tags); err != nil {
			return nil, err
		}
	}
	if len(in.files) == 0 {
		return nil, fmt.Errorf("no files in %s", strings.Join(paths, ", "))
	}
	if file, below, ok := quilt.Nested(maps.Keys(in.from)); ok {
		return nil, fmt.Errorf("%s and %s would be %q and %q in the quilt, and no folder can hold both: give one another identifier with --blobs",
			in.from[file], in.from[below], file, below)
	}
	return in, nil
}

// addTree adds a file under its name, or all files below a folder under their relative paths.
func (in *quiltInput) addTree(ctx context.Context, a *terminal, root string) error {
	st, err := os.Stat(root)
	if err != nil {
		return err
	}
	if !st.IsDir() {
		return in.addFile(ctx, a, root, filepath.Base(root), nil)
	}
	// a trailing separator makes WalkDir follow a root that is a link to a folder
	return filepath.WalkDir(root+string(filepath.Separator), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
			a.warn("skipped %s: not a regular file", path)
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return in.addFile(ctx, a, path, filepath.ToSlash(rel), nil)
	})
}

func (in *quiltInput) addFile(ctx context.Context, a *terminal, path, identifier string, tags map[string]string) error {
	if err := quilt.ValidIdentifier(identifier); err != nil {
		return fmt.Errorf("%s: %w: rename it, or set its identifier with --blobs", path, err)
	}
	if first, ok := in.from[identifier]; ok {
		return fmt.Errorf("%s and %s would both be %q in the quilt: give one another identifier with --blobs",
			first, path, identifier)
	}
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("%s: only regular files can be in a quilt", path)
	}
	f, err := userfile.OpenInput(ctx, path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // nothing was written
	begin, ok, err := asLongAsItSays(ctx, path, f, st)
	if err != nil {
		return err
	}
	in.from[identifier] = path
	if !ok {
		spooled, err := a.spoolFile(ctx, path, begin, f, st, in.temp)
		if err != nil {
			return err
		}
		in.open = append(in.open, spooled)
		in.files = append(in.files, quilt.File{Identifier: identifier, Tags: tags,
			Size: int64(spooled.size), Content: spooled})
		return nil
	}
	c := &pathContent{path: path, stat: st}
	if st.Size() <= min(smallFile, in.room) {
		in.room -= st.Size()
		c.small = true
	}
	in.open = append(in.open, c)
	in.files = append(in.files, quilt.File{Identifier: identifier, Tags: tags, Size: st.Size(), Content: c})
	return nil
}

// size returns the bytes of all files together.
func (in *quiltInput) size() (sum int64) {
	for _, f := range in.files {
		sum += f.Size
	}
	return sum
}

// unchanged returns an error that names a changed file, if there is one.
func (in *quiltInput) unchanged() error {
	for _, c := range in.open {
		if err := c.unchanged(); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the files that were opened.
func (in *quiltInput) Close() error {
	var errs []error
	for _, c := range in.open {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// pathContent reads a file that is opened at the first read. A small file is then kept in memory.
type pathContent struct {
	path  string
	stat  fs.FileInfo // at the time of the layout
	small bool

	once  sync.Once
	file  *watched
	bytes shards.Bytes
	err   error
}

// ReadAt implements io.ReaderAt.
func (c *pathContent) ReadAt(p []byte, off int64) (int, error) {
	c.once.Do(func() { c.err = c.open() })
	switch {
	case c.err != nil:
		return 0, c.err
	case c.file != nil:
		return c.file.ReadAt(p, off)
	}
	return c.bytes.ReadAt(p, off)
}

func (c *pathContent) open() error {
	f, err := os.Open(c.path)
	if err != nil {
		return err
	}
	w := &watched{file: f, stat: c.stat, name: c.path}
	if !c.small {
		c.file = w
		return nil
	}
	c.bytes = make(shards.Bytes, c.stat.Size())
	_, err = io.ReadFull(f, c.bytes)
	if changed := w.unchanged(); changed != nil {
		err = changed
	}
	return errors.Join(err, f.Close())
}

func (c *pathContent) unchanged() error {
	if c.file == nil {
		return nil
	}
	return c.file.unchanged()
}

func (c *pathContent) Close() error {
	if c.file == nil {
		return nil
	}
	return c.file.file.Close()
}
