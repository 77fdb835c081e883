package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"walrus/client"
	"walrus/quilt"
	"walrus/shards"
)

// identifierHeader names the file of a quilt in a response. identifierEncoding is present only if the name had to be
// encoded, and says how.
const (
	identifierHeader   = "X-Quilt-Patch-Identifier"
	identifierEncoding = "X-Quilt-Patch-Identifier-Encoding"
	percentUTF8        = "percent-utf-8"
)

// nameFile puts a file's name into the headers. Browsers read header bytes as Latin-1, and receivers trim blanks, so a
// name that is not plain ASCII is percent-encoded, readable by decodeURIComponent.
func nameFile(h http.Header, name string) {
	plain := strings.Trim(name, " ") == name &&
		!strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c > '~' })
	if plain {
		h.Set(identifierHeader, name)
		return
	}
	h.Set(identifierHeader, url.PathEscape(name))
	h.Set(identifierEncoding, percentUTF8)
}

// QuiltPatch describes one file in a quilt's list.
type QuiltPatch struct {
	Identifier string            `json:"identifier" example:"walrus.jpg" doc:"Name (identifier) of the file in the quilt."`
	PatchID    quilt.PatchID     `json:"patch_id" doc:"Patch ID, which identifies the file without the quilt."`
	Tags       map[string]string `json:"tags"`
}

// QuiltPath is a quilt ID in a path.
type QuiltPath struct {
	QuiltID string `path:"quilt_id" minLength:"43" maxLength:"43" pattern:"^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$" example:"6XUOE-Q5-nAXHRifN6n9nomVDtHZQbGuAkW3PjlBuKo" doc:"Blob ID of the quilt."`
}

func (p *QuiltPath) id() (shards.BlobID, error) {
	b := BlobPath{p.QuiltID}
	return b.id()
}

// addQuiltRead adds the routes that read files of quilts.
func (g *Gateway) addQuiltRead(api huma.API) {
	type patchIn struct {
		PatchID string `path:"quilt_patch_id" minLength:"50" maxLength:"50" pattern:"^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]B[A-Za-z0-9_-]{5}[AQgw]$" example:"6XUOE-Q5-nAXHRifN6n9nomVDtHZQbGuAkW3PjlBuKoBAQDQAA" doc:"Patch ID, 50 characters of URL-safe base64."`
		RangeParams
	}
	both(g, api, huma.Operation{
		OperationID: "readQuiltPatch", Path: "/v1/blobs/by-quilt-patch-id/{quilt_patch_id}",
		Summary: "Read a file of a quilt by its patch ID",
		Description: "Fetches only the file's part of the quilt. " + identifierHeader +
			" has its name, as percent-encoded UTF-8 if " + identifierEncoding +
			" says so: names that are not ASCII are sent that way.",
	}, func(w http.ResponseWriter, r *http.Request, in *patchIn) error {
		id, err := quilt.ParsePatchID(in.PatchID)
		if err != nil { // well formed, but with impossible columns
			return err
		}
		if err := g.allowed(id.Quilt); err != nil {
			return err
		}
		return g.serveFile(w, r, id.Quilt, func(ctx context.Context, visit client.Visit) error {
			_, err := g.client.ReadPatches(ctx, []quilt.PatchID{id}, client.ReadOptions{}, visit)
			return err
		})
	})
	type nameIn struct {
		QuiltPath
		Identifier string `path:"identifier" minLength:"1" maxLength:"65531" example:"walrus.jpg" doc:"Name of the file in the quilt; write / as %2F."`
		RangeParams
	}
	both(g, api, huma.Operation{
		OperationID: "readQuiltFile", Path: "/v1/blobs/by-quilt-id/{quilt_id}/{identifier}",
		Summary:     "Read a file of a quilt by its name",
		Description: "Fetches only the index and the file's part of the quilt.",
	}, func(w http.ResponseWriter, r *http.Request, in *nameIn) error {
		id, err := in.id()
		if err != nil {
			return err
		}
		q, patches, err := g.findFile(r.Context(), id, in.Identifier)
		if err != nil {
			return err
		}
		return g.serveFile(w, r, id, func(ctx context.Context, visit client.Visit) error {
			_, err := q.Read(ctx, patches, client.ReadOptions{}, visit)
			return err
		})
	})
	g.addQuiltList(api)
}

func (g *Gateway) addQuiltList(api huma.API) {
	type in struct {
		QuiltPath
		IfNoneMatch string `header:"If-None-Match" example:"*" doc:"Entity tags of the blobs that the client already has."`
	}
	schema := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[[]QuiltPatch](), true, "")
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		rs := readResponses(api, true)
		rs["200"].Content = map[string]*huma.MediaType{"application/json": {Schema: schema}}
		id := "listQuilt"
		if method == http.MethodHead {
			id = "headQuiltList"
		}
		register(g, api, reading, huma.Operation{
			OperationID: id, Method: method, Path: "/v1/quilts/{quilt_id}/patches", Tags: []string{tagRead},
			Summary:     "List the files of a quilt",
			Description: "Fetches only the index of the quilt.", Responses: rs,
		}, func(w http.ResponseWriter, r *http.Request, in *in) error {
			id, err := in.id()
			if err != nil {
				return err
			}
			return g.listQuilt(w, r, id)
		})
	}
}

func (g *aggregator) listQuilt(w http.ResponseWriter, r *http.Request, id shards.BlobID) error {
	q, err := g.openQuilt(r.Context(), id)
	if err != nil {
		return err
	}
	list := make([]QuiltPatch, 0, len(q.Index().Patches))
	for _, p := range q.Index().Patches {
		one := QuiltPatch{p.Identifier, p.ID(id), p.Tags}
		if one.Tags == nil {
			one.Tags = map[string]string{}
		}
		list = append(list, one)
	}
	g.contentHeaders(w.Header(), r, id.String())
	if precondition(r, id.String()) == http.StatusNotModified {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return writeJSON(w, list)
}

// openQuilt finds a quilt and its index within the time for opening.
func (g *aggregator) openQuilt(ctx context.Context, id shards.BlobID) (*client.Quilt, error) {
	if err := g.allowed(id); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Time.Open)
	defer cancel()
	return g.client.OpenQuilt(ctx, id)
}

func (g *aggregator) findFile(ctx context.Context, id shards.BlobID,
	identifier string) (*client.Quilt, []quilt.Patch, error) {
	q, err := g.openQuilt(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	patches, err := q.Find(identifier)
	return q, patches, err
}

// serveFile answers with the file that read passes to its visitor.
func (g *aggregator) serveFile(w http.ResponseWriter, r *http.Request, id shards.BlobID,
	read func(context.Context, client.Visit) error) error {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	opening := time.AfterFunc(g.cfg.Time.Open, func() { cancel(context.DeadlineExceeded) })
	defer opening.Stop()
	err := read(ctx, func(p quilt.Patch, first io.WriterTo) error {
		opening.Stop()
		h := w.Header()
		if g.cfg.Read.QuiltTags {
			for k, v := range p.Tags {
				g.attributeHeader(h, k, v)
			}
		}
		nameFile(h, p.Identifier)
		file := &quiltFile{size: p.Size, first: first, cancel: cancel, read: read}
		if err := g.serveContent(w, r, &download{content: file, tag: id.String()}); err != nil {
			return err
		}
		return errServed
	})
	if errors.Is(err, errServed) {
		return nil
	}
	if err != nil && context.Cause(ctx) == context.DeadlineExceeded { //nolint:errorlint // the very value set above
		return errors.Join(context.DeadlineExceeded, err)
	}
	return err
}

// errServed ends the read of a quilt after its file was served.
var errServed = errors.New("served")

// quiltFile is a file of a quilt as content. The first range comes from the read in progress; others are read anew.
type quiltFile struct {
	size   int64
	first  io.WriterTo // nil once used
	cancel context.CancelCauseFunc
	read   func(context.Context, client.Visit) error
}

func (f *quiltFile) Size() uint64 { return uint64(f.size) }

func (f *quiltFile) CopyRange(ctx context.Context, w io.Writer, off, n int64, _ bool) error {
	out := &window{w, off, n}
	var err error
	if f.first != nil {
		// The writer knows only the context it was made with.
		defer context.AfterFunc(ctx, func() { f.cancel(context.Cause(ctx)) })()
		_, err = f.first.WriteTo(out)
		f.first = nil
	} else {
		err = f.read(ctx, func(_ quilt.Patch, content io.WriterTo) error {
			_, err := content.WriteTo(out)
			return err
		})
	}
	if errors.Is(err, errPastWindow) {
		return nil
	}
	return err
}

// errPastWindow ends a read that has delivered the wanted bytes.
var errPastWindow = errors.New("all wanted bytes were read")

// window skips bytes, then passes on n bytes.
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
