package light

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// errForm reports bytes that are not a valid message.
var errForm = errors.New("malformed message")

// form encodes or decodes a message. A message lists its fields once, in order, for both. Integers are fixed-width
// little-endian; bytes follow their length as u32, lists their count as u32. The first error sticks, and reading then
// gives zeros. Memory is allocated only for bytes that have arrived.
type form struct {
	b       []byte // written so far, or left to read
	reading bool
	err     error
}

// message is a type with a wire form.
type message interface{ form(f *form) }

// encode returns the wire form of m; an error if m exceeds its bounds.
func encode(m message) ([]byte, error) {
	var f form
	m.form(&f)
	return f.b, f.err
}

// decode fills m, which shares memory with b. Errors wrap errForm.
func decode(b []byte, m message) error {
	f := form{b: b, reading: true}
	m.form(&f)
	if f.err == nil && len(f.b) > 0 {
		f.fail("%d bytes too many", len(f.b))
	}
	return f.err
}

func (f *form) fail(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf("%w: %s", errForm, fmt.Sprintf(format, args...))
	}
}

// take reads n bytes; nil after an error.
func (f *form) take(name string, n int) []byte {
	if f.err == nil && len(f.b) < n {
		f.fail("%s: %d bytes left, want %d", name, len(f.b), n)
	}
	if f.err != nil {
		return nil
	}
	b := f.b[:n:n]
	f.b = f.b[n:]
	return b
}

func (f *form) u8(name string, v *uint8) {
	if !f.reading {
		f.b = append(f.b, *v)
	} else if b := f.take(name, 1); b != nil {
		*v = b[0]
	}
}

func (f *form) u32(name string, v *uint32) {
	if !f.reading {
		f.b = binary.LittleEndian.AppendUint32(f.b, *v)
	} else if b := f.take(name, 4); b != nil {
		*v = binary.LittleEndian.Uint32(b)
	}
}

func (f *form) u64(name string, v *uint64) {
	if !f.reading {
		f.b = binary.LittleEndian.AppendUint64(f.b, *v)
	} else if b := f.take(name, 8); b != nil {
		*v = binary.LittleEndian.Uint64(b)
	}
}

func (f *form) flag(name string, v *bool) {
	var u uint8
	if *v {
		u = 1
	}
	f.u8(name, &u)
	if u > 1 {
		f.fail("%s is %d, not 0 or 1", name, u)
	}
	*v = u == 1
}

// fixed reads or writes an array, passed as a slice of all its bytes.
func (f *form) fixed(name string, v []byte) {
	if !f.reading {
		f.b = append(f.b, v...)
		return
	}
	copy(v, f.take(name, len(v)))
}

// bytes reads or writes bytes, at most limit.
func (f *form) bytes(name string, v *[]byte, limit int) {
	n := f.count(name, len(*v), limit, 1)
	if !f.reading {
		f.b = append(f.b, *v...)
	} else {
		*v = f.take(name, n)
	}
}

// text reads or writes UTF-8 of at most maxText bytes; longer text is cut.
func (f *form) text(name string, v *string) {
	b := []byte(*v)
	if !f.reading {
		b = []byte(printable(*v))
	}
	f.bytes(name, &b, maxText)
	if !utf8.Valid(b) {
		f.fail("%s is not UTF-8", name)
	}
	*v = printable(string(b))
}

// count reads or writes the number of elements, at most limit. When reading, it also rejects a number for which too
// few bytes follow, at size bytes per element or more.
func (f *form) count(name string, n, limit, size int) int {
	if !f.reading && n > limit {
		f.fail("%s: %d of them: at most %d", name, n, limit)
	}
	u := uint32(n)
	f.u32(name, &u)
	if uint64(u) > uint64(limit) {
		f.fail("%s: %d of them: at most %d", name, u, limit)
	} else if f.reading && int(u) > len(f.b)/size {
		f.fail("%s: %d of them do not fit the %d bytes left", name, u, len(f.b))
	}
	if f.err != nil {
		return 0
	}
	return int(u)
}

// list reads or writes at most limit elements, each at least size bytes.
func list[T any](f *form, name string, v *[]T, limit, size int, element func(f *form, e *T)) {
	n := f.count(name, len(*v), limit, size)
	if f.reading {
		*v = make([]T, n)
	}
	for i := range n {
		element(f, &(*v)[i])
	}
}

// nested reads or writes a part with its own encoding, at most limit bytes, by marshal and unmarshal.
func nested[T any](f *form, name string, v *T, limit int, marshal func(T) ([]byte, error), unmarshal func([]byte) (T, error)) {
	var b []byte
	if !f.reading {
		var err error
		if b, err = marshal(*v); err != nil {
			f.fail("%s: %v", name, err)
		}
		f.bytes(name, &b, limit)
		return
	}
	if f.bytes(name, &b, limit); f.err != nil {
		return
	}
	got, err := unmarshal(b)
	if err != nil {
		f.fail("%s: %v", name, err)
		return
	}
	*v = got
}
