package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"walrus/gateway"
	"walrus/gateway/guard"
)

// contract validates every response of these tests against the API's document.
var contract = sync.OnceValues(func() (validator.Validator, error) {
	cfg := fullConfig()
	cfg.Store.TempDir = shared.dir
	g, err := gateway.New(cfg, shared.client, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	w := &recorder{header: http.Header{}}
	req, err := http.NewRequest(http.MethodGet, "/openapi.json", nil) //nolint:noctx // in this process
	if err != nil {
		return nil, err
	}
	g.Handler().ServeHTTP(w, req)
	doc, err := libopenapi.NewDocument(w.body.Bytes())
	if err != nil {
		return nil, err
	}
	v, errs := validator.NewValidator(doc)
	if len(errs) > 0 {
		return nil, fmt.Errorf("%v", errs)
	}
	return v, nil
})

// fullConfig enables every route.
func fullConfig() gateway.Config {
	cfg := gateway.Default()
	cfg.Version, cfg.Store.OwnerKey = "1.2.3", []byte("secret of a test")
	return cfg
}

type recorder struct {
	header http.Header
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(int)             {}
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

// undocumented lists paths that the document leaves out: its own, and paths that do not exist.
var undocumented = []string{"/openapi", "/v1/api", "/nothing", "/v1/nothing"}

// checkContract checks a response against the document.
func checkContract(t testing.TB, req *http.Request, a answer) {
	t.Helper()
	if m := req.Header.Get("X-HTTP-Method-Override"); m != "" {
		req = req.Clone(t.Context())
		req.Method = m
	}
	for _, path := range undocumented {
		if strings.HasPrefix(req.URL.Path, path) {
			return
		}
	}
	if a.code == http.StatusMethodNotAllowed || a.code == http.StatusNotFound && bytes.Contains(a.body, []byte("NO_SUCH_ROUTE")) {
		return
	}
	v, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	res := &http.Response{StatusCode: a.code, Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body)), Request: req}
	if ok, errs := v.ValidateHttpResponse(req, res); !ok {
		for _, e := range errs {
			t.Errorf("%s %s: %d: not as documented: %s: %s %v", req.Method, req.URL, a.code, e.Message, e.Reason, e.SchemaValidationErrors)
		}
	}
}

// TestContractCatches makes sure that checkContract can fail.
func TestContractCatches(t *testing.T) {
	v, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]answer{
		"a status":  {http.StatusTeapot, http.Header{"Content-Type": {"application/json"}}, []byte(`{}`)},
		"a body":    {http.StatusOK, http.Header{"Content-Type": {"application/json"}}, []byte(`{"newlyCreated":{"cost":"much"}}`)},
		"an error":  {http.StatusBadRequest, http.Header{"Content-Type": {"application/json"}}, []byte(`{"error":"wrong"}`)},
		"a content": {http.StatusOK, http.Header{"Content-Type": {"text/plain"}}, []byte(`OK`)},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://localhost/v1/blobs", nil)
		if err != nil {
			t.Fatal(err)
		}
		res := &http.Response{StatusCode: a.code, Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body)), Request: req}
		if ok, _ := v.ValidateHttpResponse(req, res); ok {
			t.Errorf("%s that is not documented was not noticed", name)
		}
	}
}

// checkReadable checks that scripts of other origins may read every header of a response.
func checkReadable(t testing.TB, req *http.Request, a answer) {
	t.Helper()
	for k := range a.header {
		if !guard.Sends(k) && !strings.HasPrefix(k, "Access-Control-") {
			t.Errorf("%s %s: header %s is not on the guard's list of what is sent", req.Method, req.URL, k)
		}
	}
}
