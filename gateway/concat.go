package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"walrus/ledger"
	"walrus/shards"
)

const (
	// maxConcat bounds the blobs of one concatenation: all are found before the first byte, and each holds its metadata
	// in memory.
	maxConcat = 256
	// maxConcatBody bounds the JSON with their IDs: 66 characters each, and punctuation.
	maxConcatBody = 64 << 10
)

// ConcatRequest is the body of POST /v1alpha/blobs/concat.
type ConcatRequest struct {
	IDs    []string `json:"ids" nullable:"false" minItems:"1" maxItems:"256" example:"[\"M4hsZGQ1oCktdzegB6HnI6Mi28S2nqOPHxK-W7_4BUk\"]" doc:"Blob IDs and object IDs, in order."`
	Strict bool     `json:"strict_consistency_check,omitempty" doc:"The same as the query parameter of other reads."`
	Skip   bool     `json:"skip_consistency_check,omitempty" doc:"The same as the query parameter of other reads."`
}

// addConcat adds the routes that read several blobs as one.
func (g *Gateway) addConcat(api huma.API) {
	type getIn struct {
		IDs string `query:"ids" required:"true" maxLength:"17152" example:"M4hsZGQ1oCktdzegB6HnI6Mi28S2nqOPHxK-W7_4BUk" doc:"Blob IDs and object IDs, in order, separated by commas."`
		ReadParams
		RangeParams
	}
	both(g, api, huma.Operation{
		OperationID: "readConcat", Path: "/v1alpha/blobs/concat", Summary: "Read several blobs as one",
		Description: "If the first ID is an object ID, attributes of its record become headers.",
	}, func(w http.ResponseWriter, r *http.Request, in *getIn) error {
		return g.serveConcat(w, r, ConcatRequest{strings.Split(in.IDs, ","), in.Strict, in.Skip})
	})
	schema := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[ConcatRequest](), true, "")
	describeIDs(api)
	rs := readResponses(api, false)
	rs["413"] = problem(api, "The body is too large.")
	rs["408"] = problem(api, "The client stopped sending the body.")
	delete(rs, "304")
	delete(rs, "412")
	register(g, api, reading, huma.Operation{
		OperationID: "postConcat", Method: http.MethodPost, Path: "/v1alpha/blobs/concat", Tags: []string{tagRead},
		Summary: "Read several blobs as one", Description: "The same as GET, for lists that are too long for a URL.",
		RequestBody: &huma.RequestBody{
			Description: "The blobs to read.", Required: true,
			Content: map[string]*huma.MediaType{"application/json": {Schema: schema}},
		},
		Responses: rs,
	}, func(w http.ResponseWriter, r *http.Request, _ *struct{}) error {
		req, err := g.concatRequest(w, r)
		if err != nil {
			return err
		}
		return g.serveConcat(w, r, req)
	})
}

// describeIDs puts the form of IDs into the document only: huma must not check it, because wrong IDs get a specific
// error.
func describeIDs(api huma.API) {
	const one = "([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]|0x[0-9a-fA-F]{64})"
	ids := api.OpenAPI().Components.Schemas.Map()["ConcatRequest"].Properties["ids"]
	items := *ids.Items
	items.Pattern = "^" + one + "$"
	ids.Items = &items
	for _, op := range operations(api.OpenAPI().Paths["/v1alpha/blobs/concat"]) {
		describeParams(op, map[string]func(*huma.Param){"ids": func(p *huma.Param) {
			p.Schema.Pattern = "^" + one + "(," +
				one + "){0,255}$"
		}})
	}
}

// concatRequest reads and checks the body.
func (g *aggregator) concatRequest(w http.ResponseWriter, r *http.Request) (req ConcatRequest, err error) {
	body, err := io.ReadAll(g.body(w, r, maxConcatBody))
	if err != nil {
		return req, err
	}
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&req); err != nil {
		return req, malformed("body: " + err.Error())
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err == nil {
		for k, v := range fields {
			if string(v) == "null" { // Go would treat null as a missing field
				return req, malformed("body: " + k + " is null: leave it out")
			}
		}
	}
	if dec.More() {
		return req, malformed("body: want one JSON value, found another behind it")
	}
	return req, nil
}

// serveConcat finds all blobs first, so that errors come before the first byte, and serves them one after the other.
func (g *aggregator) serveConcat(w http.ResponseWriter, r *http.Request, req ConcatRequest) error {
	params := ReadParams{req.Strict, req.Skip}
	if err := params.check(); err != nil {
		return err
	}
	if len(req.IDs) == 0 || len(req.IDs) == 1 && req.IDs[0] == "" {
		return malformed("ids: want at least one ID")
	}
	if len(req.IDs) > maxConcat {
		return malformed(fmt.Sprintf("ids: %d IDs: the limit is %d", len(req.IDs), maxConcat))
	}
	blobs, attributes, err := g.findAll(r.Context(), req.IDs)
	if err != nil {
		return err
	}
	g.attributeHeaders(w.Header(), attributes)
	sum := sha256.Sum256([]byte(strings.Join(req.IDs, ",")))
	return g.serveContent(w, r, &download{content: blobs, tag: base64.RawURLEncoding.EncodeToString(sum[:]),
		strict: req.Strict})
}

// findAll finds blobs by blob or object IDs. It returns the first ID's attributes, if that is an object.
func (g *aggregator) findAll(ctx context.Context,
	ids []string) (blobs chain, attributes []ledger.Attribute, err error) {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Time.Open)
	defer cancel()
	for i, s := range ids {
		id, own, err := g.resolve(ctx, s)
		if err != nil {
			return nil, nil, err
		}
		if i == 0 {
			attributes = own
		}
		b, err := g.find(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		if limit := g.cfg.Read.MaxBlob; limit > 0 && b.Size() > limit {
			return nil, nil, blobTooLarge(b.Size(), limit)
		}
		blobs = append(blobs, b)
	}
	return blobs, attributes, nil
}

// resolve turns a blob or object ID into a blob ID.
func (g *aggregator) resolve(ctx context.Context,
	s string) (id shards.BlobID, attributes []ledger.Attribute, err error) {
	if !strings.HasPrefix(s, "0x") {
		if id, err = shards.ParseBlobID(s); err != nil {
			return id, nil, invalid("INVALID_ID_FORMAT", err.Error())
		}
		return id, nil, nil
	}
	var object ledger.ObjectID
	if err := object.UnmarshalText([]byte(strings.ToLower(s))); err != nil {
		return id, nil, invalid("INVALID_ID_FORMAT", err.Error())
	}
	rec, err := g.record(ctx, object)
	var missing *failure
	if errors.As(err, &missing) {
		return id, nil, &failure{
			code: missing.code, status: missing.status, reason: "OBJECT_ID_RESOLUTION_FAILED", domain: domainDaemon,
			message: s + ": " + missing.message,
		}
	}
	if err != nil {
		return id, nil, err
	}
	return rec.BlobID, rec.Attributes, nil
}

// chain is a content made of blobs, one after the other.
type chain []content

func (c chain) Size() (size uint64) {
	for _, b := range c {
		size += b.Size()
	}
	return size
}

func (c chain) CopyRange(ctx context.Context, w io.Writer, off, n int64, strict bool) error {
	for _, b := range c {
		size := int64(b.Size())
		if off >= size {
			off -= size
			continue
		}
		part := min(n, size-off)
		if part == 0 {
			break
		}
		if err := b.CopyRange(ctx, w, off, part, strict); err != nil {
			return err
		}
		off, n = 0, n-part
	}
	return nil
}
