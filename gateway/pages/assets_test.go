package pages

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// vendored lists third-party files, unchanged from their release: htmx.org 4.0.1 on npm.
var vendored = map[string]string{
	"htmx.min.js":      "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
	"htmx.LICENSE.txt": "d3d2456f76414f2456104660ebd65aff1c04cd7966b942bdabd63f3cdb316a38",
}

func TestVendored(t *testing.T) {
	for name, want := range vendored {
		b, err := assetFiles.ReadFile("assets/" + name)
		if err != nil {
			t.Error(err)
			continue
		}
		if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%s is not as it was published: sha256 %x", name, sum)
		}
	}
}

// TestAssets fetches the assets of each page and checks their types, caching and revalidation.
func TestAssets(t *testing.T) {
	h := newSite(t, newFixture())
	link := regexp.MustCompile(`(?:src|href)="(/explorer/assets/[^"]+)"`)
	seen := map[string]bool{}
	for _, path := range pagePaths() {
		for _, m := range link.FindAllStringSubmatch(get(t, h, path).Body.String(), -1) {
			seen[m[1]] = true
		}
	}
	if len(seen) < 7 {
		t.Errorf("only %d assets: %v", len(seen), seen)
	}
	for url := range seen {
		w := get(t, h, url)
		kind := w.Header().Get("Content-Type")
		name, _, _ := strings.Cut(url, "?")
		want := assetKinds[name[strings.LastIndexByte(name, '.'):]]
		if w.Code != http.StatusOK || kind != want || w.Body.Len() == 0 {
			t.Errorf("%s: status %d, type %q, %d bytes", url, w.Code, kind, w.Body.Len())
		}
		if cc := w.Header().Get("Cache-Control"); !strings.Contains(cc, "immutable") {
			t.Errorf("%s: Cache-Control %q", url, cc)
		}
		r := httptest.NewRequest(http.MethodGet, name, nil)
		r.Header.Set("If-None-Match", w.Header().Get("ETag"))
		again := httptest.NewRecorder()
		h.ServeHTTP(again, r)
		if again.Code != http.StatusNotModified || again.Body.Len() > 0 || again.Header().Get("Cache-Control") != "no-cache" {
			t.Errorf("%s again: status %d, Cache-Control %q", name, again.Code, again.Header().Get("Cache-Control"))
		}
	}
}
