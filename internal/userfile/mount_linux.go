package userfile

import "golang.org/x/sys/unix"

// isMountPoint reports whether a file is mounted alone, as containers do with single files. Such a file cannot be
// replaced. Before Linux 5.8 it always reports false.
func isMountPoint(path string) bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, 0, &st)
	return err == nil && st.Attributes_mask&st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
