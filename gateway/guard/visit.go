package guard

import (
	"context"
	"crypto/rand"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
)

// headerRequestID carries the request ID between proxies.
const headerRequestID = "X-Request-Id"

// visit is the guard's data about a request. It belongs to the goroutine that serves the request.
type visit struct {
	id    string // request ID
	ip    string // of the client
	class class
	start time.Time
	rec   *recorder
	body  *counter

	route  string  // route pattern; "" until a router has matched
	claims *claims // of the token; nil without
	owner  string  // the key that is charged for the request; "" if it writes nothing

	invalid bool // it failed because of an invalid blob
}

type visitKey struct{}

// visited returns the visit of a request, nil if the request did not pass the guard.
func visited(ctx context.Context) *visit {
	v, _ := ctx.Value(visitKey{}).(*visit)
	return v
}

// RequestID returns the ID of the request, as it appears in logs and in the response. Empty outside of a guarded
// request.
func RequestID(ctx context.Context) string {
	if v := visited(ctx); v != nil {
		return v.id
	}
	return ""
}

// NoteInvalid counts a request that failed because a blob is invalid.
func NoteInvalid(ctx context.Context) {
	if v := visited(ctx); v != nil {
		v.invalid = true
	}
}

// visit starts the visit of a request.
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

// sane reports whether a received request ID is safe for logs and headers.
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

// Route records for the guard the pattern that a router matched. Install it in the router, before its routes:
// mux.Use(guard.Route).
func Route(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v := visited(r.Context()); v != nil {
			// The pattern is complete only when the handler is done.
			defer func() { //nolint:contextcheck // the request's context is used
				if pattern := chi.RouteContext(r.Context()).RoutePattern(); pattern != "" {
					v.route = pattern
				}
			}()
		}
		next.ServeHTTP(w, r)
	})
}
