package walrus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"walrus/client"
	"walrus/internal/userfile"
	"walrus/ledger"
	"walrus/shards"
)

// StoreOptions configures one Store call. The zero value keeps a deletable blob for the Config's epochs.
type StoreOptions struct {
	// Epochs to keep the blob for, including the current one. 0 means the Config's.
	Epochs uint32
	// Permanent blobs cannot be deleted before their end.
	Permanent bool
	// Attributes are stored with the record and readable by everybody.
	Attributes map[string]string
	// MaxCost bounds the price, fees included: above it Store returns ErrCost. 0 means no limit.
	MaxCost ledger.Amount
	// Progress is called with the state of the store. It must not block.
	Progress client.Progress
}

// ErrCost is returned when storing would cost more than StoreOptions.MaxCost. Nothing was paid.
var ErrCost = errors.New("it would cost more than the limit")

// sized is a source with a size that can be read twice, such as a *bytes.Reader, *strings.Reader or *io.SectionReader.
type sized interface {
	io.ReaderAt
	io.Seeker // which tells where it stands: what was read before is not part of what it gives
	Size() int64
}

// Store stores all bytes of src as one blob. It returns once the blob is certified: nodes with more than two thirds of
// the shards have it on disk, and the ledger has the proof. The content is read twice. Unless src can be read at any
// offset, as a *bytes.Reader can, it is copied first, to a temporary file if it is large. The copy takes at most nine
// tenths of the free space there. Storing bytes that are already stored for long enough costs nothing. Storing again
// after a failure continues where it stopped. Errors: ErrNoWallet, ErrNoFunds, ErrCost, ErrStalled,
// *client.NotEnoughError; the errors of src.
//
// The end of ctx does not interrupt a Read of src: one that waits for a person or a network must end by itself.
func (c *Client) Store(ctx context.Context, src io.Reader, opt StoreOptions) (*client.StoreResult, error) {
	if src == nil {
		return nil, errors.New("store: the source is nil: give a reader of the content")
	}
	if s, ok := src.(sized); ok {
		rest, err := restOf(s)
		if err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		return c.blobs.Store(ctx, rest, uint64(rest.Size()), c.options(opt))
	}
	k, err := c.spool(ctx, src)
	if err != nil {
		return nil, fmt.Errorf("store: keep a copy of the source: %w", err)
	}
	res, err := c.blobs.Store(ctx, k.reader(), uint64(k.size), c.options(opt))
	return res, errors.Join(err, k.Close())
}

// restOf returns the part of s from its current position to its end.
func restOf(s sized) (*io.SectionReader, error) {
	at, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	return io.NewSectionReader(s, at, max(0, s.Size()-at)), nil
}

// StoreFile stores the file at path as Store does. A regular file is read in place and must not change meanwhile.
func (c *Client) StoreFile(ctx context.Context, path string, opt StoreOptions) (res *client.StoreResult, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	st, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("store: %w", err)
	case st.IsDir():
		return nil, fmt.Errorf("store %s: it is a folder: use StoreFS", path)
	case st.Mode().IsRegular() && st.Size() > 0:
		return c.blobs.Store(ctx, f, uint64(st.Size()), c.options(opt))
	}
	// Pipes have no size, and some file systems report 0 for files with content.
	return c.Store(ctx, io.MultiReader(f), opt)
}

// options converts opt, with the Config's defaults.
func (c *Client) options(opt StoreOptions) client.StoreOptions {
	out := client.StoreOptions{Epochs: opt.Epochs, Permanent: opt.Permanent, Progress: opt.Progress}
	if out.Epochs == 0 {
		out.Epochs = c.epochs
	}
	for k, v := range opt.Attributes {
		out.Attributes = append(out.Attributes, ledger.Attribute{Key: k, Value: v})
	}
	if opt.MaxCost > 0 {
		out.Approve = func(cost client.Cost) error {
			if cost.Total() > opt.MaxCost {
				return fmt.Errorf("%w: %v, and %v are allowed", ErrCost, cost.Total(), opt.MaxCost)
			}
			return nil
		}
	}
	return out
}

// spool copies src to a temporary file.
func (c *Client) spool(ctx context.Context, src io.Reader) (*kept, error) {
	k := &kept{dir: c.tempDir}
	_, err := io.Copy(k, userfile.Within(readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return src.Read(p)
	}), c.tempDir, cmp.Or(c.largest, shards.MaxLength)))
	if err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
