package gateway

import (
	"context"
	"errors"
	"io"

	"walrus/client"
	"walrus/shards"
)

// content is a blob that was found: what the routes that read need of it.
type content interface {
	Size() uint64
	// CopyRange writes n bytes from off on, verified; the first as early as they are there.
	CopyRange(ctx context.Context, w io.Writer, off, n int64, strict bool) error
}

// open finds a blob. Errors are those of client.Read.
func (g *Gateway) open(ctx context.Context, id shards.BlobID) (content, error) {
	st, err := g.client.BlobStatus(ctx, id)
	if err != nil {
		return nil, err
	}
	return &wholeBlob{g.client, id, st.Size}, nil
}

// wholeBlob reads from the beginning and leaves out what is not wanted.
type wholeBlob struct {
	client *client.Client
	id     shards.BlobID
	size   uint64
}

func (b *wholeBlob) Size() uint64 { return b.size }

func (b *wholeBlob) CopyRange(ctx context.Context, w io.Writer, off, n int64, strict bool) error {
	_, err := b.client.Read(ctx, b.id, &window{w, off, n}, client.ReadOptions{Strict: strict})
	if errors.Is(err, errPastWindow) {
		return nil
	}
	return err
}

// errPastWindow ends a read that has delivered what was wanted.
var errPastWindow = errors.New("read all that was asked for")

// window passes on n bytes after skipping others.
type window struct {
	w    io.Writer
	skip int64
	n    int64
}

func (c *window) Write(p []byte) (int, error) {
	all := len(p)
	k := min(c.skip, int64(len(p)))
	c.skip, p = c.skip-k, p[k:]
	p = p[:min(c.n, int64(len(p)))]
	if len(p) > 0 {
		n, err := c.w.Write(p)
		c.n -= int64(n)
		if err != nil {
			return 0, err
		}
	}
	if c.n == 0 && c.skip == 0 {
		return all, errPastWindow
	}
	return all, nil
}
