package shards

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePage is the size of a large page of memory, in bytes, on most systems.
const hugePage = 2 << 20

// largePages asks the system for large pages for memory not used yet: writes to distant places then need fewer
// address translations. It is only advice: the system may have none.
func largePages(buf []byte) {
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(buf))) % hugePage)
	if size := (len(buf) - skip) / hugePage * hugePage; size > 0 {
		_ = unix.Madvise(buf[skip:skip+size], unix.MADV_HUGEPAGE)
	}
}
