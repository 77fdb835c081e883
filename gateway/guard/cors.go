package guard

import (
	"net/http"
	"slices"
	"strings"
)

// exposed are the headers that scripts of other origins may read.
const exposed = "ETag, Content-Length, Content-Range, Accept-Ranges, Content-Disposition, Location, Retry-After, WWW-Authenticate, X-Request-Id, " +
	"X-Quilt-Patch-Identifier, X-Walrus-Streaming, Walrus-Owner-Token, " +
	"Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Upload-Offset, Upload-Length, Upload-Metadata, Upload-Expires, Upload-Defer-Length"

// cors lets scripts of any origin ask, without credentials, as the original does: its values to the letter. The allowance
// is on every answer, whether or not the request names an origin, so that answers do not vary and caches keep one.
func cors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			h.Set("Access-Control-Expose-Headers", exposed)
			next.ServeHTTP(w, r)
			return
		}
		h.Set("Access-Control-Allow-Methods", "*")
		h.Set("Access-Control-Allow-Headers", "*")
		if asksFor(r, "Authorization") {
			h.Set("Access-Control-Allow-Headers", "*, Authorization") // the Fetch standard: the star does not cover it
		}
		h.Set("Access-Control-Max-Age", "86400")
		h.Set("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
		h.Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
	})
}

func asksFor(r *http.Request, header string) bool {
	names := strings.Split(r.Header.Get("Access-Control-Request-Headers"), ",")
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(strings.TrimSpace(n), header) })
}
