package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
)

// Errors of blobs that are to be decrypted.
var (
	// ErrNotEncrypted is returned for a blob that age did not make.
	ErrNotEncrypted = errors.New("the blob is not encrypted with age: read it as it is")
	// ErrWrongIdentity is returned when the blob is not for those who want to read it.
	ErrWrongIdentity = errors.New("the blob cannot be decrypted with what was given")
	// ErrDamaged is returned for an encrypted blob that is not whole or not as it was encrypted. As its bytes are those of the
	// blob ID, whoever stored it has stored it so.
	ErrDamaged = errors.New("the encrypted content is damaged or cut short, and was stored so")
)

// ageIntro is how every file of age begins, whatever its version.
const ageIntro = "age-encryption.org/"

// LooksEncrypted tells whether a blob that begins with these bytes is encrypted with age. It takes 32.
func LooksEncrypted(begin []byte) bool { return bytes.HasPrefix(begin, []byte(ageIntro)) }

// The payload of an age file: chunks of 64 KiB of plain bytes, each with a tag of 16, after a nonce of 16.
const (
	ageChunk  = 64 << 10
	ageSealed = ageChunk + 16
	ageNonce  = 16
	// ageHeader is how long most headers are at most, and maxAgeHeader how long they may be: for more than a thousand recipients.
	ageHeader    = 4 << 10
	maxAgeHeader = 256 << 10
)

// CopyDecrypted decrypts the whole blob to w as it comes in. What is written before an error is a correct beginning. The
// Size of the result is that of what was written.
// Errors: ErrNotEncrypted, ErrWrongIdentity, ErrDamaged, and those of Read.
func (b *Blob) CopyDecrypted(ctx context.Context, w io.Writer, identities []age.Identity, opt ReadOptions) (*ReadResult, error) {
	s := b.stream(ctx, 0, int64(b.Size()), opt)
	written := &reporting{w: w}
	res, fetched, err := s.end(ctx, func() error {
		begin := make([]byte, len(ageIntro))
		if n, err := io.ReadFull(s.r, begin); err != nil || !LooksEncrypted(begin) {
			return notAge(begin[:n])
		}
		plain, err := age.Decrypt(io.MultiReader(bytes.NewReader(begin), s.r), identities...)
		if err != nil {
			return whyNot(err)
		}
		return copyPlain(written, plain)
	})
	res.Size = uint64(written.done)
	return res, b.decryptErr(fetched, err)
}

// copyPlain tells errors of the content from those of the writer.
func copyPlain(w io.Writer, plain io.Reader) error {
	buf := make([]byte, ageChunk)
	for {
		n, err := plain.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
}

// decryptErr is the error of a decryption: if fetching failed, it does not matter what became of the rest.
func (b *Blob) decryptErr(fetched, err error) error {
	if fetched != nil {
		return fetched
	}
	if err != nil {
		return fmt.Errorf("decrypt %s: %w", b.id, err)
	}
	return nil
}

// stream is a range of a blob on its way into a reader.
type stream struct {
	r    *io.PipeReader
	stop context.CancelFunc
	done chan struct{}
	res  *ReadResult // known once done is closed, as the next
	err  error
}

func (b *Blob) stream(ctx context.Context, off, n int64, opt ReadOptions) *stream {
	ctx, stop := context.WithCancel(ctx)
	r, w := io.Pipe()
	s := &stream{r: r, stop: stop, done: newSignal()}
	go func() {
		defer close(s.done)
		s.res, s.err = b.CopyRange(ctx, w, off, n, opt)
		_ = w.CloseWithError(s.err) // nil: the end
	}()
	return s
}

// errEnough is what the stream is told when nobody reads it any more.
var errEnough = errors.New("enough was read")

// end lets read read the stream, and ends it. fetched is why the stream failed, if it did by itself.
func (s *stream) end(ctx context.Context, read func() error) (res *ReadResult, fetched, err error) {
	err = read()
	_ = s.r.CloseWithError(errEnough)
	s.stop()
	<-s.done
	stopped := errors.Is(s.err, errEnough) || errors.Is(s.err, context.Canceled) && ctx.Err() == nil
	if !stopped {
		fetched = s.err
	}
	return s.res, fetched, err
}

// notAge is the error for a blob that begins otherwise than files of age do.
func notAge(begin []byte) error {
	if strings.HasPrefix("-----BEGIN AGE ENCRYPTED FILE-----", string(begin)) && len(begin) > 0 || bytes.HasPrefix(begin, []byte("-----BEGIN AGE ")) {
		return fmt.Errorf("%w, and decrypt its text form with age", ErrNotEncrypted)
	}
	return ErrNotEncrypted
}

// whyNot says why a header does not give its key.
func whyNot(err error) error {
	var none *age.NoIdentityMatchError
	if !errors.As(err, &none) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if slices.Contains(none.StanzaTypes, "scrypt") {
		for _, e := range none.Errors {
			if strings.Contains(e.Error(), "incorrect passphrase") {
				return fmt.Errorf("%w: the passphrase is wrong", ErrWrongIdentity)
			}
		}
		return fmt.Errorf("%w: it is encrypted with a passphrase", ErrWrongIdentity)
	}
	kinds := slices.Compact(slices.Sorted(slices.Values(none.StanzaTypes)))
	return fmt.Errorf("%w: it is for %d other recipients (%s), and needs the identity of one of them",
		ErrWrongIdentity, len(none.StanzaTypes), strings.Join(kinds, ", "))
}
