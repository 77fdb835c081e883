package guard

import "net/http"

// contentPolicy is for what users have stored: such a page runs no script, sends no form, and is of no origin, and so
// cannot reach what the gateway's own pages can. It may look well and show pictures, sound and film from here. What is
// shown inside of another page, a picture or a film, is under that page's policy, not this one.
const contentPolicy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; " +
	"font-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

// headers tells browsers what they may do with an answer. They are set first, so that the handler of a page can have its
// own; content cannot, as its attributes never overwrite a header.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "SAMEORIGIN")
		h.Set("Referrer-Policy", "same-origin")
		if visited(r.Context()).class == read {
			h.Set("Content-Security-Policy", contentPolicy)
			h.Set("Cross-Origin-Resource-Policy", "cross-origin") // reads are public: other origins may show them
			h.Set("Referrer-Policy", "no-referrer")
		}
		next.ServeHTTP(w, r)
	})
}
