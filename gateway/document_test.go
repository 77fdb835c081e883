package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

// TestDocument serves the document in its forms. If WALRUS_WRITE_API is a path, it writes the document there, for
// linters.
func TestDocument(t *testing.T) {
	s := serve(t, nil)
	for path, kind := range map[string]string{
		"/openapi.json": "application/openapi+json", "/openapi.yaml": "application/openapi+yaml",
		"/v1/api/openapi.json": "application/openapi+json", "/v1/api/openapi.yaml": "application/openapi+yaml",
		"/v1/api": "text/html; charset=utf-8",
	} {
		a := do(t, http.MethodGet, s.URL+path, nil)
		if a.code != http.StatusOK || a.header.Get("Content-Type") != kind || len(a.body) < 500 {
			t.Errorf("%s: %d, %s, %d bytes", path, a.code, a.header.Get("Content-Type"), len(a.body))
		}
		if csp := a.header.Get("Content-Security-Policy"); path == "/v1/api" &&
			!strings.HasPrefix(csp, "default-src 'none'; script-src 'self'") {
			t.Errorf("%s: policy %q", path, csp)
		}
	}
	if path := os.Getenv("WALRUS_WRITE_API"); path != "" {
		a := do(t, http.MethodGet, s.URL+"/openapi.json", nil)
		if err := os.WriteFile(path, a.body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDocumentedAsAnswered: requests that violate the document get the status it names, and requests that follow it do
// not.
func TestDocumentedAsAnswered(t *testing.T) {
	s := serve(t, nil)
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters []struct {
				Name     string
				Required bool
				Schema   struct {
					Enum    []any
					Pattern string
				}
			}
			RequestBody struct {
				Content map[string]struct{ Schema struct{ MinProperties int } }
			}
			Responses map[string]any
		}
	}
	if err := json.Unmarshal(do(t, http.MethodGet, s.URL+"/openapi.json", nil).body, &doc); err != nil {
		t.Fatal(err)
	}
	const one = "/v1/uploads/{upload_id}"
	upload := begin(t, s.URL, 10, "")
	for _, tt := range []struct {
		method, path, header, pattern string
		required                      bool
		without                       []string // a request without one required header
		code                          int
	}{
		{"post", "/v1/uploads", "Tus-Resumable", "", true, []string{"Upload-Length", "1"}, 412},
		{"post", "/v1/uploads", "Upload-Length", "^[0-9]{1,18}$", false, []string{"Tus-Resumable", "1.0.0"}, 400},
		{"patch", one, "Tus-Resumable", "", true,
			[]string{"Upload-Offset", "0", "Content-Type", "application/offset+octet-stream"}, 412},
		{"patch", one, "Upload-Offset", "^[0-9]{1,18}$", true,
			[]string{"Tus-Resumable", "1.0.0", "Content-Type", "application/offset+octet-stream"}, 400},
		{"delete", one, "Tus-Resumable", "", true, nil, 412},
	} {
		op := doc.Paths[tt.path][tt.method]
		found := false
		for _, p := range op.Parameters {
			if p.Name == tt.header {
				found = true
				if p.Required != tt.required || p.Schema.Pattern != tt.pattern || tt.pattern == "" && len(p.Schema.Enum) != 1 {
					t.Errorf("%s %s: %+v", tt.method, tt.path, p)
				}
			}
		}
		url := s.URL + tt.path
		if tt.path == one {
			url = upload
		}
		a := do(t, strings.ToUpper(tt.method), url, nil, tt.without...)
		if a.code != tt.code || !found || op.Responses[fmt.Sprint(a.code)] == nil {
			t.Errorf("%s %s without %s: %d, documented: %v", tt.method, tt.path, tt.header, a.code, found)
		}
	}
	form := doc.Paths["/v1/quilts"]["put"].RequestBody.Content["multipart/form-data"].Schema
	if a := do(t, http.MethodPut, s.URL+"/v1/quilts", strings.NewReader("--x--\r\n"), "Content-Type",
		"multipart/form-data; boundary=x"); a.code != http.StatusBadRequest || form.MinProperties != 1 {
		t.Errorf("an empty form: %d, described as %+v", a.code, form)
	}
}
