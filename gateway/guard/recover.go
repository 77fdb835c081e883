package guard

import (
	"net/http"
	"runtime/debug"
)

// recoverer turns a panic into a response, or closes the connection if the response has begun.
func (g *Guard) recoverer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { //nolint:contextcheck // the request's context is used
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler { //nolint:errorlint // compared as net/http does
				panic(p)
			}
			v := visited(r.Context())
			g.log.Error("request panicked", "method", truncate(r.Method), "path", loggedPath(r.URL.Path),
				"request_id", v.id, "panic", p,
				"stack", string(debug.Stack()))
			if v.rec.status != 0 {
				panic(http.ErrAbortHandler)
			}
			f := &Refusal{Code: http.StatusInternalServerError, Status: "INTERNAL", Reason: "INTERNAL", Domain: domainGlobal,
				Message: "internal error of the gateway: its log has the details under request ID " + v.id}
			f.ServeHTTP(w, r)
		}()
		next.ServeHTTP(w, r)
	})
}
