package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"filippo.io/age"

	"walrus/shards"
)

// Plain reads any range of an encrypted blob's content. It fetches only the rows that hold the range, and decrypts only
// the chunks in them. It is used like a Blob, and safe for concurrent use.
type Plain struct {
	b    *Blob // constant, as all others
	key  age.Identity
	head []byte // header and nonce
	tail []byte // the last chunk, which proves the content's size
	size int64
}

// Decrypted finds the key and the content size of an encrypted blob. To read the whole content, use CopyDecrypted: it
// fetches less. Errors: as CopyDecrypted.
func (b *Blob) Decrypted(ctx context.Context, identities []age.Identity) (*Plain, error) {
	p, fetched, err := b.decrypted(ctx, identities)
	if err := b.decryptErr(fetched, err); err != nil {
		return nil, err
	}
	return p, nil
}

func (b *Blob) decrypted(ctx context.Context, identities []age.Identity) (p *Plain, fetched, err error) {
	size := int64(b.Size())
	var begin, header []byte
	for _, limit := range []int64{ageHeader, maxAgeHeader} {
		begin = make([]byte, min(size, limit+ageNonce))
		if _, err := b.CopyRange(ctx, &fill{p: begin}, 0, int64(len(begin)), ReadOptions{}); err != nil {
			return nil, err, nil
		}
		if !LooksEncrypted(begin) {
			return nil, nil, notAge(begin)
		}
		if header, err = age.ExtractHeader(bytes.NewReader(begin)); err == nil {
			break
		}
	}
	if err != nil || len(header)+ageNonce > len(begin) {
		return nil, nil, fmt.Errorf("%w: its header is cut short, or longer than %d bytes", ErrDamaged, maxAgeHeader)
	}
	key, err := age.DecryptHeader(header, identities...)
	if err != nil {
		return nil, nil, whyNot(err)
	}
	p = &Plain{b: b, key: age.NewInjectedFileKeyIdentity(key), head: begin[:len(header)+ageNonce]}
	payload := size - int64(len(p.head))
	if payload < ageSealed-ageChunk {
		return nil, nil, fmt.Errorf("%w: it ends with its header", ErrDamaged)
	}
	last := payload / ageSealed * ageSealed
	if last == payload {
		last -= ageSealed
	}
	p.tail = make([]byte, payload-last)
	if at := size - int64(len(p.tail)); size <= int64(len(begin)) {
		copy(p.tail, begin[at:])
	} else if _, err := b.CopyRange(ctx, &fill{p: p.tail}, at, int64(len(p.tail)), ReadOptions{}); err != nil {
		return nil, err, nil
	}
	p.head = slices.Clone(p.head)
	if _, p.size, err = age.DecryptReaderAt(&ageSource{p: p}, size, p.key); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return p, nil, nil
}

// ID returns the blob ID.
func (p *Plain) ID() shards.BlobID { return p.b.id }

// Size returns the size of the content in bytes.
func (p *Plain) Size() uint64 { return uint64(p.size) }

// CopyRange decrypts n bytes of the content, from byte off on, to w. Errors: ErrRange, ErrDamaged, and as Read.
func (p *Plain) CopyRange(ctx context.Context, w io.Writer, off, n int64, opt ReadOptions) (*ReadResult, error) {
	if err := checkRange(p.b.id, off, n, p.Size()); err != nil || n == 0 {
		return &ReadResult{Size: p.Size()}, err
	}
	progress := opt.Progress
	opt.Progress = nil
	last := int64(p.b.Size()) - int64(len(p.tail))
	from := min(int64(len(p.head))+off/ageChunk*ageSealed, last)
	to := min(int64(len(p.head))+((off+n-1)/ageChunk+1)*ageSealed, last) // the last chunk is in p.tail already
	s := p.b.stream(ctx, from, to-from, opt)
	res, fetched, err := s.end(ctx, func() error {
		plain, _, err := age.DecryptReaderAt(&ageSource{p: p, r: s.r, at: from}, int64(p.b.Size()), p.key)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return copyPlain(&reporting{w: w, total: n, progress: progress}, io.NewSectionReader(plain, off, n))
	})
	res.Size = p.Size()
	return res, p.b.decryptErr(fetched, err)
}

// ReaderAt returns an io.ReaderAt of the content that works until ctx ends. Each ReadAt is one CopyRange.
func (p *Plain) ReaderAt(ctx context.Context) io.ReaderAt {
	return readerAt{p.b.id, p.Size(), func(w io.Writer, off, n int64) error {
		_, err := p.CopyRange(ctx, w, off, n, ReadOptions{})
		return err
	}}
}

// reporting reports progress in bytes of the content.
type reporting struct {
	w           io.Writer
	done, total int64
	progress    Progress
}

func (r *reporting) Write(b []byte) (int, error) {
	n, err := r.w.Write(b)
	r.done += int64(n)
	r.progress.report(Reading, r.done, r.total)
	return n, err
}

// ageSource gives age the encrypted blob for one range: header and last chunk from memory, other chunks in order.
type ageSource struct {
	p  *Plain
	r  io.Reader // from at on
	at int64
}

// ReadAt implements io.ReaderAt for the offsets that age reads.
func (s *ageSource) ReadAt(b []byte, off int64) (n int, err error) {
	last := int64(s.p.b.Size()) - int64(len(s.p.tail))
	switch {
	case off < int64(len(s.p.head)): // age parses the header with a buffer of any size
		if n = copy(b, s.p.head[off:]); n < len(b) {
			err = io.EOF
		}
	case off >= last:
		if n = copy(b, s.p.tail[min(off-last, int64(len(s.p.tail))):]); n < len(b) {
			err = io.EOF
		}
	case s.r != nil && off == s.at:
		n, err = io.ReadFull(s.r, b)
		s.at += int64(n)
	default:
		err = fmt.Errorf("read out of order: byte %d after %d", off, s.at)
	}
	return n, err
}
