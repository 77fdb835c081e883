package guard

import "net/http"

// contentPolicy applies to users' content opened as a page. Such a page runs no scripts, sends no forms, and has no
// origin, so it has no access to the gateway's own pages. It may have styles, and show images, sound and video from
// this gateway. An image or video embedded in another page is under that page's policy instead.
const contentPolicy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; " +
	"font-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

// headers tells browsers what they may do with an answer. It sets the headers first, so that the handler of a page can
// override them. Content cannot, because its attributes never overwrite a header.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "SAMEORIGIN")
		h.Set("Referrer-Policy", "same-origin")
		if visited(r.Context()).class == read {
			h.Set("Content-Security-Policy", contentPolicy)
			h.Set("Cross-Origin-Resource-Policy", "cross-origin") // reads are public: other origins may embed them
			h.Set("Referrer-Policy", "no-referrer")
		}
		next.ServeHTTP(w, r)
	})
}
