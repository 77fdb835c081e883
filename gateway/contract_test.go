package gateway_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"walrus/gateway"
	"walrus/gateway/guard"
)

// document is the API's document. Its parts are read where they are needed.
type document struct {
	Paths map[string]map[string]struct {
		Responses map[string]struct {
			Content map[string]struct{ Schema any }
			Headers map[string]struct{ Required bool }
		}
	}
	schemas *jsonschema.Compiler
}

// contract is the document that every response of these tests is compared with.
var contract = sync.OnceValues(func() (*document, error) {
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
	d := &document{schemas: jsonschema.NewCompiler()}
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(w.body.Bytes()))
	return d, errors.Join(err, json.Unmarshal(w.body.Bytes(), d), d.schemas.AddResource(documentURL, whole))
})

const documentURL = "http://localhost/openapi.json"

// path returns the path of the document that a request is for: of several, the one with the fewest variables.
func (d *document) path(of string) (path string) {
	segments, fewest := strings.Split(of, "/"), len(of)
	for p := range d.Paths {
		want, n := strings.Split(p, "/"), strings.Count(p, "{")
		same := func(i int) bool {
			return want[i] == segments[i] || strings.HasPrefix(want[i], "{") && segments[i] != ""
		}
		if len(want) != len(segments) || n >= fewest {
			continue
		}
		matches := true
		for i := range want {
			matches = matches && same(i)
		}
		if matches {
			path, fewest = p, n
		}
	}
	return path
}

// validate reports how a response differs from the document: its status, headers that lack or do not follow their
// schemas, its kind of content, and, if that is JSON, its schema.
func (d *document) validate(req *http.Request, a answer) error {
	path, method, code := d.path(req.URL.EscapedPath()), strings.ToLower(req.Method), strconv.Itoa(a.code)
	r, ok := d.Paths[path][method].Responses[code]
	if !ok {
		return fmt.Errorf("path %q of the document has no %s with status %s", path, method, code)
	}
	at := []string{"paths", path, method, "responses", code}
	for name, h := range r.Headers {
		value := a.header.Get(name)
		if value == "" && h.Required {
			return fmt.Errorf("there is no header %s", name)
		}
		if err := d.headerFollows(value, append(slices.Clone(at), "headers", name, "schema")); value != "" && err != nil {
			return fmt.Errorf("header %s: %w", name, err)
		}
	}
	if len(r.Content) == 0 || len(a.body) == 0 {
		return nil
	}
	kind, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil {
		return err
	}
	major, _, _ := strings.Cut(kind, "/")
	for _, k := range []string{kind, major + "/*", "*/*"} {
		c, ok := r.Content[k]
		if !ok {
			continue
		}
		at := append(at, "content", k, "schema")
		switch {
		case c.Schema == nil:
			return nil
		case major == "text":
			return d.follows(string(a.body), at)
		case kind != "application/json":
			return nil
		}
		body, err := jsonschema.UnmarshalJSON(bytes.NewReader(a.body))
		return errors.Join(err, d.follows(body, at))
	}
	return fmt.Errorf("content %q is not one of the document's", kind)
}

// follows checks a value against the schema at a place of the document.
func (d *document) follows(value any, at []string) error {
	var pointer strings.Builder
	for _, part := range at {
		pointer.WriteString("/" + url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(part)))
	}
	schema, err := d.schemas.Compile(documentURL + "#" + pointer.String())
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// headerFollows takes the value for a number or a truth value if that is what its schema wants.
func (d *document) headerFollows(value string, at []string) error {
	err := d.follows(value, at)
	if other, jerr := jsonschema.UnmarshalJSON(strings.NewReader(value)); err != nil && jerr == nil {
		err = d.follows(other, at)
	}
	return err
}

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
	if a.code == http.StatusMethodNotAllowed || a.code == http.StatusNotFound &&
		bytes.Contains(a.body, []byte("NO_SUCH_ROUTE")) {
		return
	}
	d, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.validate(req, a); err != nil {
		t.Errorf("%s %s: %d: not as documented: %v", req.Method, req.URL, a.code, err)
	}
}

// TestContractCatches makes sure that checkContract can fail.
func TestContractCatches(t *testing.T) {
	d, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]answer{
		"a status": {http.StatusTeapot, http.Header{"Content-Type": {"application/json"}}, []byte(`{}`)},
		"a body": {http.StatusOK, http.Header{"Content-Type": {"application/json"}},
			[]byte(`{"newlyCreated":{"cost":"much"}}`)},
		"an error":  {http.StatusBadRequest, http.Header{"Content-Type": {"application/json"}}, []byte(`{"error":"wrong"}`)},
		"a content": {http.StatusOK, http.Header{"Content-Type": {"text/plain"}}, []byte(`OK`)},
		"a field": {http.StatusOK, http.Header{"Content-Type": {"application/json"}},
			[]byte(`{"newlyCreated":{"cost":1}}`)},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://localhost/v1/blobs", nil)
		if err != nil {
			t.Fatal(err)
		}
		if d.validate(req, a) == nil {
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
