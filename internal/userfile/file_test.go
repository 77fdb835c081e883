//go:build unix

package userfile

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func put(t *testing.T, path, text string) {
	t.Helper()
	f, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Discard()
	if _, err := io.WriteString(f, text); err != nil {
		t.Fatal(err)
	}
	if err := f.Keep(); err != nil {
		t.Fatal(err)
	}
}

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v: want %q", path, got, err, want)
	}
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s has %q, want %q", dir, got, want)
	}
}

func symlink(t *testing.T, to, from string) {
	t.Helper()
	if err := os.Symlink(to, from); err != nil {
		t.Fatal(err)
	}
}

func TestPlainFileAppearsWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	f, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, "half"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a file before it is whole: %v", err)
	}
	f.Discard()
	wantNames(t, dir)
	put(t, path, "whole")
	if err := os.Chmod(path, 0o666); err != nil { // more than the umask allows
		t.Fatal(err)
	}
	put(t, path, "new")
	wantFile(t, path, "new")
	wantNames(t, dir, "out")
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o666 {
		t.Errorf("replacing changed the mode to %v, %v", st.Mode(), err)
	}
}

func TestLinksAreWrittenThrough(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"a", "b", "b/c"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	target := filepath.Join(dir, "b", "target")
	put(t, target, "old")
	symlink(t, "../b/target", filepath.Join(dir, "a", "relative"))
	symlink(t, filepath.Join(dir, "a", "relative"), filepath.Join(dir, "twice"))
	symlink(t, "b/c", filepath.Join(dir, "c")) // c/.. is b
	symlink(t, "c/../target", filepath.Join(dir, "dots"))
	for _, link := range []string{"a/relative", "twice", "dots"} {
		put(t, filepath.Join(dir, link), "through "+link)
		wantFile(t, target, "through "+link)
		if st, err := os.Lstat(filepath.Join(dir, link)); err != nil || st.Mode()&fs.ModeSymlink == 0 {
			t.Errorf("%s is a link no more: %v, %v", link, st.Mode(), err)
		}
	}
	wantNames(t, filepath.Join(dir, "a"), "relative")
	wantNames(t, filepath.Join(dir, "b"), "c", "target")

	symlink(t, "b/none-yet", filepath.Join(dir, "ahead"))
	put(t, filepath.Join(dir, "ahead"), "made")
	wantFile(t, filepath.Join(dir, "b", "none-yet"), "made")

	symlink(t, "circle", filepath.Join(dir, "circle"))
	if _, err := Open(t.Context(), filepath.Join(dir, "circle")); err == nil ||
		!strings.Contains(err.Error(), "links form a circle") {
		t.Errorf("a circle of links: %v", err)
	}
}

func TestLongNames(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []int{240, 255} {
		name := strings.Repeat("n", n)
		put(t, filepath.Join(dir, name), "long")
		wantFile(t, filepath.Join(dir, name), "long")
		if err := CreateNew(filepath.Join(dir, "c"+name[1:]), []byte("key"), 0o600); err != nil {
			t.Error(err)
		}
		if err := Replace(filepath.Join(dir, "r"+name[1:]), []byte("book")); err != nil {
			t.Error(err)
		}
	}
	if _, err := Open(t.Context(), filepath.Join(dir, strings.Repeat("n", 256))); !errors.Is(err, syscall.ENAMETOOLONG) {
		t.Errorf("256 bytes: %v", err)
	}
}

func TestRefusedBeforehand(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "file"), "old")
	for path, want := range map[string]string{
		dir:                               "is a folder",
		dir + "/":                         "names a folder",
		filepath.Join(dir, "none", "out"): "there is no folder " + filepath.Join(dir, "none"),
		filepath.Join(dir, "file", "out"): "not a directory",
		dir + "/..":                       "names a folder",
		"/proc/self/fd/99999":             "no such descriptor",
	} {
		if runtime.GOOS != "linux" && strings.HasPrefix(path, "/proc") {
			continue
		}
		if _, err := Open(t.Context(), path); err == nil || !strings.HasPrefix(err.Error(), "write "+path+": ") ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if os.Geteuid() == 0 {
		t.Skip("the rest is about what the superuser is allowed to do")
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	if _, err := Open(t.Context(), filepath.Join(dir, "new")); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a new file in a folder that cannot be written: %v", err)
	}
	put(t, filepath.Join(dir, "file"), "x") // but the file itself can be written
	wantFile(t, filepath.Join(dir, "file"), "x")
}

// TestItselfKeepsTheOld writes a file that cannot be replaced: the old content stays until there is new.
func TestItselfKeepsTheOld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	put(t, path, "old content")
	itself := func() *File {
		to, err := resolve(path)
		if err != nil {
			t.Fatal(err)
		}
		f := &File{shown: path, place: closedFolder{}, name: to.path}
		if err := f.begin(to, to.path, 0o666); err != nil {
			t.Fatal(err)
		}
		return f
	}
	itself().Discard()
	wantFile(t, path, "old content")
	f := itself()
	if _, err := io.WriteString(f, "new"); err != nil {
		t.Fatal(err)
	}
	if err := f.Keep(); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "new")
	if err := itself().Keep(); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "")
}

// closedFolder is a system in which no file can be created.
type closedFolder struct{ system }

func (closedFolder) OpenFile(name string, flag int, mode fs.FileMode) (*os.File, error) {
	if flag&os.O_CREATE != 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EROFS}
	}
	return os.OpenFile(name, flag, mode)
}

// busy is a system with a mounted file that it does not report as mounted.
type busy struct{ system }

func (busy) Rename(from, to string) error {
	return &os.LinkError{Op: "rename", Old: from, New: to, Err: syscall.EBUSY}
}

func TestMountedFileIsWrittenOver(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	put(t, path, "old content")
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	to, err := resolve(path)
	if err != nil {
		t.Fatal(err)
	}
	f := &File{shown: path, place: busy{}, name: to.path}
	if err := f.begin(to, to.path, 0o666); err != nil {
		t.Fatal(err)
	}
	defer f.Discard()
	if _, err := io.WriteString(f, "new"); err != nil {
		t.Fatal(err)
	}
	if err := f.Keep(); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "new")
	wantNames(t, dir, "out")
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("the file is another one: %v", err)
	}
}

func TestDescriptorsAndDevices(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("names of descriptors are looked at as Linux has them")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	log, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if _, err := io.WriteString(log, "before,"); err != nil {
		t.Fatal(err)
	}
	name := "/proc/self/fd/" + itoa(log.Fd())
	symlink(t, name, filepath.Join(dir, "link"))
	put(t, name, "first,")
	put(t, "/dev/fd/"+itoa(log.Fd()), "second,")
	put(t, filepath.Join(dir, "link"), "third")
	wantFile(t, path, "before,first,second,third")
	wantNames(t, dir, "link", "log")

	readOnly, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	if _, err := Open(t.Context(), "/dev/fd/"+itoa(readOnly.Fd())); err == nil ||
		!strings.Contains(err.Error(), "for reading only") {
		t.Errorf("a descriptor for reading: %v", err)
	}
	symlink(t, "/dev/null", filepath.Join(dir, "null"))
	put(t, filepath.Join(dir, "null"), "gone")
	if st, err := os.Stat("/dev/null"); err != nil || st.Mode().IsRegular() {
		t.Errorf("/dev/null is no device any more: %v, %v", st.Mode(), err)
	}
	for _, create := range []string{"/dev/stdout", "/dev/null", filepath.Join(dir, "link")} {
		if err := CreateNew(create, []byte("key"), 0o600); !errors.Is(err, fs.ErrExist) {
			t.Errorf("create %s: %v, want ErrExist", create, err)
		}
	}
}

func itoa(fd uintptr) string { return strconv.FormatUint(uint64(fd), 10) }

func TestCreateNew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	if err := CreateNew(path, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CreateNew(path, []byte("other"), 0o600); !errors.Is(err, fs.ErrExist) ||
		!strings.Contains(err.Error(), path+": file already exists, and is never overwritten") {
		t.Errorf("a second time: %v", err)
	}
	wantFile(t, path, "secret")
	if err := os.Mkdir(filepath.Join(dir, "safe"), 0o700); err != nil {
		t.Fatal(err)
	}
	symlink(t, "safe/key", filepath.Join(dir, "link"))
	if err := CreateNew(filepath.Join(dir, "link"), []byte("linked"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantFile(t, filepath.Join(dir, "safe", "key"), "linked")
	if err := CreateNew(filepath.Join(dir, "link"), []byte("again"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("through a link, a second time: %v", err)
	}
	if err := createHere(filepath.Join(dir, "no-links"), []byte("x"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := createHere(filepath.Join(dir, "no-links"), []byte("y"), 0o640); !errors.Is(err, fs.ErrExist) {
		t.Errorf("on a file system without links, a second time: %v", err)
	}
	wantNames(t, dir, "key", "link", "no-links", "safe")
	if st, err := os.Stat(filepath.Join(dir, "no-links")); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "book")
	symlink(t, "real", path)
	for _, text := range []string{"one", "two"} {
		if err := Replace(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		wantFile(t, filepath.Join(dir, "real"), text)
	}
	wantNames(t, dir, "book", "real")
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

func TestOpenIn(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	for _, sub := range []string{"out", "out/sub", "other"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(dir, "other", "file"), "outside")
	symlink(t, "../other/file", filepath.Join(out, "leads-out"))
	symlink(t, "../other", filepath.Join(out, "folder-out"))
	symlink(t, "sub/real", filepath.Join(out, "inside"))
	symlink(t, "out", filepath.Join(dir, "link-to-out"))
	root, err := os.OpenRoot(filepath.Join(dir, "link-to-out"))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, name := range []string{"plain", "inside", "sub/" + strings.Repeat("n", 255)} {
		f, err := OpenIn(root, name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, name); err != nil {
			t.Fatal(err)
		}
		if err := f.Keep(); err != nil {
			t.Fatal(err)
		}
		wantFile(t, filepath.Join(out, name), name)
	}
	if st, err := os.Lstat(filepath.Join(out, "inside")); err != nil || st.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link inside is a link no more: %v, %v", st.Mode(), err)
	}
	for name, want := range map[string]string{
		"leads-out": "leads out of the folder", "folder-out/file": "leads out of the folder", "sub": "a folder has this name",
		"../other/file": "leads out",
	} {
		if _, err := OpenIn(root, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	wantFile(t, filepath.Join(dir, "other", "file"), "outside")
}

// TestPipes opens pipes without anybody at the other end: only the end of the context returns.
func TestPipes(t *testing.T) {
	for name, open := range map[string]func(context.Context, string) error{
		"write": func(ctx context.Context, path string) error { _, err := Open(ctx, path); return err },
		"read":  func(ctx context.Context, path string) error { _, err := OpenInput(ctx, path); return err },
	} {
		path := filepath.Join(t.TempDir(), "pipe")
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Skipf("no named pipes here: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if err := open(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want the context's error", name, err)
		}
		cancel()
	}
}

// TestUntil writes, in virtual time, into a pipe that nobody reads.
func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		u := Until(ctx, w)
		time.AfterFunc(time.Hour, cancel)
		start := time.Now()
		for range 2 { // the second one fails at once
			if _, err := u.Write([]byte("lost")); !errors.Is(err, context.Canceled) || time.Since(start) != time.Hour+lastWords {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		}
		r.Close() // the abandoned write ends

		var b strings.Builder // a destination that accepts writes still gets them
		if _, err := Until(ctx, &b).Write([]byte("last words")); err != nil || b.String() != "last words" {
			t.Errorf("%q, %v", b.String(), err)
		}
	})
}

func TestCopyUntil(t *testing.T) {
	text := strings.Repeat("0123456789", 100_000)
	var b strings.Builder
	if n, err := CopyUntil(t.Context(), &b, strings.NewReader(text)); err != nil || n != int64(len(text)) ||
		b.String() != text {
		t.Errorf("%d bytes, %v", n, err)
	}
	broken := io.MultiReader(strings.NewReader("abc"), errReader{})
	b.Reset()
	if n, err := CopyUntil(t.Context(), &b, broken); !errors.Is(err, syscall.EIO) || n != 3 || b.String() != "abc" {
		t.Errorf("%d bytes %q, %v", n, &b, err)
	}
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := CopyUntil(ctx, io.Discard, r); !errors.Is(err, context.Canceled) {
		t.Errorf("nothing to read: %v", err)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, syscall.EIO }

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"word": "", "wörd\n": "", "": "", "\xef\xbb\xbfword": "byte order mark", "\xff\xfew\x00": "UTF-16",
		"\xfe\xff\x00w": "UTF-16",
		"w\x00o\x00":    "NUL", "w\xf6rd": "not UTF-8",
	} {
		err := MarkedText([]byte(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if rest, had := CutBOM([]byte("\xef\xbb\xbfword")); !had || string(rest) != "word" {
		t.Errorf("got %q, %v", rest, had)
	}
}

func TestExpand(t *testing.T) {
	t.Setenv("HOME", "/home/x")
	for path, want := range map[string]string{
		"~": "/home/x", "~/a/b": "/home/x/a/b", "a/~/b": "a/~/b", "./~": "./~", "": "", "/~": "/~",
	} {
		if got, err := Expand(path); err != nil || got != want {
			t.Errorf("%q: %q, %v: want %q", path, got, err, want)
		}
	}
	if _, err := Expand("~root/x"); err == nil || !strings.Contains(err.Error(), "./~root/x") {
		t.Errorf("another user's home: %v", err)
	}
	t.Setenv("HOME", "")
	if _, err := Expand("~/x"); err == nil {
		t.Error("no home, and no error")
	}
}
