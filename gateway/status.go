package gateway

import (
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// addStatus adds the route that reports that the gateway is up.
func (g *Gateway) addStatus(api huma.API) {
	register(g, api, reading, huma.Operation{
		OperationID: "status", Method: http.MethodGet, Path: "/status", Tags: []string{tagService},
		Summary: "Check that the gateway is up", Description: "For load balancers and for people.",
		Responses: responses{
			http.StatusOK: {Description: "The gateway is up.",
				Content: map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: huma.TypeString,
					Enum: []any{"OK"}}}}},
			http.StatusBadRequest: problem(api, "The request is malformed."),
		}.document(),
	}, func(w http.ResponseWriter, _ *http.Request, _ *struct{}) error {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "OK")
		return nil
	})
}
