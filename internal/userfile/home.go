package userfile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Expand replaces a leading ~ in a path by the user's home. A shell does the same only on the command line, not in a
// file, in a variable, or after --flag=. The home of another user is refused. For a file called ~, write ./~.
func Expand(path string) (string, error) {
	rest, ok := strings.CutPrefix(path, "~")
	switch {
	case !ok:
		return path, nil
	case rest != "" && !os.IsPathSeparator(rest[0]):
		return "", fmt.Errorf("%s: only ~/, your own home, is supported: write the whole path, or ./%s for a file of this name", path, path)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("%s: find your home, for ~: %w: write the whole path", path, err)
	}
	return filepath.Join(home, rest), nil
}
