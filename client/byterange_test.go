package client

import (
	"errors"
	"math"
	"testing"
)

func TestByteRange(t *testing.T) {
	for _, x := range []struct {
		text   string
		size   uint64
		off, n int64 // n == 0: outside the blob
	}{
		{"0-0", 10, 0, 1}, {"0-9", 10, 0, 10}, {"0-10", 10, 0, 10}, {"3-5", 10, 3, 3}, {"9-", 10, 9, 1},
		{"0-", 10, 0, 10}, {"10-", 10, 0, 0},
		{"10-20", 10, 0, 0}, {"-1", 10, 9, 1}, {"-10", 10, 0, 10}, {"-11", 10, 0, 10}, {"-0", 10, 0, 0}, {"0-0", 0, 0, 0},
		{"0-", 0, 0, 0}, {"-1", 0, 0, 0},
		{"00003-0005", 10, 3, 3}, {"5-99999999999999999999999", 10, 5, 5}, {"99999999999999999999999-", 10, 0, 0},
		{"-99999999999999999999999", 10, 0, 10}, {"0-9223372036854775807", 10, 0, 10},
		{"0-", math.MaxUint64, 0, math.MaxInt64},
	} {
		r, err := ParseByteRange(x.text)
		if err != nil {
			t.Fatalf("%q: %v", x.text, err)
		}
		off, n, err := r.Within(x.size)
		var outside *RangeError
		if off != x.off || n != x.n || errors.As(err, &outside) != (x.n == 0) || (x.n == 0 && outside.Size != x.size) {
			t.Errorf("%q of %d: %d bytes from %d on, %v", x.text, x.size, n, off, err)
		}
	}
	for _, text := range []string{"", "-", "5", "a-b", "1-b", "--1", "-1-", "1--2", "5-4", "+1-2", " 1-2", "1-2 ",
		"1-2,4-5", "bytes=1-2", "0x1-2", "1.0-2", "１-2"} {
		if r, err := ParseByteRange(text); err == nil || r != (ByteRange{}) {
			t.Errorf("%q is %v", text, r)
		}
	}
}

func FuzzParseByteRange(f *testing.F) {
	for _, text := range []string{"0-0", "5-", "-5", "-0", "9223372036854775807-9223372036854775808", "-", "1-2-3", ""} {
		f.Add(text, uint64(10))
	}
	f.Fuzz(func(t *testing.T, text string, size uint64) {
		r, err := ParseByteRange(text)
		if err != nil {
			return
		}
		if again, err := ParseByteRange(r.String()); err != nil || again != r {
			t.Fatalf("%q is %v, which is %v, %v", text, r, again, err)
		}
		off, n, err := r.Within(size)
		if off < 0 || n < 0 || (n == 0) != (err != nil) || uint64(off) > size || uint64(n) > size-uint64(off) {
			t.Fatalf("%q of %d: %d bytes from %d on, %v", text, size, n, off, err)
		}
	})
}
