package userfile

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mountedFile is the environment variable with which the test binary writes to a file mounted for it.
const mountedFile = "USERFILE_TEST_MOUNTED"

// TestMountedAlone writes to a file on which another one is mounted, in a mount namespace of its own.
func TestMountedAlone(t *testing.T) {
	if path := os.Getenv(mountedFile); path != "" {
		f, err := Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("known beforehand: %v", f.partial == "")
		f.Discard()
		put(t, path, "new")
		return
	}
	dir := t.TempDir()
	real, path := filepath.Join(dir, "real"), filepath.Join(dir, "mounted")
	put(t, real, "old content")
	put(t, path, "hidden")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	mount := `mount --bind "$1" "$2" || exit 77; exec "$3" -test.run '^TestMountedAlone$' -test.v`
	var out []byte
	for _, flags := range []string{"-m", "-rm"} { // as root, or as root of a user namespace
		c := exec.CommandContext(t.Context(), "unshare", flags, "sh", "-c", mount, "sh", real, path, self)
		c.Env = append(os.Environ(), mountedFile+"="+path)
		if out, err = c.CombinedOutput(); err == nil {
			break
		}
	}
	switch {
	case err != nil && !strings.Contains(string(out), "--- FAIL"):
		t.Skipf("nothing can be mounted here: %v: %s", err, out)
	case err != nil:
		t.Fatalf("%s", out)
	}
	wantFile(t, real, "new")
	wantFile(t, path, "hidden") // outside the namespace nothing is mounted on it
	wantNames(t, dir, "mounted", "real")
}
