package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"runtime/debug"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"

	"walrus/client"
	"walrus/gateway/guard"
)

// maxHeaderBytes bounds the header of a request. The longest path names a file in a quilt by up to 64 Ki characters,
// percent-encoded.
const maxHeaderBytes = 1 << 20

// adopt makes huma return this API's errors. It sets a variable of huma's, so it runs once per process.
var adopt sync.Once

// routes makes the handler of all routes and the OpenAPI document.
func (g *Gateway) routes() (http.Handler, error) {
	adopt.Do(func() { huma.NewError = humaError })
	mux := chi.NewMux()
	mux.Use(guard.Route)
	mux.NotFound(func(w http.ResponseWriter, r *http.Request) {
		noSuchRoute(r).write(w, r.Method == http.MethodHead)
	})
	api := humachi.New(mux, humaConfig(g.cfg.Version))
	mux.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		wrongMethod(w, r, mux)
	})
	g.addStatus(api)
	g.addMonitor(api)
	if g.cfg.Publisher {
		g.addStore(api)
		g.addQuiltStore(api)
		g.addUploads(api)
		if g.owners != nil {
			g.addManage(api)
		}
	}
	if g.cfg.Aggregator {
		g.addRead(api)
		g.addParts(api)
		g.addConcat(api)
		g.addQuiltRead(api)
	}
	if err := g.addDocument(api, mux); err != nil {
		return nil, err
	}
	return guard.Override(g.sane(mux)), nil
}

// humaConfig returns huma's configuration: strict, and without its own pages.
func humaConfig(version string) huma.Config {
	c := huma.DefaultConfig("Walrus gateway", version)
	c.CreateHooks = nil // the hooks would add a $schema to every body
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", ""
	c.RejectUnknownQueryParameters = true
	describe(c.OpenAPI)
	return c
}

// serve handles a request. An error becomes the response; see classify.
type serve[In any] func(w http.ResponseWriter, r *http.Request, in *In) error

// register adds a route: huma parses and documents its parameters, h writes the response directly.
func register[In any](g *Gateway, api huma.API, what action, op huma.Operation, h serve[In]) {
	body := op.RequestBody
	op.RequestBody = nil // huma would read the body into memory
	huma.Register(api, op, func(_ context.Context, in *In) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			r, w := humachi.Unwrap(ctx)
			switch err := h(w, r, in); {
			case errors.Is(err, errCutOff):
				panic(http.ErrAbortHandler)
			case err != nil:
				g.fail(w, r, what, err)
			}
		}}, nil
	})
	for _, described := range operations(api.OpenAPI().Paths[op.Path]) {
		if described.Method == op.Method {
			described.RequestBody = body
		}
	}
}

// fail answers a request that failed before its response began.
func (g *Gateway) fail(w http.ResponseWriter, r *http.Request, what action, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		err = errClientLeft
	}
	if errors.Is(err, client.ErrInvalidBlob) {
		guard.NoteInvalid(r.Context())
	}
	f := classify(what, err)
	if f.code >= http.StatusInternalServerError {
		g.log.Warn("request failed", "method", r.Method, "path", r.URL.Path, "status", f.code, "err", err)
	}
	f.write(w, r.Method == http.MethodHead)
}

// errClientLeft appears in the log only: there is nobody to answer.
var errClientLeft = &failure{code: 499, status: "CANCELLED", reason: "CLIENT_LEFT", domain: domainGlobal,
	message: "the client disconnected"}

// sane refuses requests that the router would misread, and turns a panic into a response.
func (g *Gateway) sane(next http.Handler) http.Handler {
	return http.HandlerFunc(func(plain http.ResponseWriter, r *http.Request) {
		w := newTimedWriter(plain, g.cfg.Time.Stall)
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler { //nolint:errorlint // compared as net/http does
				panic(p)
			}
			g.log.Error("request panicked", "method", r.Method, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			f := &failure{code: http.StatusInternalServerError, status: "INTERNAL", reason: "INTERNAL", domain: domainGlobal,
				message: "internal error of the gateway"}
			f.write(w, r.Method == http.MethodHead)
		}()
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store") // routes may override it
		if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
			malformed("query: "+err.Error()).write(w, r.Method == http.MethodHead)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func noSuchRoute(r *http.Request) *failure {
	return &failure{
		code: http.StatusNotFound, status: "NOT_FOUND", reason: "NO_SUCH_ROUTE", domain: domainGlobal,
		message: "no route at " + shorten(r.URL.Path) + "; see /v1/api",
	}
}

// wrongMethod answers 405 with the methods that the path has.
func wrongMethod(w http.ResponseWriter, r *http.Request, mux *chi.Mux) {
	path := r.URL.RawPath
	if path == "" {
		path = r.URL.Path
	}
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodPatch,
		http.MethodDelete} {
		if mux.Match(chi.NewRouteContext(), m, path) {
			w.Header().Add("Allow", m)
		}
	}
	f := &failure{
		code: http.StatusMethodNotAllowed, status: "UNIMPLEMENTED", reason: "METHOD_NOT_ALLOWED", domain: domainGlobal,
		message: r.Method + " is not for " + shorten(r.URL.Path),
	}
	f.write(w, r.Method == http.MethodHead)
}
