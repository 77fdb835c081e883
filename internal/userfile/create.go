package userfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// CreateNew writes a new file that is complete and on disk when it returns, or does not exist. An existing file is
// never replaced: the error then wraps fs.ErrExist. A dangling link is followed.
func CreateNew(path string, content []byte, mode fs.FileMode) error {
	if err := createNew(path, content, mode); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("create %s: %w, and is never overwritten: choose another name", path, fs.ErrExist)
		}
		return fmt.Errorf("create %s: %w", path, plain(err))
	}
	return nil
}

func createNew(path string, content []byte, mode fs.FileMode) (err error) {
	t, err := resolve(path)
	if err != nil {
		return err
	}
	if t.exists {
		return fs.ErrExist
	}
	f, partial, err := createPartial(system{}, t.path, 0o600) // private from the start: it may hold a key
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(partial)) }() // t.path is a second link to the content
	if err := fill(f, content, mode); err != nil {
		return err
	}
	err = os.Link(partial, t.path)
	if err != nil && !errors.Is(err, fs.ErrExist) { // the file system has no links
		err = createHere(t.path, content, mode)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(t.path))
}

func createHere(path string, content []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := fill(f, content, mode); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// fill writes content, syncs and closes.
func fill(f *os.File, content []byte, mode fs.FileMode) error {
	_, err := f.Write(content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// syncDir makes names created in dir durable, if the file system can.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

// Replace leaves either the old or the new content at path, whatever happens meanwhile. A file that is mounted alone
// cannot be replaced, so it is overwritten instead. Only the owner can read a new file.
func Replace(path string, content []byte) error {
	f, err := openPlain(path)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, plain(err))
	}
	defer f.Discard()
	if _, err := f.Write(content); err != nil {
		return err
	}
	return f.KeepSynced()
}

func openPlain(path string) (*File, error) {
	t, err := resolve(path)
	if err != nil {
		return nil, err
	}
	if t.exists && (t.descriptor >= 0 || !t.stat.Mode().IsRegular()) {
		return nil, errors.New("not a regular file")
	}
	f := &File{shown: path, place: system{}, name: t.path}
	return f, f.begin(t, t.path, 0o600)
}
