package userfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// File is a file being written. A plain file is written under a temporary name beside it and renamed when it is
// complete. Files that cannot be replaced are written directly: a device, a pipe, a file that is mounted alone, or one
// in a folder where no file can be created.
type File struct {
	shown string // as the user called it
	out   *os.File
	w     io.Writer
	place place
	name  string // within place
	// how it is written
	partial string // within place; "": the file itself is written
	empty   bool   // the file itself must still be emptied: its old content stays until there is new
}

// place looks names up: in the whole system, or in an *os.Root.
type place interface {
	OpenFile(name string, flag int, mode fs.FileMode) (*os.File, error)
	Rename(from, to string) error
	Remove(name string) error
}

type system struct{}

func (system) OpenFile(name string, flag int, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile(name, flag, mode)
}
func (system) Rename(from, to string) error { return os.Rename(from, to) }
func (system) Remove(name string) error     { return os.Remove(name) }

// Open prepares to write the file at path, so that only the writing itself can still fail. Links are followed. For a
// pipe, Open waits for a reader or the end of ctx. An existing file keeps its mode and, where allowed, its owner. The
// caller must call Keep or Discard.
func Open(ctx context.Context, path string) (*File, error) {
	f, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", path, plain(err))
	}
	return f, nil
}

func open(ctx context.Context, path string) (*File, error) {
	t, err := resolve(path)
	if err != nil {
		return nil, err
	}
	f := &File{shown: path, place: system{}, name: t.path}
	if t.descriptor >= 0 {
		if f.out, err = duplicate(t.descriptor, path); err != nil {
			return nil, err
		}
		f.w = Until(ctx, f.out)
		return f, nil
	}
	st := t.stat
	if t.exists && st.Mode()&fs.ModeSymlink != 0 {
		if st, err = os.Stat(t.path); err != nil {
			return nil, err
		}
	}
	switch {
	case t.exists && st.IsDir():
		return nil, errors.New("is a folder: name a file")
	case t.exists && st.Mode()&fs.ModeSocket != 0:
		return nil, errors.New("is a socket: name a file")
	case t.exists && (!st.Mode().IsRegular() || t.stat.Mode()&fs.ModeSymlink != 0):
		f.out, err = openUntil(ctx, func() (*os.File, error) { return os.OpenFile(t.path, os.O_WRONLY, 0) })
		if err != nil {
			return nil, err
		}
		f.w = Until(ctx, f.out)
		return f, nil
	}
	return f, f.begin(t, t.path, 0o666)
}

// OpenIn is Open for a name below root; no link may lead outside. Only plain files, and links to them, are written.
func OpenIn(root *os.Root, name string) (*File, error) {
	t, rel, err := resolveIn(root, name)
	if err != nil {
		return nil, plain(err)
	}
	f := &File{shown: filepath.Join(root.Name(), name), place: root, name: rel}
	return f, plain(f.begin(t, t.path, 0o666))
}

func resolveIn(root *os.Root, name string) (target, string, error) {
	top, err := filepath.EvalSymlinks(root.Name())
	if err != nil {
		return target{}, "", err
	}
	if top, err = filepath.Abs(top); err != nil {
		return target{}, "", err
	}
	t, err := resolve(filepath.Join(top, name))
	if err != nil {
		return target{}, "", err
	}
	rel, err := filepath.Rel(top, t.path)
	switch {
	case err != nil || !filepath.IsLocal(rel) || t.descriptor >= 0:
		return target{}, "", fmt.Errorf("a link leads out of the folder, to %s: remove it", t.path)
	case t.exists && t.stat.IsDir():
		return target{}, "", errors.New("a folder has this name: remove it")
	case t.exists && !t.stat.Mode().IsRegular():
		return target{}, "", errors.New("something other than a regular file has this name: remove it")
	}
	return t, rel, nil
}

// begin opens the file to write: a partial file, or the plain file itself where a partial one could not replace it.
func (f *File) begin(t target, path string, mode fs.FileMode) (err error) {
	if t.exists {
		mode = t.stat.Mode().Perm()
	}
	if !t.exists || !isMountPoint(path) {
		f.out, f.partial, err = createPartial(f.place, f.name, mode)
		if err == nil && t.exists {
			err = f.out.Chmod(mode) // the umask does not apply to existing files
			keepOwner(f.out, t.stat)
		}
		if err != nil && f.out != nil {
			f.Discard()
		}
		if err == nil || !t.exists || !refused(err) {
			f.w = f.out
			return err
		}
	}
	f.partial = ""
	out, itself := f.place.OpenFile(f.name, os.O_WRONLY, 0)
	if itself != nil {
		return errors.Join(err, itself)
	}
	f.out, f.w, f.empty = out, out, true
	return nil
}

// refused reports whether err says that a folder allows no new files. Existing files in it may still be writable.
func refused(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)
}

// createPartial creates a file beside name. Unlike os.CreateTemp it gives it mode, reduced by the umask.
func createPartial(p place, name string, mode fs.FileMode) (*os.File, string, error) {
	dir, base := filepath.Split(name)
	prefix := base + ".partial"
	for i := range 10_000 {
		partial := fmt.Sprintf("%s%s-%d-%d", dir, prefix, os.Getpid(), i)
		f, err := p.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		switch {
		case errors.Is(err, syscall.ENAMETOOLONG) && prefix != shortPrefix:
			prefix = shortPrefix // name may have the greatest possible length
		case !errors.Is(err, fs.ErrExist):
			return f, partial, err
		}
	}
	return nil, "", errors.New("too many partial files of interrupted writes: remove them")
}

const shortPrefix = ".walrus-partial"

// Write writes to the file.
func (f *File) Write(p []byte) (int, error) {
	if err := f.clear(); err != nil {
		return 0, err
	}
	n, err := f.w.Write(p)
	if err != nil {
		err = fmt.Errorf("write %s: %w", f.shown, plain(err))
	}
	return n, err
}

func (f *File) clear() error {
	if !f.empty {
		return nil
	}
	f.empty = false
	if err := f.out.Truncate(0); err != nil {
		return fmt.Errorf("write %s: %w", f.shown, err)
	}
	return nil
}

// Keep ends the writing and gives the file its name.
func (f *File) Keep() error { return f.end(false) }

// KeepSynced is Keep that returns once the file is on disk.
func (f *File) KeepSynced() error { return f.end(true) }

func (f *File) end(sync bool) error {
	err := f.clear()
	if err == nil && sync && f.partial != "" {
		err = f.out.Sync()
	}
	if closed := f.out.Close(); err == nil {
		err = closed
	}
	if err == nil && f.partial != "" {
		if err = f.place.Rename(f.partial, f.name); err != nil {
			err = f.copyOver(err)
		}
		if err == nil {
			f.partial = ""
		}
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", f.shown, plain(err))
	}
	return nil
}

// copyOver copies the partial file into a file that refuses to be replaced, such as a mounted one that the system did
// not report as mounted.
func (f *File) copyOver(renamed error) error {
	to, err := f.place.OpenFile(f.name, os.O_WRONLY, 0)
	if err != nil {
		return renamed
	}
	from, err := f.place.OpenFile(f.partial, os.O_RDONLY, 0)
	if err != nil {
		return errors.Join(renamed, to.Close())
	}
	err = to.Truncate(0)
	if err == nil {
		_, err = io.Copy(to, from)
	}
	if err = errors.Join(err, to.Close(), from.Close()); err != nil {
		return err
	}
	return f.place.Remove(f.partial)
}

// Discard gives up the writing, unless Keep has kept it. A file written directly keeps what was written.
func (f *File) Discard() {
	_ = f.out.Close() // closed already by Keep
	if f.partial != "" {
		_ = f.place.Remove(f.partial)
	}
}

// plain strips file names from an error: the message around it names the file, and the name of a partial file means
// nothing to users.
func plain(err error) error {
	switch err := err.(type) { //nolint:errorlint // only the outermost error: a wrapped one is part of a sentence
	case *fs.PathError:
		return err.Err
	case *os.LinkError:
		return err.Err
	}
	return err
}
