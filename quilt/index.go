package quilt

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	"walrus/shards"
)

// indexPrefix comes before the index itself: the version, and the index size as a uint32.
const indexPrefix = 5

// Index lists the files of a quilt and their columns.
type Index struct {
	Patches []Patch // in column order
}

// Find returns the first file with the identifier.
func (x *Index) Find(identifier string) (Patch, bool) {
	for _, p := range x.Patches {
		if p.Identifier == identifier {
			return p, true
		}
	}
	return Patch{}, false
}

// Tagged returns the files with that value of the tag.
func (x *Index) Tagged(key, value string) []Patch {
	var out []Patch
	for _, p := range x.Patches {
		if p.Has(key, value) {
			out = append(out, p)
		}
	}
	return out
}

// MarshalJSON gives the form that the original prints, {"v1":{"quiltPatches":[{"endIndex","identifier","tags"}]}}, and
// adds the first column of each file.
func (x *Index) MarshalJSON() ([]byte, error) {
	type patch struct {
		Start      int               `json:"startIndex"`
		End        int               `json:"endIndex"`
		Identifier string            `json:"identifier"`
		Tags       map[string]string `json:"tags"`
	}
	list := make([]patch, len(x.Patches))
	for i, p := range x.Patches {
		list[i] = patch{p.Start, p.End, p.Identifier, p.Tags}
		if p.Tags == nil {
			list[i].Tags = map[string]string{}
		}
	}
	return json.Marshal(map[string]any{"v1": map[string]any{"quiltPatches": list}})
}

// size returns the bytes of the index with its prefix.
func (x *Index) size() int64 {
	size := int64(indexPrefix + len(binary.AppendUvarint(nil, uint64(len(x.Patches)))))
	for _, p := range x.Patches {
		size += 2 + textSize(p.Identifier) + tagsSize(p.Tags)
	}
	return size
}

// marshal encodes the index with its prefix.
func (x *Index) marshal() []byte {
	size := x.size()
	b := make([]byte, 0, size)
	b = append(b, version)
	b = binary.LittleEndian.AppendUint32(b, uint32(size-indexPrefix))
	b = binary.AppendUvarint(b, uint64(len(x.Patches)))
	for _, p := range x.Patches {
		b = binary.LittleEndian.AppendUint16(b, uint16(p.End))
		b = appendTags(appendText(b, p.Identifier), p.Tags)
	}
	return b
}

// ReadIndex reads the index of a blob of length bytes. r reads the blob's columns in order from the first, each in the
// plain order of its symbols. ReadIndex reads only the columns of the index, at most ten. Errors wrap ErrFormat if the
// blob is no quilt, or are r's own.
func ReadIndex(params shards.Params, length uint64, r io.Reader) (*Index, error) {
	column, err := columnSize(params, length)
	if err != nil {
		return nil, err
	}
	s := &source{r: r, left: column * int64(min(indexColumns, params.Columns()))}
	if v := s.fixed(1, "version"); s.err == nil && v != version {
		s.failf("version %d: want %d", v, version)
	}
	size := int64(s.fixed(4, "size of the index"))
	if s.err == nil && (size > s.left || size > MaxIndex) {
		s.failf("an index of %d bytes: there is room for %d", size, min(s.left, MaxIndex))
	}
	if s.err != nil {
		return nil, s.err
	}
	s.r, s.left = bufio.NewReader(io.LimitReader(r, size)), size
	x := &Index{}
	count := s.length("index")
	if s.err == nil && count > int64(MaxFiles(params)) {
		s.failf("%d files: the network has columns for %d", count, MaxFiles(params))
	}
	next := int(ceilDiv(indexPrefix+size, column)) // first column after the index
	for range count {
		p := Patch{Start: next, Size: -1}
		p.End = int(s.fixed(2, "end of a file"))
		p.Identifier = s.text(MaxIdentifier, "identifier")
		p.Tags = s.tags()
		if s.err == nil && (p.End <= p.Start || p.End > params.Columns()) {
			s.failf("%.80q is in columns %d to %d of %d", p.Identifier, p.Start, p.End-1, params.Columns())
		}
		if s.err != nil {
			return nil, s.err
		}
		x.Patches = append(x.Patches, p)
		next = p.End
	}
	if s.err == nil && s.left > 0 {
		s.failf("%d bytes after the index", s.left)
	}
	return x, s.err
}

// columnSize returns the bytes of a column of a blob of length bytes. The length must be possible for a quilt.
func columnSize(params shards.Params, length uint64) (int64, error) {
	layout := params.Layout(shards.Secondary, length)
	if length == 0 || length > shards.MaxLength || uint64(layout.Size())*uint64(params.Columns()) != length {
		return 0, fmt.Errorf("%w: a blob of %d bytes does not fill its columns", ErrFormat, length)
	}
	return layout.Size(), nil
}
