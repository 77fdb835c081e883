package ledger

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// form writes or reads the binary form of a value. A type describes its form once, in a method
//
//	form(f *form)
//
// that lists its fields in order, so that writing and reading cannot differ. Integers are fixed-width little-endian;
// text and lists follow their length or count. Every value has exactly one form, and every accepted form exactly one
// value.
//
// Writing does not change the value, so several goroutines may write it at a time. The first error sticks and names
// the field. After an error, reading gives zeros and allocates nothing. Writing goes on: every reader refuses the
// bytes of a value beyond its bounds.
type form struct {
	b       []byte // written so far, or left to read
	reading bool
	err     error
	op      int    // current operation, from 1; 0 outside of operations
	opName  string // its kind, once known
}

// formed is a type with a binary form.
type formed interface{ form(f *form) }

func marshal(v formed, size int) []byte {
	f := form{b: make([]byte, 0, size)}
	v.form(&f)
	return f.b
}

// unmarshal fills v from b. Errors wrap ErrFormat and name what and the field.
func unmarshal(what string, v formed, b []byte) error {
	f := form{b: b, reading: true}
	v.form(&f)
	if f.err == nil && len(f.b) > 0 {
		f.fail("%d bytes too many", len(f.b))
	}
	if f.err != nil {
		return fmt.Errorf("%s: %w", what, f.err)
	}
	return nil
}

// fail records the first error.
func (f *form) fail(format string, args ...any) {
	if f.err != nil {
		return
	}
	where := ""
	if f.op > 0 {
		where = fmt.Sprintf("operation %d: ", f.op-1)
		if f.opName != "" {
			where += f.opName + ": "
		}
	}
	f.err = fmt.Errorf("%w: %s%s", ErrFormat, where, fmt.Sprintf(format, args...))
}

// check enforces a rule on values and on their binary form.
func (f *form) check(ok bool, format string, args ...any) {
	if !ok {
		f.fail(format, args...)
	}
}

// take reads n bytes, which share the memory given to unmarshal; nil after an error.
func (f *form) take(name string, n int) []byte {
	if f.err == nil && len(f.b) < n {
		f.fail("%s: %d bytes left, want %d", name, len(f.b), n)
	}
	if f.err != nil {
		return nil
	}
	b := f.b[:n]
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

func (f *form) u16(name string, v *uint16) {
	if !f.reading {
		f.b = binary.LittleEndian.AppendUint16(f.b, *v)
	} else if b := f.take(name, 2); b != nil {
		*v = binary.LittleEndian.Uint16(b)
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

// i64 reads or writes an integer in two's complement.
func (f *form) i64(name string, v *int64) {
	u := uint64(*v)
	f.u64(name, &u)
	if f.reading {
		*v = int64(u)
	}
}

func (f *form) amount(name string, v *Amount) { f.u64(name, (*uint64)(v)) }

// flag reads or writes a byte, 0 or 1.
func (f *form) flag(name string, v *bool) {
	var u uint8
	if *v {
		u = 1
	}
	f.u8(name, &u)
	f.check(u <= 1, "%s is %d, not 0 or 1", name, u)
	if f.reading {
		*v = u == 1
	}
}

// fixed reads or writes an array, passed as a slice of all its bytes.
func (f *form) fixed(name string, v []byte) {
	if !f.reading {
		f.b = append(f.b, v...)
		return
	}
	copy(v, f.take(name, len(v)))
}

// bytes reads or writes bytes, at most limit, after their number as u16. An empty list is nil.
func (f *form) bytes(name string, v *[]byte, limit int) {
	n := f.count(name, len(*v), limit, 1)
	if !f.reading {
		f.b = append(f.b, (*v)[:n]...)
	} else if b := f.take(name, n); len(b) > 0 {
		*v = append([]byte(nil), b...)
	}
}

// text reads or writes UTF-8 of least to limit bytes, after their number as u16.
func (f *form) text(name string, v *string, least, limit int) {
	n := f.count(name, len(*v), limit, 1)
	if !f.reading {
		f.b = append(f.b, (*v)[:n]...)
	} else {
		*v = string(f.take(name, n))
	}
	f.check(n >= least, "%s is empty", name)
	f.check(utf8.ValidString(*v), "%s is not UTF-8", name)
}

// count reads or writes the number of elements as u16. Writing, it is n. When reading, it is at most limit and no
// more than can follow if an element takes at least size bytes.
func (f *form) count(name string, n, limit, size int) int {
	u := uint16(min(n, 1<<16-1))
	f.u16(name, &u)
	if !f.reading {
		f.check(n <= limit, "%d %s: at most %d", n, name, limit)
		return int(u)
	}
	f.check(int(u) <= limit, "%d %s: at most %d", u, name, limit)
	f.check(int(u)*size <= len(f.b), "%s: %d of them do not fit the %d bytes left", name, u, len(f.b))
	if f.err != nil {
		return 0
	}
	return int(u)
}

// list reads or writes at most limit elements after their number as u16; an element takes at least size bytes. An
// empty list is nil.
func list[T any](f *form, name string, v *[]T, limit, size int, element func(f *form, e *T)) {
	n := f.count(name, len(*v), limit, size)
	if f.reading && n > 0 {
		*v = make([]T, n)
	}
	for i := range n {
		element(f, &(*v)[i])
	}
}

// ascending checks that each element is above the one before.
func ascending[T any](f *form, name string, v []T, less func(a, b *T) bool) {
	for i := 1; i < len(v); i++ {
		f.check(less(&v[i-1], &v[i]), "%s are not in ascending order", name)
	}
}
