package client

import (
	"context"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"walrus/ledger"
)

// Store marks the record of an encrypted blob with this attribute. It reveals nothing: the header of the content shows
// the same to everybody.
const (
	EncryptionAttribute = "encryption"
	EncryptionAge       = "age"
)

// Sealed holds an encrypted copy in a temporary file, ready to be stored. Close it.
type Sealed struct {
	file *tempFile
	size uint64
}

// Seal encrypts src for recipients, in the age format, into a file in tempDir ("": the system's) that only this user
// can read. Each call gives other bytes, and so another blob ID. A passphrase must be the only recipient.
func Seal(ctx context.Context, src io.Reader, recipients []age.Recipient, tempDir string) (_ *Sealed, err error) {
	f, err := newTempFile(tempDir, "walrus-sealed-*")
	if err != nil {
		return nil, fmt.Errorf("encrypt: make a temporary file for the encrypted copy: %w", err)
	}
	s := &Sealed{file: f}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("encrypt: %w", err), s.Close())
		}
	}()
	w, err := age.Encrypt(f, recipients...)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(w, untilDone{ctx, src}); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	s.size = uint64(size)
	return s, nil
}

// ReadAt reads the encrypted bytes.
func (s *Sealed) ReadAt(p []byte, off int64) (int, error) { return s.file.ReadAt(p, off) }

// Size returns the number of encrypted bytes.
func (s *Sealed) Size() uint64 { return s.size }

// Close removes the file.
func (s *Sealed) Close() error { return s.file.Close() }

// untilDone is an io.Reader that fails once ctx has ended.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// storeSealed encrypts src for opt.Encrypt and stores the result.
func (c *Client) storeSealed(ctx context.Context, src io.ReaderAt, size uint64,
	opt StoreOptions) (res *StoreResult, err error) {
	for _, a := range opt.Attributes {
		if a.Key == EncryptionAttribute {
			return nil, fmt.Errorf("store: attribute %q is set by encryption: leave it out", a.Key)
		}
	}
	sealed, err := Seal(ctx, io.NewSectionReader(src, 0, int64(size)), opt.Encrypt, c.cfg.TempDir)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	defer func() { err = errors.Join(err, sealed.Close()) }()
	opt.Encrypt = nil
	opt.Attributes = append(opt.Attributes[:len(opt.Attributes):len(opt.Attributes)],
		ledger.Attribute{Key: EncryptionAttribute, Value: EncryptionAge})
	return c.Store(ctx, sealed, sealed.Size(), opt)
}
