package client

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ByteRange holds a range of bytes as people and HTTP write it, before the blob's size is known: from a first to a last
// byte, from a byte to the end, or a number of bytes at the end. ParseByteRange returns one.
type ByteRange struct {
	first, last int64 // last: math.MaxInt64 for "to the end"
	suffix      bool  // only the last bytes; field last has their number
}

// ParseByteRange reads "5-9", "5-" or "-5": one range-spec of RFC 9110, section 14.1.2, without the unit. Numbers
// beyond any blob count as the greatest possible one.
func ParseByteRange(s string) (r ByteRange, err error) {
	first, last, found := strings.Cut(s, "-")
	if !found || first == "" && last == "" {
		return r, fmt.Errorf("range %q: want START-END, START- or -LENGTH, in bytes, as in 0-99, 100- and -100", s)
	}
	r.last = math.MaxInt64
	if first != "" {
		if r.first, err = parsePosition(first); err != nil {
			return ByteRange{}, fmt.Errorf("range %q: %w", s, err)
		}
	}
	if last != "" {
		if r.last, err = parsePosition(last); err != nil {
			return ByteRange{}, fmt.Errorf("range %q: %w", s, err)
		}
	}
	r.suffix = first == ""
	if r.first > r.last {
		return ByteRange{}, fmt.Errorf("range %q: it ends before it begins", s)
	}
	return r, nil
}

// parsePosition reads a number of digits only.
func parsePosition(s string) (int64, error) {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%q is not a number", s)
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil { // only digits, so it is too large
		return math.MaxInt64, nil
	}
	return n, nil
}

// Within returns the part of a blob of size bytes that the range names, cut at the blob's end. A range without a byte
// of the blob returns a *RangeError.
func (r ByteRange) Within(size uint64) (off, n int64, err error) {
	end := int64(min(size, math.MaxInt64))
	if r.suffix {
		n = min(r.last, end)
		off = end - n
	} else if off = r.first; off < end {
		n = min(r.last-off, end-off-1) + 1
	}
	if n == 0 {
		return 0, 0, &RangeError{Range: r.String(), Size: size}
	}
	return off, n, nil
}

// String formats the range as ParseByteRange reads it.
func (r ByteRange) String() string {
	switch {
	case r.suffix:
		return fmt.Sprintf("-%d", r.last)
	case r.last == math.MaxInt64:
		return fmt.Sprintf("%d-", r.first)
	}
	return fmt.Sprintf("%d-%d", r.first, r.last)
}
