package badgerdisk

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// exact makes reads of a file fetch the pages they need and no others. The system may read up to 8 MiB ahead.
func exact(f *os.File) { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM) }

// calm does the same for the memory maps of the index tables in dir. Badger has no option for that and keeps the maps
// to itself, so they are found where the system lists the maps of this process. Value logs stay as they are: a value of
// some 100 KiB is read faster ahead. Advice may be lost without harm.
func calm(dir string) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return
	}
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }() // only read
	prefix, suffix := []byte(dir+"/"), []byte(tableExt)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// 7f3a5c000000-7f3a5c400000 rw-s 00000000 fe:00 1234    /dir/000001.sst
		line := lines.Bytes()
		at := bytes.IndexByte(line, '/')
		if at < 0 || !bytes.HasPrefix(line[at:], prefix) || !bytes.HasSuffix(line, suffix) {
			continue
		}
		span, _, _ := bytes.Cut(line, []byte(" "))
		low, high, _ := bytes.Cut(span, []byte("-"))
		from, err1 := strconv.ParseUint(string(low), 16, 64)
		to, err2 := strconv.ParseUint(string(high), 16, 64)
		if err1 == nil && err2 == nil && from < to {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, uintptr(from), uintptr(to-from), unix.MADV_RANDOM)
		}
	}
}
