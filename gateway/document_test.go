package gateway_test

import (
	"net/http"
	"os"
	"testing"
)

// TestDocument serves the document in its forms. With WALRUS_WRITE_API set to a path it is written there, for linters.
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
	}
	if path := os.Getenv("WALRUS_WRITE_API"); path != "" {
		a := do(t, http.MethodGet, s.URL+"/openapi.json", nil)
		if err := os.WriteFile(path, a.body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
