package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"walrus/client"
	"walrus/ledger"
	"walrus/shards"
)

// ReadParams are the query parameters of all routes that read blobs.
type ReadParams struct {
	Strict bool `query:"strict_consistency_check" example:"false" doc:"Encode the whole blob again and compare its ID before the first byte is sent. Excludes skip_consistency_check (400)."`
	Skip   bool `query:"skip_consistency_check" example:"false" doc:"Accepted for clients of the original, without effect: every row is always verified. Excludes strict_consistency_check (400)."`
}

func (p *ReadParams) check() error {
	if p.Strict && p.Skip {
		return invalid("INVALID_CONSISTENCY_CHECK", "strict_consistency_check and skip_consistency_check exclude each other")
	}
	return nil
}

// RangeParams are the headers of reads, for the document only: serveContent reads them itself.
type RangeParams struct {
	Range       string `header:"Range" example:"bytes=0-15" doc:"Parts of the blob by RFC 9110: a-b, a-, -n, or a list of up to 64. A malformed range, or one outside the blob, gets a 416. Units other than bytes are ignored."`
	IfRange     string `header:"If-Range" example:"\"M4hsZGQ1oCktdzegB6HnI6Mi28S2nqOPHxK-W7_4BUk\"" doc:"Apply Range only if this is the blob's entity tag. A date or a malformed value matches no blob: the whole blob is sent."`
	IfNoneMatch string `header:"If-None-Match" example:"\"M4hsZGQ1oCktdzegB6HnI6Mi28S2nqOPHxK-W7_4BUk\"" doc:"Entity tags that the client already has: 304 if the blob's is among them. Malformed tags match nothing."`
	IfMatch     string `header:"If-Match" example:"*" doc:"Entity tags that the client accepts: 412 if the blob's is not among them. Malformed tags match nothing."`
}

// BlobPath is a blob ID in a path.
type BlobPath struct {
	BlobID string `path:"blob_id" minLength:"43" maxLength:"43" pattern:"^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$" example:"M4hsZGQ1oCktdzegB6HnI6Mi28S2nqOPHxK-W7_4BUk" doc:"Blob ID, 43 characters of URL-safe base64."`
}

func (p *BlobPath) id() (shards.BlobID, error) {
	id, err := shards.ParseBlobID(p.BlobID)
	if err != nil {
		return id, malformed(err.Error())
	}
	return id, nil
}

// ObjectPath is an object ID in a path.
type ObjectPath struct {
	ObjectID string `path:"object_id" pattern:"^0x[0-9a-fA-F]{64}$" example:"0xe91eee8c5b6f35b9a250cfc29e30f0d9e5463a21fd8d1ddb0fc22d44db4eac50" doc:"Object ID of a blob's record."`
}

func (p *ObjectPath) id() (id ledger.ObjectID, err error) {
	if err := id.UnmarshalText([]byte(strings.ToLower(p.ObjectID))); err != nil {
		return id, malformed(err.Error())
	}
	return id, nil
}

// both adds a route for GET and for HEAD.
func both[In any](g *Gateway, api huma.API, op huma.Operation, h serve[In]) {
	op.Tags = []string{tagRead}
	get, head := op, op
	get.Method, head.Method = http.MethodGet, http.MethodHead
	head.OperationID, head.Summary = "head"+strings.TrimPrefix(op.OperationID, "read"), op.Summary+": headers only"
	get.Responses, head.Responses = readResponses(api, false), readResponses(api, true)
	register(g, api, reading, get, h)
	register(g, api, reading, head, h)
}

// addRead adds the routes of an aggregator.
func (g *Gateway) addRead(api huma.API) {
	type blobIn struct {
		BlobPath
		ReadParams
		RangeParams
	}
	both(g, api, huma.Operation{
		OperationID: "readBlob", Path: "/v1/blobs/{blob_id}", Summary: "Read a blob",
		Description: "The content type is taken from the request's Accept header, if it names a single type.",
	}, func(w http.ResponseWriter, r *http.Request, in *blobIn) error {
		id, blob, err := g.findChecked(r.Context(), &in.BlobPath, &in.ReadParams)
		if err != nil {
			return err
		}
		return g.serveContent(w, r, &download{content: blob, tag: id.String(), strict: in.Strict})
	})
	type objectIn struct {
		ObjectPath
		ReadParams
		RangeParams
	}
	both(g, api, huma.Operation{
		OperationID: "readBlobByObject", Path: "/v1/blobs/by-object-id/{object_id}", Summary: "Read the blob of a record",
		Description: "Attributes of the record become headers if this gateway allows them, such as content-type.",
	}, func(w http.ResponseWriter, r *http.Request, in *objectIn) error {
		object, err := in.id()
		if err == nil {
			err = in.check()
		}
		if err != nil {
			return err
		}
		rec, err := g.record(r.Context(), object)
		if err != nil {
			return err
		}
		blob, err := g.find(r.Context(), rec.BlobID)
		if err != nil {
			return err
		}
		g.attributeHeaders(w.Header(), rec.Attributes)
		return g.serveContent(w, r, &download{content: blob, tag: rec.BlobID.String(), strict: in.Strict})
	})
}

// findChecked finds the blob of a path, if the parameters are valid too.
func (g *aggregator) findChecked(ctx context.Context, path *BlobPath,
	params *ReadParams) (id shards.BlobID, blob content, err error) {
	if id, err = path.id(); err == nil {
		err = params.check()
	}
	if err == nil {
		blob, err = g.find(ctx, id)
	}
	return id, blob, err
}

// find opens a blob within the time for opening.
func (g *aggregator) find(ctx context.Context, id shards.BlobID) (content, error) {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Time.Open)
	defer cancel()
	return g.open(ctx, id)
}

func (g *aggregator) record(ctx context.Context, object ledger.ObjectID) (*ledger.Blob, error) {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Time.Open)
	defer cancel()
	rec, err := g.client.Record(ctx, object)
	if errors.Is(err, client.ErrNotFound) {
		return nil, &failure{
			code: http.StatusNotFound, status: "NOT_FOUND", reason: "BLOB_NOT_FOUND", domain: domainDaemon,
			message: "there is no blob object of this ID, ensure that it was entered correctly",
		}
	}
	return rec, err
}

// attributeHeaders turns attributes into headers, if they are on the list and valid as headers.
func (g *aggregator) attributeHeaders(h http.Header, attributes []ledger.Attribute) {
	for _, a := range attributes {
		g.attributeHeader(h, a.Key, a.Value)
	}
}

func (g *aggregator) attributeHeader(h http.Header, key, value string) {
	allowed := slices.ContainsFunc(g.cfg.Read.Headers, func(k string) bool { return strings.EqualFold(k, key) })
	if allowed && validHeaderValue(value) && h.Get(key) == "" {
		h.Set(key, value)
	}
}

// validHeaderName reports whether s is a token of RFC 9110.
func validHeaderName(s string) bool {
	for _, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// validHeaderValue reports whether s is one line of printable characters.
func validHeaderValue(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
}

func blobTooLarge(size, limit uint64) *failure {
	return &failure{
		code: http.StatusForbidden, status: "SIZE_EXCEEDED", reason: "BLOB_TOO_LARGE", domain: domainDaemon,
		message: fmt.Sprintf("the blob has %d bytes: the limit of this aggregator is %d", size, limit),
	}
}
