package quilt

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"
	"unicode/utf8"
)

// The parts of Sui's BCS encoding that quilts need. A length is a ULEB128 number. A text is its length and its bytes in
// UTF-8. A map is its number of entries and the entries, ascending by the bytes of their encoded keys.

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func textSize(s string) int64 {
	n := int64(1)
	for v := len(s); v >= 0x80; v >>= 7 {
		n++
	}
	return n + int64(len(s))
}

func appendTags(b []byte, tags map[string]string) []byte {
	b = binary.AppendUvarint(b, uint64(len(tags)))
	for _, k := range slices.SortedFunc(maps.Keys(tags), compareKeys) {
		b = appendText(appendText(b, k), tags[k])
	}
	return b
}

// compareKeys orders keys as their encoded bytes sort: by length first.
func compareKeys(a, b string) int {
	return slices.Compare(appendText(nil, a), appendText(nil, b))
}

// tagsSize returns the size of the tags' binary form.
func tagsSize(tags map[string]string) int64 {
	size := textSize("") // the count is almost always below 128
	for n := len(tags); n >= 0x80; n >>= 7 {
		size++
	}
	for k, v := range tags {
		size += textSize(k) + textSize(v)
	}
	return size
}

// validTags checks the tags of a file to be stored.
func validTags(tags map[string]string) error {
	for k, v := range tags {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return fmt.Errorf("%w: %.80q is not UTF-8", ErrTags, k+"="+v)
		}
	}
	if size := tagsSize(tags); size > MaxTags {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTags, size, MaxTags)
	}
	return nil
}

// source reads binary forms from r and uses at most left bytes. After an error it returns zeros.
type source struct {
	r    io.Reader
	left int64
	err  error
}

// fail keeps the first error. A source that ends early is not a quilt: ErrFormat. Other errors of r are passed on.
func (s *source) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

func (s *source) failf(format string, args ...any) {
	s.fail(fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...)))
}

// take reads n bytes; n must not exceed limit.
func (s *source) take(n, limit int64, what string) []byte {
	if s.err == nil && (n > limit || n > s.left) {
		s.failf("%s of %d bytes: there is room for %d", what, n, min(limit, s.left))
	}
	if s.err != nil {
		return nil
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(s.r, b); err != nil {
		s.fail(fmt.Errorf("read %s: %w", what, err))
		return nil
	}
	s.left -= n
	return b
}

// fixed reads a number of 1, 2 or 4 bytes, little-endian.
func (s *source) fixed(size int, what string) uint32 {
	var b [4]byte
	copy(b[:], s.take(int64(size), 4, what))
	return binary.LittleEndian.Uint32(b[:])
}

// length reads a ULEB128 number of at most 32 bits in its shortest form.
func (s *source) length(what string) int64 {
	v := uint64(0)
	for shift := 0; shift < 35; shift += 7 {
		b := s.fixed(1, what)
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if (b == 0 && shift > 0) || v > 1<<31-1 {
				break
			}
			return int64(v)
		}
	}
	s.failf("%s: malformed length", what)
	return 0
}

// text reads a text of at most limit bytes.
func (s *source) text(limit int64, what string) string {
	b := s.take(s.length(what), limit, what)
	if !utf8.Valid(b) {
		s.failf("%s is not UTF-8", what)
	}
	return string(b)
}

// tags reads a map of texts, of at most MaxTags bytes; nil if it is empty.
func (s *source) tags() map[string]string {
	all := s.left
	limit := min(all, MaxTags)
	s.left = limit
	defer func() { s.left += all - limit }()
	n := s.length("tags")
	var tags map[string]string
	last := ""
	for i := range n {
		k, v := s.text(limit, "a tag"), s.text(limit, "a tag")
		if s.err != nil {
			return nil
		}
		if i > 0 && compareKeys(last, k) >= 0 {
			s.failf("tags out of order")
			return nil
		}
		if tags == nil {
			tags = map[string]string{}
		}
		tags[k], last = v, k
	}
	return tags
}
