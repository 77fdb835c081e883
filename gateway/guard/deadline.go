package guard

import (
	"context"
	"net/http"
)

// deadline ends the context of a request that takes too long. The handler then answers with an error.
func (g *Guard) deadline(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limit := g.cfg.Times.Other
		switch visited(r.Context()).class {
		case read:
			limit = g.cfg.Times.Read
		case write, resume, manage:
			limit = g.cfg.Times.Write
		}
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
