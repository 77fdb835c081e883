package walrus

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"sync"
	"time"

	"walrus/client"
	"walrus/quilt"
)

// quiltFS is an fs.FS of a quilt.
type quiltFS struct {
	ctx     context.Context //nolint:containedctx // an fs.FS has none in its methods; OpenFS says how long it is good
	quilt   quiltSource
	tempDir string
	files   map[string]quilt.Patch // by path; constant, as folders
	folder  map[string][]string    // by path: names in the folder, sorted
}

// quiltSource reads one file of a quilt. *client.Quilt implements it.
type quiltSource interface {
	CopyFile(ctx context.Context, w io.Writer, p quilt.Patch) (quilt.Patch, *client.QuiltRead, error)
	Stat(ctx context.Context, p quilt.Patch) (quilt.Patch, error)
	Index() *quilt.Index
}

func newQuiltFS(ctx context.Context, q quiltSource, tempDir string) *quiltFS {
	f := &quiltFS{ctx: ctx, quilt: q, tempDir: tempDir, files: map[string]quilt.Patch{},
		folder: map[string][]string{".": nil}}
	patches := slices.Clone(q.Index().Patches)
	// Shorter paths first: a file "a" wins over "a/b", which is left out.
	slices.SortStableFunc(patches, func(a, b quilt.Patch) int { return cmp.Compare(len(a.Identifier), len(b.Identifier)) })
	for _, p := range patches {
		name := p.Identifier
		if _, twice := f.files[name]; twice || name == "." || !fs.ValidPath(name) || !f.enter(path.Dir(name)) {
			continue
		}
		if _, isFolder := f.folder[name]; isFolder {
			continue
		}
		f.files[name] = p
		f.folder[path.Dir(name)] = append(f.folder[path.Dir(name)], path.Base(name))
	}
	for _, names := range f.folder {
		slices.Sort(names)
	}
	return f
}

// enter makes the folder name and its parents. It reports false if a file is in the way.
func (f *quiltFS) enter(name string) bool {
	if _, ok := f.folder[name]; ok {
		return true
	}
	if _, isFile := f.files[name]; isFile || !f.enter(path.Dir(name)) {
		return false
	}
	f.folder[name] = nil
	f.folder[path.Dir(name)] = append(f.folder[path.Dir(name)], path.Base(name))
	return true
}

// Open implements fs.FS. The first read of a file fetches all of it; see contentMemory.
func (f *quiltFS) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if p, ok := f.files[name]; ok {
		return &quiltFile{fs: f, name: name, patch: p}, nil
	}
	if names, ok := f.folder[name]; ok {
		return &quiltFolder{fs: f, name: name, left: names}, nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// quiltFile is an open file.
type quiltFile struct {
	fs    *quiltFS // constant, as name and patch
	name  string
	patch quilt.Patch

	mu      sync.Mutex
	content *io.SectionReader // nil until fetched; guarded by mu, as the next two
	kept    *kept
	closed  bool
}

// fetched returns the content, fetching it the first time. The caller holds mu.
func (f *quiltFile) fetched(op string) (*io.SectionReader, error) {
	if f.closed {
		return nil, &fs.PathError{Op: op, Path: f.name, Err: fs.ErrClosed}
	}
	if f.content != nil {
		return f.content, nil
	}
	k := &kept{dir: f.fs.tempDir}
	if _, _, err := f.fs.quilt.CopyFile(f.fs.ctx, k, f.patch); err != nil {
		return nil, &fs.PathError{Op: op, Path: f.name, Err: errors.Join(err, k.Close())}
	}
	f.kept, f.content = k, io.NewSectionReader(k.reader(), 0, k.size)
	return f.content, nil
}

// Read implements fs.File.
func (f *quiltFile) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.fetched("read")
	if err != nil {
		return 0, err
	}
	return r.Read(p)
}

// Seek implements io.Seeker.
func (f *quiltFile) Seek(offset int64, whence int) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.fetched("seek")
	if err != nil {
		return 0, err
	}
	return r.Seek(offset, whence)
}

// ReadAt implements io.ReaderAt.
func (f *quiltFile) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	r, err := f.fetched("read")
	f.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return r.ReadAt(p, off)
}

// Stat implements fs.File. The size is stored before the file's content, so Stat fetches the file's first column.
func (f *quiltFile) Stat() (fs.FileInfo, error) { return f.fs.stat(f.name, f.patch) }

func (f *quiltFS) stat(name string, p quilt.Patch) (fs.FileInfo, error) {
	found, err := f.quilt.Stat(f.ctx, p)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return entry{fs: f, path: name, size: found.Size}, nil
}

// Close implements fs.File.
func (f *quiltFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	f.closed, f.content = true, nil
	return f.kept.Close()
}

// quiltFolder is an open folder.
type quiltFolder struct {
	fs   *quiltFS // constant, as name
	name string
	left []string // names not yet listed; not guarded, as in os.File
}

// ReadDir implements fs.ReadDirFile.
func (d *quiltFolder) ReadDir(n int) ([]fs.DirEntry, error) {
	count := len(d.left)
	if n > 0 {
		if count == 0 {
			return nil, io.EOF
		}
		count = min(count, n)
	}
	var list []fs.DirEntry
	for _, name := range d.left[:count] {
		name = path.Join(d.name, name)
		_, isFolder := d.fs.folder[name]
		list = append(list, entry{fs: d.fs, path: name, folder: isFolder})
	}
	d.left = d.left[count:]
	return list, nil
}

// Read implements fs.File: a folder has no content.
func (d *quiltFolder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: errors.New("it is a folder")}
}

// Stat implements fs.File.
func (d *quiltFolder) Stat() (fs.FileInfo, error) {
	return entry{fs: d.fs, path: d.name, folder: true}, nil
}

// Close implements fs.File.
func (d *quiltFolder) Close() error { return nil }

// entry implements fs.FileInfo and fs.DirEntry for a file or folder.
type entry struct {
	fs     *quiltFS
	path   string
	folder bool
	size   int64 // of a file, once fetched
}

func (e entry) Name() string       { return path.Base(e.path) }
func (e entry) IsDir() bool        { return e.folder }
func (e entry) Type() fs.FileMode  { return e.Mode().Type() }
func (e entry) ModTime() time.Time { return time.Time{} } // a quilt stores no times
func (e entry) Sys() any           { return nil }
func (e entry) Size() int64        { return e.size }

// Mode returns read-only permissions.
func (e entry) Mode() fs.FileMode {
	if e.folder {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// Info implements fs.DirEntry. It fetches a file's first column, which holds its size.
func (e entry) Info() (fs.FileInfo, error) {
	if e.folder {
		return e, nil
	}
	return e.fs.stat(e.path, e.fs.files[e.path])
}

// String formats the entry as fs.FormatDirEntry does.
func (e entry) String() string { return fs.FormatDirEntry(e) }
