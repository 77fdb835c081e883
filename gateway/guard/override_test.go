package guard

import (
	"io"
	"net/http"
	"testing"
)

// TestOverride: a method in a header counts on resumable uploads only, and there for tokens and limits like the real
// one.
func TestOverride(t *testing.T) {
	const one = uploads + "/24e533e02ec3bc40c387f1a0e460e216"
	for _, tt := range []struct {
		method, path, override string
		code                   int
		seen                   string // as the handler sees it
	}{
		{"POST", one, "PATCH", 200, "PATCH"}, // continuing an upload needs no token
		{"POST", one, "DELETE", 200, "DELETE"},
		{"POST", one, "HEAD", 200, "HEAD"},
		{"GET", one, "PATCH", 200, "PATCH"},
		{"POST", one, "", 401, ""},
		{"GET", uploads, "POST", 401, ""},
		{"OPTIONS", uploads, "POST", 401, ""},
		{"HEAD", uploads, "POST", 401, ""},
		{"PATCH", one, "PUT", 401, ""},
		{"GET", one, "BREW", 401, ""},
		{"POST", "/v1/blobs/x", "GET", 401, ""},
		{"PUT", "/v1/blobs", "OPTIONS", 401, ""},
		{"GET", "/v1/blobs/x", "PUT", 200, "GET"},
		{"GET", uploads + "x", "POST", 200, "GET"},
	} {
		seen := ""
		h := newGuard(t, withJWT(nil)).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen = r.Method
			if below(r.URL.Path, uploads) && r.Header.Get("X-HTTP-Method-Override") != "" {
				t.Error("the header is still there for others to act upon")
			}
			w.Header().Set("Content-Length", "4")
			_, _ = io.WriteString(w, "body")
		}))
		w := do(h, request(tt.method, tt.path, "", "X-HTTP-Method-Override", tt.override))
		if w.Code != tt.code || seen != tt.seen {
			t.Errorf("%s %s with %q: %d, handled as %q", tt.method, tt.path, tt.override, w.Code, seen)
		}
		if tt.override == "HEAD" && (w.Body.Len() > 0 || w.Header().Get("Content-Length") != "") {
			t.Errorf("%s %s as HEAD: %q, %v", tt.method, tt.path, w.Body, w.Header())
		}
	}
}
