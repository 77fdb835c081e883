package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// addParts adds the routes that read parts of a blob.
func (g *Gateway) addParts(api huma.API) {
	type rangeIn struct {
		BlobPath
		Start  int64 `query:"start" required:"true" minimum:"0" example:"0" doc:"Index of the first byte."`
		Length int64 `query:"length" required:"true" minimum:"1" example:"16" doc:"Number of bytes."`
		ReadParams
		IfNoneMatch string `header:"If-None-Match" example:"*" doc:"Entity tags of the blobs that the client already has."`
	}
	both(g, api, huma.Operation{
		OperationID: "readByteRange", Path: "/v1/blobs/{blob_id}/byte-range", Summary: "Read a part of a blob",
		Description: "The status is 200, so that caches without support for ranges can keep the response.",
	}, func(w http.ResponseWriter, r *http.Request, in *rangeIn) error {
		id, blob, err := g.findChecked(r.Context(), &in.BlobPath, &in.ReadParams)
		if err != nil {
			return err
		}
		size := int64(blob.Size())
		if in.Start < 0 || in.Length <= 0 || in.Start > size || in.Length > size-in.Start {
			return invalid("INVALID_BYTE_RANGE", fmt.Sprintf("%d bytes from byte %d on: the blob has only %d bytes",
				in.Length, in.Start, size))
		}
		return g.serveContent(w, r, &download{
			content: part{blob, in.Start, in.Length}, tag: fmt.Sprintf("%s-%d-%d", id, in.Start, in.Length), whole: true,
		})
	})
	type streamIn struct {
		BlobPath
		ReadParams
		IfNoneMatch string `header:"If-None-Match" example:"*" doc:"Entity tags of the blobs that the client already has."`
	}
	both(g, api, huma.Operation{
		OperationID: "readStream", Path: "/v1alpha/blobs/{blob_id}/stream", Summary: "Read a blob as a stream",
		Description: "Every read streams here. This route exists for clients of the original.",
	}, func(w http.ResponseWriter, r *http.Request, in *streamIn) error {
		id, blob, err := g.findChecked(r.Context(), &in.BlobPath, &in.ReadParams)
		if err != nil {
			return err
		}
		w.Header().Set("X-Walrus-Streaming", "true")
		return g.serveContent(w, r, &download{content: blob, tag: id.String(), strict: in.Strict, whole: true})
	})
}

// part is a range of a content.
type part struct {
	content
	off, n int64
}

func (p part) Size() uint64 { return uint64(p.n) }

func (p part) CopyRange(ctx context.Context, w io.Writer, off, n int64, strict bool) error {
	return p.content.CopyRange(ctx, w, p.off+off, n, strict)
}
