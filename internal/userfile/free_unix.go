//go:build linux || darwin || freebsd

package userfile

import (
	"math"

	"golang.org/x/sys/unix"
)

// free returns the bytes that an unprivileged process may still write to the disk of dir; all if the system does not
// tell, as for a folder that does not exist yet.
func free(dir string) int64 {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return math.MaxInt64
	}
	return int64(st.Bavail) * int64(uint64(st.Bsize)) // their types differ between systems
}
