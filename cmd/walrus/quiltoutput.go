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
	"strings"
	"syscall"

	"walrus/internal/userfile"
	"walrus/quilt"
)

// fileSink writes the files of a quilt: into a folder, into JSON, or one to standard output.
type fileSink struct {
	terminal *terminal
	root     *os.Root // nil: not writing to a folder
	out      string
	inline   bool  // into JSON
	room     int64 // bytes left for inline content
	names    map[string]bool
	read     []quiltFile
}

// newFileSink refuses files that could not be written, as far as the identifiers are known.
func (a *terminal) newFileSink(out string, patches []quilt.Patch) (*fileSink, error) {
	s := &fileSink{terminal: a, out: out, names: map[string]bool{}, room: maxInlineBlob}
	if out == "-" {
		s.inline = a.global.json
		if !s.inline && len(patches) > 1 {
			return nil, usagef("%d files: name a folder for them with --out DIR", len(patches))
		}
		return s, nil
	}
	names := identifiers(patches)
	for _, name := range names {
		if err := s.claim(name); err != nil {
			return nil, err
		}
	}
	if file, below, ok := quilt.Nested(slices.Values(names)); ok {
		return nil, fmt.Errorf("%q and %q cannot both be written to %s: the first would be a file and a folder: read each alone, by its patch ID",
			file, below, out)
	}
	s.names = map[string]bool{}
	if err := os.MkdirAll(out, 0o777); err != nil { //nolint:gosec // the user's own folder: the umask decides
		return nil, err
	}
	var err error
	if s.root, err = os.OpenRoot(out); err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := s.writable(name); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

// identifiers returns the identifiers known before the files are read.
func identifiers(patches []quilt.Patch) (names []string) {
	for _, p := range patches {
		if p.Identifier != "" {
			names = append(names, p.Identifier)
		}
	}
	return names
}

// writable makes the folder of a file and checks that the file can be written, before anything is fetched.
func (s *fileSink) writable(identifier string) error {
	f, err := s.create(identifier)
	if err == nil {
		f.Discard()
	}
	return err
}

// create opens a file below the folder for writing. Links cannot lead outside.
func (s *fileSink) create(identifier string) (*userfile.File, error) {
	name := filepath.FromSlash(identifier)
	err := s.root.MkdirAll(filepath.Dir(name), 0o777)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTDIR) {
		err = fmt.Errorf("a file is in the place of a folder: remove the file (%w)", err)
	}
	var f *userfile.File
	if err == nil {
		f, err = userfile.OpenIn(s.root, name)
	}
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", filepath.Join(s.out, name), err)
	}
	return f, nil
}

func (s *fileSink) close() {
	if s.root != nil {
		_ = s.root.Close()
	}
}

// claim checks that an identifier names a file below the folder, and is used only once.
func (s *fileSink) claim(identifier string) error {
	if path.Clean(identifier) != identifier || !filepath.IsLocal(filepath.FromSlash(identifier)) ||
		strings.ContainsRune(identifier, 0) {
		return fmt.Errorf("%q is not a plain path inside %s: read this file alone, to standard output", identifier, s.out)
	}
	if s.names[identifier] {
		return fmt.Errorf("the quilt contains %q twice: read each alone, by its patch ID", identifier)
	}
	s.names[identifier] = true
	return nil
}

// visit writes one file of the quilt.
func (s *fileSink) visit(p quilt.Patch, content io.WriterTo) error {
	f := quiltFile{Identifier: p.Identifier, Tags: notNil(p.Tags), Size: p.Size}
	switch {
	case s.inline:
		if p.Size > s.room {
			return fmt.Errorf("the files up to %q are too large for JSON: write them to a folder with --out DIR", p.Identifier)
		}
		s.room -= p.Size
		b := bytes.NewBuffer(make([]byte, 0, p.Size))
		if _, err := content.WriteTo(b); err != nil {
			return err
		}
		all := b.Bytes()
		f.Blob = &all
	case s.root == nil:
		if _, err := content.WriteTo(s.terminal.stdout); err != nil {
			return err
		}
	default:
		if err := s.claim(p.Identifier); err != nil {
			return err
		}
		f.Path = filepath.Join(s.out, filepath.FromSlash(p.Identifier))
		if err := s.write(p.Identifier, content); err != nil {
			return err
		}
	}
	s.read = append(s.read, f)
	return nil
}

// write writes a file. It appears under its name only when it is complete.
func (s *fileSink) write(identifier string, content io.WriterTo) error {
	f, err := s.create(identifier)
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := content.WriteTo(f); err != nil {
		return err
	}
	return f.Keep()
}

// tagList formats tags for people.
func tagList(tags map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		b.WriteString("  " + printable(k) + "=" + printable(tags[k]))
	}
	return b.String()
}
