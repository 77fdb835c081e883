package gateway

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// uploadDir is where resumable uploads wait while they are under way: a folder of the operator's, or a temporary one that
// ends with the gateway. Cleaners of temporary files may take either away at any time.
type uploadDir struct {
	path string // constant
	temp bool   // constant
	mu   sync.Mutex
	held *os.File // the temporary folder, open so that no other can have its inode number; guarded by mu
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

// ready makes the folder again if it is gone. In a folder where everybody may write, somebody else may have made one of this
// name meanwhile: that one is refused, or its owner could read and change what is uploaded.
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

// errForeignDir does not name the folder: it is told to clients too. The log has it.
var errForeignDir = errors.New("the folder for uploads is not the one that this gateway made: its operator must remove it, or choose one with --upload-dir")

// again makes the temporary folder anew. mu is held.
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

// close removes a folder that is not meant to stay.
func (d *uploadDir) close() error {
	if !d.temp {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return errors.Join(os.RemoveAll(d.path), d.held.Close())
}
