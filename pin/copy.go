package pin

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"walrus/internal/badgerdisk"
	"walrus/shards"
)

// A copy is one file: the metadata in its binary form, then the bytes of the blob. Row i of the blob is the bytes from
// i·rowSize on, and zeros behind the end of the blob.

func blobsDir(dir string) string { return filepath.Join(dir, "blobs") }

// copies are the files of a Keeper.
type copies struct {
	blobs  string // the folder of all
	params shards.Params
	free   func(dir string) (int64, error) // badgerdisk.Free, except in tests
}

// leastFree: less of the disk is free only if others write to it. Far above minFree, because the records of failures are
// written then, too.
const leastFree = 2 * minFree

// room returns ErrFull, wrapped, if there is no room on the disk for so many bytes.
func (cs *copies) room(bytes int64) error {
	free, err := cs.free(cs.blobs)
	if err != nil {
		return fmt.Errorf("read the free space of the disk: %w", err)
	}
	if free < leastFree || free-leastFree < bytes {
		return fmt.Errorf("%w: %s has %d MiB free, of which %d stay free: free some space",
			ErrFull, cs.blobs, free>>20, int64(leastFree)>>20)
	}
	return nil
}

// path is the file of a blob. Names are hexadecimal, because some file systems ignore case; folders bound the entries
// of one.
func (cs *copies) path(id shards.BlobID) string {
	name := hex.EncodeToString(id[:])
	return filepath.Join(cs.blobs, name[:2], name)
}

// block is the unit in which file systems give out space.
const block = 4096

// rowSize returns the size of a data row of a blob.
func rowSize(p shards.Params, size uint64) int64 { return p.Layout(shards.Primary, size).Size() }

// liveRows returns the number of data rows with a byte of the blob. The others are zeros and are always here.
func liveRows(p shards.Params, size uint64) int {
	row := rowSize(p, size)
	return int((int64(size) + row - 1) / row)
}

// missing returns the bytes of the blob that are not here yet.
func missing(p shards.Params, rows bitmap, size uint64) (n int64) {
	row := rowSize(p, size)
	for i := range liveRows(p, size) {
		if !rows.has(i) {
			n += min(row, int64(size)-int64(i)*row)
		}
	}
	return n
}

// bitmap tells which rows are here.
type bitmap []byte

func newBitmap(n int) bitmap { return make(bitmap, (n+7)/8) }

func (b bitmap) has(i int) bool { return b[i/8]>>(i%8)&1 == 1 }

func (b bitmap) set(i int, on bool) {
	if b[i/8] &^= 1 << (i % 8); on {
		b[i/8] |= 1 << (i % 8)
	}
}

// run returns the first rows below n that are missing: [from, to). from is n if none is.
func (b bitmap) run(n int) (from, to int) {
	for from < n && b.has(from) {
		from++
	}
	for to = from; to < n && !b.has(to); {
		to++
	}
	return from, to
}

// copyFile is an open copy.
type copyFile struct {
	*os.File
	meta *shards.Metadata
	head int64 // size of the metadata in front
}

// createCopy opens the file of a blob for writing, or makes it in its full size, and writes the metadata.
func (cs *copies) createCopy(id shards.BlobID, meta *shards.Metadata) (*copyFile, error) {
	path := cs.path(id)
	if err := badgerdisk.MakeDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	c := &copyFile{f, meta, int64(cs.params.MetadataSize())}
	if _, err = f.WriteAt(meta.Marshal(), 0); err == nil {
		err = f.Truncate(c.head + int64(meta.Length))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return c, nil
}

// openCopy opens the file of a blob for reading. Errors wrap ErrDamaged if it is not what was written.
func (cs *copies) openCopy(id shards.BlobID) (*copyFile, error) {
	f, err := os.Open(cs.path(id))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: the file %s is missing", ErrDamaged, cs.path(id))
	}
	if err != nil {
		return nil, err
	}
	c := &copyFile{File: f, head: int64(cs.params.MetadataSize())}
	if err := c.readMeta(cs.params, id); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return c, nil
}

func (c *copyFile) readMeta(p shards.Params, id shards.BlobID) (err error) {
	b := make([]byte, c.head)
	if _, err := io.ReadFull(io.NewSectionReader(c.File, 0, c.head), b); err != nil {
		return damaged(err)
	}
	if c.meta, err = shards.UnmarshalMetadata(p, id, b); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if st, err := c.Stat(); err != nil {
		return err
	} else if st.Size() != c.head+int64(c.meta.Length) {
		return fmt.Errorf("%w: the file has %d bytes, not %d", ErrDamaged, st.Size(), c.head+int64(c.meta.Length))
	}
	return nil
}

// damaged tells a file that ends early from a disk that does not read.
func damaged(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the file ends early", ErrDamaged)
	}
	return err
}

// blob returns the bytes of the blob.
func (c *copyFile) blob() io.ReaderAt {
	return io.NewSectionReader(c.File, c.head, int64(c.meta.Length))
}

// row reads the bytes [off, off+len(p)) of the plain data rows: what lies behind the end of the blob is zero.
func (c *copyFile) row(p []byte, off int64) error {
	n := min(max(int64(c.meta.Length)-off, 0), int64(len(p)))
	clear(p[n:])
	if n == 0 {
		return nil
	}
	_, err := c.ReadAt(p[:n], c.head+off)
	if err != nil {
		return damaged(err)
	}
	return nil
}

// sync makes the file and its names durable.
func (cs *copies) syncCopy(c *copyFile) error {
	if err := c.Sync(); err != nil {
		return err
	}
	dir := filepath.Dir(c.Name())
	return errors.Join(badgerdisk.SyncPath(dir), badgerdisk.SyncPath(filepath.Dir(dir)))
}
