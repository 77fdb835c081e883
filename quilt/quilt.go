// Package quilt packs many small files into one blob so that each can be read alone, byte for byte in the original
// Walrus's QuiltV1 format. It lays out and parses; its only I/O is through the io.Readers and io.ReaderAts it is given.
// Start with New to make a quilt, with ReadIndex and ReadFile to take one apart.
//
// A blob fills, row by row, a matrix of p rows and s columns of symbols of z bytes, and its columns are its first s
// secondary slivers. A quilt is a blob written column by column: the index in the first columns, and then each file in
// columns of its own. The secondary slivers of a file's columns are enough to read the file.
package quilt

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"walrus/shards"
)

const (
	// MaxIdentifier bounds an identifier, in bytes. Together with its length prefix it must be shorter than 65535.
	MaxIdentifier = 65531
	// MaxTags bounds the tags of a file, in bytes of their binary form, whose size is a uint16.
	MaxTags = 65535
	// MaxFile bounds a file with its identifier and tags, in bytes: their size is a uint32.
	MaxFile = 1<<32 - 1
	// MaxIndex bounds the index, in bytes: a reader of one file holds the whole index.
	MaxIndex = 64 << 20
	// indexColumns bounds the columns of the index. If the index needs more, all columns get longer.
	indexColumns = 10
	// version is the first byte of the index, of each file, and of the part that a patch ID adds to the blob ID.
	version = 1
)

var (
	// ErrIdentifier is returned for an identifier that is empty, too long, ends in white space, or is not plain text.
	ErrIdentifier = errors.New("invalid identifier")
	// ErrDuplicate is returned for two files with the same identifier.
	ErrDuplicate = errors.New("duplicate identifier")
	// ErrTags is returned for tags that are too long or not text.
	ErrTags = errors.New("invalid tags")
	// ErrCount is returned for no files, or more files than columns.
	ErrCount = errors.New("wrong number of files")
	// ErrTooLarge is returned for files, or an index, above the limits of the format.
	ErrTooLarge = errors.New("too large for a quilt")
	// ErrFormat is returned for bytes that are not a quilt, and for text that is not a patch ID.
	ErrFormat = errors.New("not a quilt")
)

// File is a file to be put into a quilt.
type File struct {
	Identifier string
	Tags       map[string]string
	Size       int64
	Content    io.ReaderAt // Size bytes; must allow parallel calls
}

// Patch is a file's place in a quilt, with its identifier, tags and size as far as known.
type Patch struct {
	Identifier string
	Tags       map[string]string
	Start, End int   // its columns are Start…End−1
	Size       int64 // bytes of content; −1 until the file's header is read
}

// Has reports whether the patch has a tag with that value.
func (p *Patch) Has(key, value string) bool {
	v, ok := p.Tags[key]
	return ok && v == value
}

// MaxFiles returns how many files fit into a quilt: one column is the index's.
func MaxFiles(p shards.Params) int { return p.Columns() - 1 }

// ValidIdentifier checks an identifier. Errors wrap ErrIdentifier.
func ValidIdentifier(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("%w: it is empty", ErrIdentifier)
	case len(s) > MaxIdentifier:
		return fmt.Errorf("%w: %.40q… has %d bytes, the limit is %d", ErrIdentifier, s, len(s), MaxIdentifier)
	case !utf8.ValidString(s):
		return fmt.Errorf("%w: %.80q is not UTF-8", ErrIdentifier, s)
	case strings.TrimRightFunc(s, unicode.IsSpace) != s:
		return fmt.Errorf("%w: %.80q ends in white space", ErrIdentifier, s)
	case strings.ContainsFunc(s, unicode.IsControl):
		return fmt.Errorf("%w: %.80q has control characters", ErrIdentifier, s)
	}
	return nil
}

// Nested finds two identifiers such as x and x/y: no folder can hold both as files.
func Nested(identifiers iter.Seq[string]) (file, below string, found bool) {
	known := map[string]bool{}
	for s := range identifiers {
		known[s] = true
	}
	for _, s := range slices.Sorted(maps.Keys(known)) {
		for i, c := range s {
			if c == '/' && known[s[:i]] {
				return s[:i], s, true
			}
		}
	}
	return "", "", false
}

// Quilt is an io.ReaderAt of the blob made of the files, for an encoder. It assembles the blob while it is read, and
// holds only the files' headers. It is safe for concurrent use if the files' Content is.
type Quilt struct {
	params  shards.Params
	z       int64 // bytes of a symbol
	index   Index
	pieces  []piece // the index, then the files, in column order
	columns []int32 // by column: the piece it belongs to; −1 for none
}

// piece fills some columns with head, content, and zeros to the end of the last column.
type piece struct {
	start, end int
	head       []byte
	size       int64 // of content
	content    io.ReaderAt
}

// New lays out the quilt of files in a network of params. The order of files does not matter: the quilt sorts them by
// identifier. Errors wrap ErrIdentifier, ErrDuplicate, ErrTags, ErrCount or ErrTooLarge.
func New(params shards.Params, files []File) (*Quilt, error) {
	if len(files) == 0 || len(files) > MaxFiles(params) {
		return nil, fmt.Errorf("%w: %d: a quilt on %d shards holds 1 to %d", ErrCount, len(files),
			params.Shards(), MaxFiles(params))
	}
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b File) int { return strings.Compare(a.Identifier, b.Identifier) })
	q := &Quilt{params: params, pieces: make([]piece, 1, 1+len(files))}
	for i, f := range files {
		if err := ValidIdentifier(f.Identifier); err != nil {
			return nil, err
		}
		if i > 0 && files[i-1].Identifier == f.Identifier {
			return nil, fmt.Errorf("%w: %.80q", ErrDuplicate, f.Identifier)
		}
		head, err := fileHead(&f)
		if err != nil {
			return nil, fmt.Errorf("%.80q: %w", f.Identifier, err)
		}
		q.pieces = append(q.pieces, piece{head: head, size: f.Size, content: f.Content})
		q.index.Patches = append(q.index.Patches, Patch{Identifier: f.Identifier, Tags: maps.Clone(f.Tags), Size: f.Size})
	}
	if err := q.layOut(); err != nil {
		return nil, err
	}
	return q, nil
}

// layOut chooses the symbol size and assigns columns to every piece.
func (q *Quilt) layOut() error {
	indexSize := q.index.size()
	if indexSize > MaxIndex {
		return fmt.Errorf("%w: an index of %d bytes, the limit is %d: shorten identifiers and tags", ErrTooLarge,
			indexSize, MaxIndex)
	}
	sizes := []int64{indexSize}
	for _, p := range q.pieces[1:] {
		sizes = append(sizes, int64(len(p.head))+p.size)
	}
	rows, columns := int64(q.params.Rows()), q.params.Columns()
	q.z = symbolSize(sizes, rows, columns)
	if total := uint64(q.z * rows * int64(columns)); total > shards.MaxLength {
		return fmt.Errorf("%w: %d bytes together, the limit of a blob is %d", ErrTooLarge, total, uint64(shards.MaxLength))
	}
	q.columns = make([]int32, columns)
	for c := range q.columns {
		q.columns[c] = -1
	}
	next := 0
	for i, size := range sizes {
		p := &q.pieces[i]
		p.start = next
		next += int(ceilDiv(size, q.z*rows))
		p.end = next
		for c := p.start; c < p.end; c++ {
			q.columns[c] = int32(i)
		}
		if i > 0 {
			q.index.Patches[i-1].Start, q.index.Patches[i-1].End = p.start, p.end
		}
	}
	q.pieces[0].head = q.index.marshal()
	return nil
}

// symbolSize returns the least even number of bytes per symbol with which pieces of these sizes fit, each in whole
// columns. The first piece, the index, must fit in indexColumns.
func symbolSize(sizes []int64, rows int64, columns int) int64 {
	total, longest := int64(0), int64(0)
	for _, size := range sizes {
		total += size
		longest = max(longest, size)
	}
	low := max(ceilDiv(total, rows*int64(columns)), ceilDiv(sizes[0], rows*indexColumns), ceilDiv(indexPrefix, rows))
	high := max(low, ceilDiv(longest, rows*int64(columns/len(sizes)))) // with this, all pieces fit into equal shares
	for low < high {
		mid := (low + high) / 2
		need := int64(0)
		for _, size := range sizes {
			need += ceilDiv(size, mid*rows)
		}
		if need <= int64(columns) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low + low&1
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }

// Size returns the size of the blob in bytes.
func (q *Quilt) Size() uint64 {
	return uint64(q.z) * uint64(q.params.Rows()) * uint64(q.params.Columns())
}

// Index returns the index of the quilt. It is shared and read-only.
func (q *Quilt) Index() *Index { return &q.index }

// ReadAt implements io.ReaderAt over the blob.
func (q *Quilt) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("read quilt at offset %d: must not be negative", off)
	}
	rowSize := q.z * int64(q.params.Columns())
	for n < len(p) {
		if uint64(off) >= q.Size() {
			return n, io.EOF
		}
		row, in := off/rowSize, off%rowSize
		column, in := int(in/q.z), in%q.z
		part := p[n:min(int64(len(p)), int64(n)+q.z-in)]
		if err := q.readColumn(part, column, row*q.z+in); err != nil {
			return n, err
		}
		n += len(part)
		off += int64(len(part))
	}
	return n, nil
}

// readColumn fills dst from offset off of a column.
func (q *Quilt) readColumn(dst []byte, column int, off int64) error {
	i := q.columns[column]
	if i < 0 {
		clear(dst)
		return nil
	}
	p := &q.pieces[i]
	off += int64(column-p.start) * q.z * int64(q.params.Rows())
	if off < int64(len(p.head)) {
		n := copy(dst, p.head[off:])
		dst, off = dst[n:], off+int64(n)
	}
	off -= int64(len(p.head))
	have := min(max(p.size-off, 0), int64(len(dst)))
	clear(dst[have:])
	if len(dst) == 0 || have == 0 {
		return nil
	}
	n, err := p.content.ReadAt(dst[:have], off)
	if int64(n) == have {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%.80q, %d bytes at offset %d of %d: %w", q.index.Patches[i-1].Identifier, have, off, p.size, err)
}
