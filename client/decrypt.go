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

// Errors of blobs to be decrypted.
var (
	// ErrNotEncrypted is returned for a blob that is not in the age format.
	ErrNotEncrypted = errors.New("the blob is not encrypted with age: read it as it is")
	// ErrWrongIdentity is returned when the blob is not encrypted for any of the identities given.
	ErrWrongIdentity = errors.New("the blob cannot be decrypted with what was given")
	// ErrDamaged is returned for an encrypted blob that is cut short or altered. Its bytes match the blob ID, so it was
	// already damaged when it was stored.
	ErrDamaged = errors.New("the encrypted content was already damaged or cut short when it was stored")
)

// ageIntro begins every age file, whatever its version.
const ageIntro = "age-encryption.org/"

// LooksEncrypted reports whether a blob that begins with these bytes is encrypted with age. 32 bytes are enough.
func LooksEncrypted(begin []byte) bool { return bytes.HasPrefix(begin, []byte(ageIntro)) }

// The payload of an age file: a nonce of 16 bytes, then chunks of 64 KiB of plain bytes, each with a tag of 16 bytes.
const (
	ageChunk  = 64 << 10
	ageSealed = ageChunk + 16
	ageNonce  = 16
	// ageHeader fits most headers. maxAgeHeader bounds a header: enough for more than a thousand recipients.
	ageHeader    = 4 << 10
	maxAgeHeader = 256 << 10
)

// CopyDecrypted decrypts the whole blob to w as it comes in. Bytes written before an error are a correct prefix of the
// content. The result's Size counts the bytes written. Errors: ErrNotEncrypted, ErrWrongIdentity, ErrDamaged, and
// the errors of Read.
func (b *Blob) CopyDecrypted(ctx context.Context, w io.Writer, identities []age.Identity,
	opt ReadOptions) (*ReadResult, error) {
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

// copyPlain copies plain to w and tells errors of the content from errors of the writer.
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

// decryptErr returns the error of a decryption. A failure to fetch hides all others, because it caused them.
func (b *Blob) decryptErr(fetched, err error) error {
	if fetched != nil {
		return fetched
	}
	if err != nil {
		return fmt.Errorf("decrypt %s: %w", b.id, err)
	}
	return nil
}

// stream reads a range of a blob through an io.Reader.
type stream struct {
	r    *io.PipeReader
	stop context.CancelFunc
	done chan struct{}
	res  *ReadResult // set once done is closed, as the next
	err  error
}

func (b *Blob) stream(ctx context.Context, off, n int64, opt ReadOptions) *stream {
	ctx, stop := context.WithCancel(ctx)
	r, w := io.Pipe()
	s := &stream{r: r, stop: stop, done: newSignal()}
	go func() {
		defer close(s.done)
		s.res, s.err = b.CopyRange(ctx, w, off, n, opt)
		_ = w.CloseWithError(s.err) // nil: the end of the range
	}()
	return s
}

// errEnough closes the stream when nobody reads it any more.
var errEnough = errors.New("enough was read")

// end runs read on the stream and closes it. fetched is the stream's own error, if it failed by itself.
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

// notAge returns the error for a blob that does not begin as age files do.
func notAge(begin []byte) error {
	if strings.HasPrefix("-----BEGIN AGE ENCRYPTED FILE-----", string(begin)) && len(begin) > 0 ||
		bytes.HasPrefix(begin, []byte("-----BEGIN AGE ")) {
		return fmt.Errorf("%w, and decrypt its text form with age", ErrNotEncrypted)
	}
	return ErrNotEncrypted
}

// whyNot translates age's error about a header.
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
