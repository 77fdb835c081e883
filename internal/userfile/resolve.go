package userfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// maxLinks bounds the links followed from one name, as on Linux.
const maxLinks = 40

// target is the file that a name leads to.
type target struct {
	path       string // in an existing folder, without links
	descriptor int    // of this process; −1: path is a file
	stat       fs.FileInfo
	exists     bool
}

// resolve follows links from path to the file to be written, which may not exist yet. Descriptors of this process, such
// as /dev/stdout, are not followed further: other processes may write to the same file, and their output must stay.
func resolve(path string) (target, error) {
	last := path[strings.LastIndexFunc(path, func(r rune) bool { return r < 128 && os.IsPathSeparator(uint8(r)) })+1:]
	if last == "" || last == "." || last == ".." {
		return target{}, errors.New("names a folder: name a file")
	}
	for range maxLinks {
		folder, base := filepath.Split(path)
		dir, err := filepath.EvalSymlinks(folder + ".") // filepath.Dir would drop a .. together with a link before it
		if errors.Is(err, fs.ErrNotExist) {
			return target{}, fmt.Errorf("there is no folder %s: %w", filepath.Clean(folder), fs.ErrNotExist)
		}
		if err != nil {
			return target{}, err
		}
		path = filepath.Join(dir, base)
		if fd, ok := descriptor(path); ok {
			return target{path: path, descriptor: fd, exists: true}, nil
		}
		t := target{path: path, descriptor: -1}
		t.stat, err = os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return t, nil
		}
		if err != nil {
			return target{}, err
		}
		if t.stat.Mode()&fs.ModeSymlink == 0 || foreignDescriptor(path) {
			t.exists = true
			return t, nil
		}
		to, err := os.Readlink(path)
		if err != nil {
			return target{}, err
		}
		if !filepath.IsAbs(to) {
			to = dir + string(filepath.Separator) + to // not cleaned: a folder before a .. may be a link
		}
		path = to
	}
	return target{}, errors.New("its links form a circle")
}

// descriptor parses the name of a descriptor of this process.
func descriptor(path string) (int, bool) {
	dir, base := filepath.Split(path)
	n, err := strconv.Atoi(base)
	if err != nil || n < 0 {
		return 0, false
	}
	own := fmt.Sprintf("/proc/%d/", os.Getpid())
	return n, dir == "/dev/fd/" || strings.HasPrefix(dir, own) && strings.HasSuffix(dir, "/fd/")
}

// foreignDescriptor reports whether path is a descriptor of another process. The text of such a link may lead nowhere.
func foreignDescriptor(path string) bool {
	dir, base := filepath.Split(path)
	_, err := strconv.Atoi(base)
	return err == nil && strings.HasPrefix(dir, "/proc/") && strings.HasSuffix(dir, "/fd/")
}
