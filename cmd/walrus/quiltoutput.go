package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"walrus/quilt"
)

// fileSink takes the files of a quilt: into a folder, into JSON, or one to standard output.
type fileSink struct {
	app    *app
	root   *os.Root // nil: not into a folder
	out    string
	inline bool  // into JSON
	room   int64 // bytes left for that
	names  map[string]bool
	read   []quiltFile
}

// newFileSink refuses what could not be written, as far as the identifiers are known, and only then makes the folder.
func (a *app) newFileSink(out string, patches []quilt.Patch) (*fileSink, error) {
	s := &fileSink{app: a, out: out, names: map[string]bool{}, room: maxInlineBlob}
	if out == "-" {
		s.inline = a.global.json
		if !s.inline && len(patches) > 1 {
			return nil, usagef("%d files: name a folder for them with --out DIR", len(patches))
		}
		return s, nil
	}
	for _, p := range patches {
		if p.Identifier != "" {
			if err := s.claim(p.Identifier); err != nil {
				return nil, err
			}
		}
	}
	s.names = map[string]bool{}
	if err := os.MkdirAll(out, 0o777); err != nil { //nolint:gosec // a folder of the user's, as others that they make: the umask decides
		return nil, err
	}
	var err error
	s.root, err = os.OpenRoot(out)
	return s, err
}

func (s *fileSink) close() {
	if s.root != nil {
		_ = s.root.Close()
	}
}

// claim checks that an identifier names a file below the folder, and only once.
func (s *fileSink) claim(identifier string) error {
	if path.Clean(identifier) != identifier || !filepath.IsLocal(filepath.FromSlash(identifier)) || strings.ContainsRune(identifier, 0) {
		return fmt.Errorf("%q is no plain name below %s: read it alone, to standard output", identifier, s.out)
	}
	if s.names[identifier] {
		return fmt.Errorf("%q is there twice: read each alone, by its patch ID", identifier)
	}
	s.names[identifier] = true
	return nil
}

// visit takes one file.
func (s *fileSink) visit(p quilt.Patch, content io.WriterTo) error {
	f := quiltFile{Identifier: p.Identifier, Tags: notNil(p.Tags), Size: p.Size}
	switch {
	case s.inline:
		if p.Size > s.room {
			return fmt.Errorf("%q and those before it are too large for JSON: write them into a folder with --out DIR", p.Identifier)
		}
		s.room -= p.Size
		b := bytes.NewBuffer(make([]byte, 0, p.Size))
		if _, err := content.WriteTo(b); err != nil {
			return err
		}
		all := b.Bytes()
		f.Blob = &all
	case s.root == nil:
		if _, err := content.WriteTo(s.app.stdout); err != nil {
			return err
		}
	default:
		if err := s.claim(p.Identifier); err != nil {
			return err
		}
		f.Path = filepath.Join(s.out, filepath.FromSlash(p.Identifier))
		if err := s.write(filepath.FromSlash(p.Identifier), content); err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
	}
	s.read = append(s.read, f)
	return nil
}

// write writes a file below the folder, which links cannot lead out of; it appears under its name when it is whole.
func (s *fileSink) write(name string, content io.WriterTo) (err error) {
	if err := s.root.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	if st, err := s.root.Lstat(name); err == nil && !st.Mode().IsRegular() && st.Mode()&fs.ModeSymlink == 0 {
		return errors.New("what is there is no regular file: remove it")
	}
	partial := filepath.Join(filepath.Dir(name), ".walrus-partial-"+strconv.Itoa(os.Getpid()))
	f, err := s.root.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	_, err = content.WriteTo(f)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = s.root.Rename(partial, name)
	}
	if err != nil {
		_ = s.root.Remove(partial)
	}
	return err
}

// tagList is tags for people.
func tagList(tags map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		b.WriteString("  " + printable(k) + "=" + printable(tags[k]))
	}
	return b.String()
}
