package pin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"walrus/shards"
)

// ContentExt ends the name of the file that Export writes with the bytes of a blob, after the blob's ID.
const ContentExt = ".blob"

// metadataExt ends the name of the file with its metadata in binary form. Together they prove themselves.
const metadataExt = ".metadata"

// Export writes a pinned blob into a folder, which is made if missing: ID.blob, its bytes, and ID.metadata. They are
// read whole and compared with the ID on the way.
func (k *Keeper) Export(ctx context.Context, id shards.BlobID, dir string) error {
	if err := k.export(ctx, id, dir); err != nil {
		return fmt.Errorf("export %s to %s: %w", id, dir, err)
	}
	return nil
}

func (k *Keeper) export(ctx context.Context, id shards.BlobID, dir string) error {
	r, err := k.record(id)
	if err != nil {
		return err
	}
	if r.State != pinned {
		return fmt.Errorf("%w: it is not whole here yet", ErrNotFound)
	}
	c, err := k.openCopy(id)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // only read
	if _, err := k.verify(ctx, c); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	name := filepath.Join(dir, id.String())
	if err := writeFile(ctx, name+ContentExt, io.NewSectionReader(c.File, c.head, int64(c.meta.Length))); err != nil {
		return err
	}
	return writeFile(ctx, name+metadataExt, strings.NewReader(string(c.meta.Marshal())))
}

// writeFile writes a new file and puts it in its place when it is complete and synced.
func writeFile(ctx context.Context, path string, from io.Reader) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".export-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if _, err := io.Copy(f, whileReader{ctx, from}); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// whileReader reads while ctx lasts.
type whileReader struct {
	ctx context.Context //nolint:containedctx // the reader lives within one call
	io.Reader
}

func (r whileReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// Import pins every blob in a folder that Export has written, without the network. It returns the requests for those
// that are pinned, also with an error.
func (k *Keeper) Import(ctx context.Context, dir string) (done []Request, err error) {
	files, err := os.ReadDir(dir) // not Glob: the folder's name may have brackets
	if err != nil {
		return nil, fmt.Errorf("import from %s: %w", dir, err)
	}
	var names []string
	for _, f := range files {
		if strings.HasSuffix(f.Name(), metadataExt) {
			names = append(names, filepath.Join(dir, f.Name()))
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("import from %s: %w: no file in it ends in %s: name a folder that walrus pin export wrote",
			dir, ErrInvalid, metadataExt)
	}
	for _, name := range names {
		r, err := k.importOne(ctx, strings.TrimSuffix(name, metadataExt))
		if err != nil {
			return done, fmt.Errorf("import %s: %w", name, err)
		}
		done = append(done, r)
	}
	return done, nil
}

func (k *Keeper) importOne(ctx context.Context, name string) (r Request, err error) {
	id, err := shards.ParseBlobID(filepath.Base(name))
	if err != nil {
		return r, fmt.Errorf("%w: its name is no blob ID", ErrInvalid)
	}
	raw, err := readSmall(name+metadataExt, k.cfg.Params.MetadataSize())
	if err != nil {
		return r, err
	}
	meta, err := shards.UnmarshalMetadata(k.cfg.Params, id, raw)
	if err != nil {
		return r, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	f, err := openRegular(name + ContentExt)
	if err != nil {
		return r, err
	}
	defer func() { _ = f.Close() }() // only read
	if st, err := f.Stat(); err != nil {
		return r, err
	} else if st.Size() != int64(meta.Length) {
		return r, fmt.Errorf("%w: %s has %d bytes, not %d", ErrInvalid, f.Name(), st.Size(), meta.Length)
	}
	work, release, ok := k.claim(ctx, id, true)
	if !ok {
		return r, errors.New("it is being fetched: try again")
	}
	defer release()
	if r, err = k.Add(ctx, Request{Blob: id}); err != nil || r.Status == Pinned {
		return r, err
	}
	if err := k.pinFrom(work, id, imported{meta, f}); err != nil {
		if errors.Is(err, ErrDamaged) {
			err = fmt.Errorf("%w: %s does not give its blob ID: export it again", ErrDamaged, f.Name())
		}
		return r, errors.Join(err, k.Remove(ctx, r.ID))
	}
	return k.Request(r.ID)
}

// openRegular opens a file for reading. Others may have made the folder: a pipe in it would block for ever.
func openRegular(path string) (*os.File, error) {
	if st, err := os.Stat(path); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a plain file", ErrInvalid, path)
	}
	return os.Open(path)
}

// readSmall reads a file of at most so many bytes.
func readSmall(path string, most int) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	b, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err == nil && len(b) > most {
		return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrInvalid, path, most)
	}
	return b, err
}

// imported is a blob in a file. Its bytes are not verified; the copy is.
type imported struct {
	meta *shards.Metadata
	file io.ReaderAt
}

func (i imported) Metadata() *shards.Metadata { return i.meta }

func (i imported) Copy(ctx context.Context, w io.Writer, off, n int64) error {
	_, err := io.Copy(w, whileReader{ctx, io.NewSectionReader(i.file, off, n)})
	return err
}
