package pages

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed assets
var assetFiles embed.FS

// assets holds the files that pages load, by name.
type assets map[string]asset

type asset struct {
	content string
	kind    string
	version string // hash of the content
}

// assetKinds maps file extensions to media types: the system's table may differ.
var assetKinds = map[string]string{
	".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
	".txt": "text/plain; charset=utf-8",
}

func loadAssets() (assets, error) {
	list, err := assetFiles.ReadDir("assets")
	if err != nil {
		return nil, err
	}
	all := assets{}
	for _, e := range list {
		b, err := assetFiles.ReadFile("assets/" + e.Name())
		if err != nil {
			return nil, err
		}
		kind, ok := assetKinds[path.Ext(e.Name())]
		if !ok {
			return nil, fmt.Errorf("asset %s: unknown type", e.Name())
		}
		sum := sha256.Sum256(b)
		all[e.Name()] = asset{string(b), kind, hex.EncodeToString(sum[:8])}
	}
	return all, nil
}

// url returns the URL of an asset. It changes with the content, so caches may keep the asset forever.
func (a assets) url(name string) (string, error) {
	f, ok := a[name]
	if !ok {
		return "", fmt.Errorf("there is no asset %s", name)
	}
	return "/explorer/assets/" + name + "?v=" + f.version, nil
}

func (s *site) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	f, ok := s.assets[name]
	if !ok {
		s.nothing(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("ETag", `"`+f.version+`"`)
	h.Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == f.version {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, name, time.Time{}, strings.NewReader(f.content))
}

// favicon serves the icon that browsers request by themselves.
func (s *site) favicon(w http.ResponseWriter, r *http.Request) {
	url, err := s.assets.url("icon.svg")
	if err != nil {
		s.nothing(w, r)
		return
	}
	http.Redirect(w, r, url, http.StatusFound)
}
