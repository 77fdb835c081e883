package quilt

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"

	"walrus/shards"
)

const (
	// fileHeader is the size of a file's first part: the version, the number of following bytes as a uint32, and a byte
	// of flags.
	fileHeader = 6
	// hasTags flags a file with tags.
	hasTags = 1
)

// fileHead returns the bytes that come before a file's content.
func fileHead(f *File) ([]byte, error) {
	if err := validTags(f.Tags); err != nil {
		return nil, err
	}
	if f.Size < 0 {
		return nil, fmt.Errorf("%w: negative size of %d bytes", ErrTooLarge, f.Size)
	}
	b := make([]byte, fileHeader)
	b[0] = version
	b = binary.LittleEndian.AppendUint16(b, uint16(textSize(f.Identifier)))
	b = appendText(b, f.Identifier)
	if len(f.Tags) > 0 {
		b[5] = hasTags
		b = binary.LittleEndian.AppendUint16(b, uint16(tagsSize(f.Tags)))
		b = appendTags(b, f.Tags)
	}
	body := int64(len(b)-fileHeader) + f.Size
	if f.Size > MaxFile || body > MaxFile {
		return nil, fmt.Errorf("%w: %d bytes, the limit of one file is %d", ErrTooLarge, f.Size,
			int64(MaxFile)-int64(len(b)-fileHeader))
	}
	binary.LittleEndian.PutUint32(b[1:], uint32(body))
	return b, nil
}

// ReadFile reads the header of the file at p, in a blob of length bytes. r reads the file's columns in order, each in
// the plain order of its symbols. The Patch returned has identifier, tags and size from the header. The next Size bytes
// of r are the content. If p has an identifier, as one from an index has, it must match the file's. Errors wrap
// ErrFormat if there is no file, or are r's own.
func ReadFile(params shards.Params, length uint64, p Patch, r io.Reader) (Patch, error) {
	column, err := columnSize(params, length)
	if err != nil {
		return p, err
	}
	if p.Start < 1 || p.End <= p.Start || p.End > params.Columns() {
		return p, fmt.Errorf("%w: a file in columns %d to %d of %d", ErrFormat, p.Start, p.End-1, params.Columns())
	}
	s := &source{r: r, left: int64(p.End-p.Start) * column}
	if v := s.fixed(1, "version"); s.err == nil && v != version {
		s.failf("no file starts in column %d", p.Start)
	}
	size := int64(s.fixed(4, "size of a file"))
	flags := s.fixed(1, "flags of a file")
	if s.err == nil && size > s.left {
		s.failf("a file of %d bytes: its columns hold %d", size, s.left)
	}
	s.left = min(size, s.left)
	identifier := section(s, "identifier", func(in *source) string { return in.text(MaxIdentifier, "identifier") })
	var tags map[string]string
	if flags&hasTags != 0 {
		tags = section(s, "tags", (*source).tags)
	}
	if s.err != nil {
		return p, s.err
	}
	if err := ValidIdentifier(identifier); err != nil {
		return p, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if p.Identifier != "" && (p.Identifier != identifier || !maps.Equal(p.Tags, tags)) {
		return p, fmt.Errorf("%w: the index and the file's header disagree about %.80q", ErrFormat, p.Identifier)
	}
	p.Identifier, p.Tags, p.Size = identifier, tags, s.left
	return p, nil
}

// section reads a part preceded by its size, a uint16, which the part must fill.
func section[T any](s *source, what string, read func(*source) T) T {
	size := int64(s.fixed(2, "size of "+what))
	if s.err == nil && size > s.left {
		s.failf("%s of %d bytes: there is room for %d", what, size, s.left)
	}
	in := &source{r: s.r, left: size, err: s.err}
	v := read(in)
	if in.err == nil && in.left > 0 {
		in.failf("%d bytes after the %s", in.left, what)
	}
	s.fail(in.err)
	s.left -= size
	return v
}
