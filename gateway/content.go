package gateway

import (
	"context"
	"io"
	"net/http"

	"walrus/client"
	"walrus/shards"
)

// content is the source of a read: a blob, a part of one, or several.
type content interface {
	Size() uint64
	// CopyRange writes n verified bytes from off on, each as soon as it is there.
	CopyRange(ctx context.Context, w io.Writer, off, n int64, strict bool) error
}

// open finds a blob. Errors: as from client.Open.
func (g *aggregator) open(ctx context.Context, id shards.BlobID) (content, error) {
	if err := g.allowed(id); err != nil {
		return nil, err
	}
	b, err := g.client.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	return blob{b}, nil
}

// blob adapts a whole blob to content.
type blob struct{ *client.Blob }

func (b blob) CopyRange(ctx context.Context, w io.Writer, off, n int64, strict bool) error {
	_, err := b.Blob.CopyRange(ctx, w, off, n, client.ReadOptions{Strict: strict})
	return err
}

// allowed returns an error for a blocked blob.
func (g *aggregator) allowed(id shards.BlobID) error {
	if !g.blocked.Has(id) {
		return nil
	}
	return &failure{
		code: http.StatusUnavailableForLegalReasons, status: "UNAVAILABLE_FOR_LEGAL_REASONS", reason: "FORBIDDEN_BLOB",
		domain:  domainDaemon,
		message: "this gateway does not serve the blob",
	}
}
