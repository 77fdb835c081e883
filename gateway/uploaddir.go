package gateway

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// uploadDir holds unfinished resumable uploads: a folder chosen by the operator, or a temporary one that is removed
// when the gateway ends. Cleaners of temporary files may remove either at any time.
type uploadDir struct {
	path string // constant
	temp bool   // constant
	mu   sync.Mutex
	held *os.File // the temporary folder, kept open so that its inode number is not reused; guarded by mu
}

func openUploadDir(chosen, tempDir string) (*uploadDir, error) {
	if chosen != "" {
		return &uploadDir{path: chosen}, os.MkdirAll(chosen, 0o700)
	}
	if tempDir != "" {
		if err := os.MkdirAll(tempDir, 0o700); err != nil {
			return nil, err
		}
	}
	path, err := os.MkdirTemp(tempDir, "walrus-uploads-")
	if err != nil {
		return nil, err
	}
	d := &uploadDir{path: path, temp: true}
	d.held, err = os.Open(path)
	return d, err
}

// ready makes the folder again if it is gone. Where everybody may write, another user may have made a folder of this
// name meanwhile. That folder is refused: its owner could read and change uploads.
func (d *uploadDir) ready() error {
	if !d.temp {
		return os.MkdirAll(d.path, 0o700)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	there, err := os.Lstat(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return d.again()
	}
	if err != nil {
		return err
	}
	ours, err := d.held.Stat()
	if err == nil && !os.SameFile(ours, there) {
		err = errForeignDir
	}
	return err
}

// errForeignDir does not name the folder, because clients see the text. The log names it.
var errForeignDir = errors.New("the folder for uploads was replaced by another one: its operator must remove it, or choose another with --upload-dir")

// again makes a new temporary folder. The caller holds mu.
func (d *uploadDir) again() error {
	if err := os.MkdirAll(filepath.Dir(d.path), 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(d.path, 0o700); err != nil {
		return err
	}
	held, err := os.Open(d.path)
	if err != nil {
		return err
	}
	err = d.held.Close()
	d.held = held
	return err
}

// close removes a temporary folder.
func (d *uploadDir) close() error {
	if !d.temp {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return errors.Join(os.RemoveAll(d.path), d.held.Close())
}
