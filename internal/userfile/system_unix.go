//go:build unix

package userfile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// duplicate duplicates a descriptor of this process. The copy shares the file offset and append mode with the original.
// Opening the descriptor by name would not share them, and fails for sockets.
func duplicate(fd int, name string) (*os.File, error) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return nil, errors.New("no such descriptor is open")
	}
	if flags&unix.O_ACCMODE == unix.O_RDONLY {
		return nil, errors.New("is open for reading only")
	}
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(own), name), nil
}

// keepOwner gives f the owner and group of the file it replaces. Only root may do so, and group members for the group.
func keepOwner(f *os.File, old fs.FileInfo) {
	st, ok := old.Sys().(*syscall.Stat_t)
	if !ok {
		return
	}
	if f.Chown(int(st.Uid), int(st.Gid)) != nil {
		_ = f.Chown(-1, int(st.Gid)) // not allowed either: the file keeps its writer's group
	}
}
