package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"walrus/client"
	"walrus/client/jsonform"
	"walrus/gateway/guard"
	"walrus/ledger"
)

// StoreParams are the query parameters of all routes that store. Exported, because huma reads the tags.
type StoreParams struct {
	Epochs         string `query:"epochs" pattern:"^(0*[1-9][0-9]*|max)$" maxLength:"10" example:"1" doc:"Number of epochs to store the blob for, including the current one; max is as many as the network sells. Default 1."`
	Permanent      bool   `query:"permanent" example:"false" doc:"Nobody can delete the blob before its end. Excludes deletable (400)."`
	Deletable      bool   `query:"deletable" example:"false" doc:"The default. Excludes permanent (400)."`
	Force          bool   `query:"force" example:"false" doc:"Register and pay for the blob again, even if it is already certified."`
	ReuseResources bool   `query:"reuse_resources" example:"false" doc:"Accepted for clients of the original, without effect: the publisher always uses storage of its own before it buys."`
	EncodingType   string `query:"encoding_type" enum:"RS2" example:"RS2" doc:"RS2, the only encoding."`
	SendObjectTo   string `query:"send_object_to" pattern:"^0x[0-9a-fA-F]{64}$" example:"0x4748cd83217b5ce7aa77e7f1ad6fc5f7f694e26a157381b9391ac65c47815faf" doc:"The account that is offered the record, until its end: it becomes the owner once it accepts (walrus offer accept). Excludes share (400)."`
	Share          bool   `query:"share" example:"false" doc:"Share the record: anybody may extend it. Requires permanent and excludes send_object_to (400)."`
	ContentType    string `query:"content_type" maxLength:"255" example:"image/png" doc:"Stored as the record's attribute content-type: reads by object ID are served with this type."`
}

// options checks the parameters beyond what their types check.
func (p *StoreParams) options(c *StoreConfig) (opt client.StoreOptions, err error) {
	opt = client.StoreOptions{Epochs: c.Epochs, Permanent: p.Permanent, Force: p.Force, Share: p.Share}
	switch {
	case p.Permanent && p.Deletable:
		return opt, invalid("INVALID_BLOB_PERSISTENCE", "a blob cannot be both permanent and deletable")
	case p.Share && p.SendObjectTo != "":
		return opt, malformed("share and send_object_to exclude each other")
	case p.Share && !p.Permanent:
		return opt, malformed("a deletable blob cannot be shared: add permanent=true")
	case p.Epochs != "":
		if opt.Epochs, err = parseEpochs(p.Epochs); err != nil {
			return opt, err
		}
	}
	if p.SendObjectTo != "" {
		if opt.SendTo, err = ledger.ParseAddress(strings.ToLower(p.SendObjectTo)); err != nil {
			return opt, malformed("send_object_to: " + err.Error())
		}
	}
	if p.ContentType != "" {
		if !validHeaderValue(p.ContentType) {
			return opt, malformed("content_type: not a valid header value")
		}
		opt.Attributes = append(opt.Attributes, ledger.Attribute{Key: "content-type", Value: p.ContentType})
	}
	return opt, nil
}

// addStore adds the routes of a publisher.
func (g *Gateway) addStore(api huma.API) {
	type in struct {
		StoreParams
	}
	register(g, api, storing, huma.Operation{
		OperationID: "storeBlob", Method: http.MethodPut, Path: "/v1/blobs", Tags: []string{tagStore},
		Summary:     "Store a blob",
		Description: "The body is the blob; its content type does not matter. After the whole body has arrived, the blob is stored even if the client disconnects.",
		Security:    []map[string][]string{{}, {publisherToken: {}}},
		RequestBody: &huma.RequestBody{
			Description: "The blob.", Required: true,
			Content: map[string]*huma.MediaType{"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString,
				Format: "binary"}}},
		},
		Responses: storeResponses(api),
	}, func(w http.ResponseWriter, r *http.Request, in *in) error {
		opt, err := in.options(&g.cfg.Store)
		if err != nil {
			return err
		}
		body, err := g.newSpool(w, r, g.cfg.Store.MaxBody)
		if err != nil {
			return err
		}
		return g.storeBlob(w, r, body, opt)
	})
}

// storeBlob stores a body that has arrived, and answers. It continues when the client leaves, as long as the gateway
// serves.
func (g *Gateway) storeBlob(w http.ResponseWriter, r *http.Request, body *spool, opt client.StoreOptions) error {
	ctx, done := g.storing(r.Context())
	defer done()
	res, err := g.pay(ctx, opt, func(opt client.StoreOptions) (*client.StoreResult, error) {
		return g.client.Store(ctx, body, body.size, opt)
	})
	if closing := body.Close(); err == nil {
		err = closing
	}
	if invalid := markedInvalid(err); invalid != nil {
		guard.NoteInvalid(r.Context())
		return writeStatus(w, http.StatusInternalServerError, jsonform.StoreResult{MarkedInvalid: invalid})
	}
	if err != nil {
		return err
	}
	g.tellOwner(w.Header(), res, opt)
	return writeJSON(w, jsonform.New(res))
}

// markedInvalid returns the original's answer to storing a blob that the ledger has marked; nil for other errors. Its
// HTTP status is 500.
func markedInvalid(err error) *jsonform.MarkedInvalid {
	var known *client.InvalidBlobError
	if !errors.As(err, &known) {
		return nil
	}
	return jsonform.NewInvalid(known)
}

// storing returns the context for storing a blob.
func (g *Gateway) storing(ctx context.Context) (context.Context, func()) {
	g.stores.Add(1)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.cfg.Time.Store)
	go func() {
		select {
		case <-g.end:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel()
		g.stores.Done()
	}
}

func writeJSON(w http.ResponseWriter, v any) error { return writeStatus(w, http.StatusOK, v) }

func writeStatus(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that has left needs no answer
	return nil
}
