package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"

	"walrus/gateway/pages"
)

// addDocument serves the API's document, which must be complete by now, and a page that shows it.
func (g *Gateway) addDocument(api huma.API, mux *chi.Mux) error {
	describeGuard(api)
	doc := api.OpenAPI()
	asJSON, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return fmt.Errorf("write the API document: %w", err)
	}
	asYAML, err := doc.YAML()
	if err != nil {
		return fmt.Errorf("write the API document: %w", err)
	}
	for _, base := range []string{"/openapi", "/v1/api/openapi"} {
		serveFixed(mux, base+".json", "application/openapi+json", asJSON)
		serveFixed(mux, base+".yaml", "application/openapi+yaml", asYAML)
	}
	page, err := documentPage(doc, &pages.Config{Publisher: g.cfg.Publisher, Pins: g.cfg.Pins, Monitor: g.cfg.Monitor})
	if err != nil {
		return err
	}
	serveFixed(mux.With(pages.Secured), "/v1/api", "text/html; charset=utf-8", page)
	return nil
}

// describeGuard adds the guard's possible answers to every operation.
func describeGuard(api huma.API) {
	busy := problem(api, "This client has reached its quota, or the gateway is busy; try again after Retry-After.")
	busy.Content["text/plain"] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	for _, item := range api.OpenAPI().Paths {
		for _, op := range operations(item) {
			all := responses{http.StatusMisdirectedRequest: problem(api, "The gateway does not answer to this host name.")}
			if slices.Contains(op.Tags, tagRead) || slices.Contains(op.Tags, tagStore) {
				all[http.StatusTooManyRequests] = busy
			}
			if slices.Contains(op.Tags, tagStore) {
				all[http.StatusUnauthorized] = problem(api, "This publisher requires a token or a known API key.")
				all[http.StatusForbidden] = problem(api, "The token does not allow this request.")
			}
			for status, res := range all.document() {
				if op.Responses[status] == nil {
					op.Responses[status] = res
				}
			}
		}
	}
}

// serveFixed serves a body that does not change while the gateway runs.
func serveFixed(mux chi.Router, path, contentType string, body []byte) {
	h := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		if r.Method != http.MethodHead {
			_, _ = w.Write(body)
		}
	}
	mux.Get(path, h)
	mux.Head(path, h)
}
