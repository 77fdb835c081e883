package walrus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"walrus/client"
	"walrus/quilt"
)

// StoreFS stores all regular files of fsys as one quilt: paid as one blob, each file readable alone. Identifiers are
// the files' paths. Files must not change meanwhile and are read several times. Files that are no io.ReaderAt are
// held in memory. It returns as Store does. Errors: as from Store and quilt.New.
func (c *Client) StoreFS(ctx context.Context, fsys fs.FS, opt StoreOptions) (*client.QuiltResult, error) {
	if fsys == nil {
		return nil, errors.New("store folder: the file system is nil: give one, such as os.DirFS")
	}
	var files []quilt.File
	err := fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files = append(files, quilt.File{Identifier: path, Size: info.Size(), Content: &fsContent{fsys: fsys, path: path}})
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("store folder: %w", err)
	}
	return c.blobs.StoreQuilt(ctx, files, c.options(opt))
}

// fsContent is an io.ReaderAt of a file of an fs.FS. It opens the file for each call, so a folder of many files needs
// no more descriptors than are read at once.
type fsContent struct {
	fsys fs.FS // constant, as path
	path string

	once sync.Once // guards held and err, for files that are no io.ReaderAt
	held *bytes.Reader
	err  error
}

// ReadAt implements io.ReaderAt.
func (f *fsContent) ReadAt(p []byte, off int64) (n int, err error) {
	file, err := f.fsys.Open(f.path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if at, ok := file.(io.ReaderAt); ok {
		return at.ReadAt(p, off)
	}
	f.once.Do(func() {
		var content []byte
		content, f.err = io.ReadAll(file)
		f.held = bytes.NewReader(content)
	})
	if f.err != nil {
		return 0, f.err
	}
	return f.held.ReadAt(p, off)
}

// OpenFS opens a quilt as a file system; slashes in identifiers make folders. It fetches only the index; opening a file
// fetches the file's columns. Identifiers that are no valid fs.FS path, such as "/a" or "../b", are left out: use
// Blobs().OpenQuilt to read them. The result works until ctx ends. Errors: as from Read, and quilt.ErrFormat for a
// blob that is no quilt.
func (c *Client) OpenFS(ctx context.Context, id BlobID) (fs.FS, error) {
	q, err := c.blobs.OpenQuilt(ctx, id)
	if err != nil {
		return nil, err
	}
	return newQuiltFS(ctx, q, c.tempDir), nil
}
