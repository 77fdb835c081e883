package guard

import (
	"context"
	"crypto/rand"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
)

// headerRequestID is the name under which proxies know a request.
const headerRequestID = "X-Request-Id"

// visit is what the guard keeps about a request. It belongs to the goroutine that serves the request.
type visit struct {
	id    string // request ID
	ip    string // of the client
	class class
	start time.Time
	rec   *recorder
	body  *counter

	route  string  // pattern; "" until, or unless, a router matched
	claims *claims // of the token; nil without
	owner  string  // key that the request is charged to; "" when it writes nothing
}

type visitKey struct{}

// visited is the visit of a request. A request that did not come through the guard has none.
func visited(ctx context.Context) *visit {
	v, _ := ctx.Value(visitKey{}).(*visit)
	return v
}

// RequestID is the name of the request in logs, which its client is told too. Empty outside of a guarded request.
func RequestID(ctx context.Context) string {
	if v := visited(ctx); v != nil {
		return v.id
	}
	return ""
}

// visit opens the file on a request.
func (g *Guard) visit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{id: r.Header.Get(headerRequestID), ip: g.proxies.client(r), class: classify(r), start: time.Now()}
		if !sane(v.id) {
			v.id = rand.Text()
		}
		w.Header().Set(headerRequestID, v.id)
		v.rec = &recorder{writer: writer{w}}
		r = r.WithContext(context.WithValue(r.Context(), visitKey{}, v))
		v.body = &counter{}
		if hasBody(r) {
			v.body.ReadCloser = r.Body
			r.Body = v.body
		}
		next.ServeHTTP(v.rec, r)
	})
}

// sane reports whether a request ID may go into logs and headers as it came.
func sane(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// Route tells the guard the pattern that a router matched. It goes into the router itself, before its routes:
// mux.Use(guard.Route).
func Route(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v := visited(r.Context()); v != nil {
			// Only what the router has written down when the handler is done is the whole pattern.
			defer func() { //nolint:contextcheck // it has the request's
				if pattern := chi.RouteContext(r.Context()).RoutePattern(); pattern != "" {
					v.route = pattern
				}
			}()
		}
		next.ServeHTTP(w, r)
	})
}
