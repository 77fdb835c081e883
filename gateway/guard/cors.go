package guard

import (
	"net/http"
	"slices"
	"strings"
)

// sent lists every header that the gateway's answers may have. Scripts of other origins may read all of them. A test
// fails when an answer has a header that is not in the list.
var sent = []string{
	"Accept-Ranges", "Allow", "Cache-Control", "Connection", "Content-Disposition", "Content-Encoding", "Content-Language",
	"Content-Length", "Content-Location", "Content-Range", "Content-Security-Policy", "Content-Type",
	"Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy", "Date", "ETag", "Link", "Location", "Referrer-Policy",
	"Retry-After", "Vary",
	"WWW-Authenticate", "X-Content-Type-Options", "X-Frame-Options", "X-Request-Id",
	// of this API
	"Walrus-Blob-Id", "Walrus-Owner-Token", "Walrus-Store-Result", "X-Quilt-Patch-Identifier",
	"X-Quilt-Patch-Identifier-Encoding", "X-Walrus-Streaming",
	// of resumable uploads: tus, and the IETF draft
	"Tus-Extension", "Tus-Max-Size", "Tus-Resumable", "Tus-Version", "Upload-Complete", "Upload-Concat",
	"Upload-Defer-Length",
	"Upload-Draft-Interop-Version", "Upload-Incomplete", "Upload-Length", "Upload-Limit",
	"Upload-Metadata", "Upload-Offset",
}

// alwaysReadable lists the headers that the Fetch standard always exposes.
var alwaysReadable = []string{"Cache-Control", "Content-Language", "Content-Length", "Content-Type", "Expires",
	"Last-Modified", "Pragma"}

// Sends reports whether scripts of other origins may read a header, in upper or lower case.
func Sends(header string) bool {
	same := func(k string) bool { return strings.EqualFold(k, header) }
	return slices.ContainsFunc(sent, same) || slices.ContainsFunc(alwaysReadable, same)
}

// exposed returns the value of Access-Control-Expose-Headers: sent and more, without alwaysReadable.
func exposed(more []string) string {
	var names []string
	for _, k := range slices.Concat(sent, more) {
		same := func(known string) bool { return strings.EqualFold(known, k) }
		if !slices.ContainsFunc(alwaysReadable, same) && !slices.ContainsFunc(names, same) {
			names = append(names, k)
		}
	}
	return strings.Join(names, ", ")
}

// cors lets scripts of any origin send requests, without credentials. Its values are exactly the original's. Every
// answer has the headers, even if the request names no origin, so that answers do not vary and caches keep one. The
// star allows every method and header that the gateway understands, except one header.
func (g *Guard) cors(next http.Handler) http.Handler {
	expose := exposed(g.cfg.Expose)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			h.Set("Access-Control-Expose-Headers", expose)
			next.ServeHTTP(w, r)
			return
		}
		h.Set("Access-Control-Allow-Methods", "*")
		h.Set("Access-Control-Allow-Headers", "*")
		if asksFor(r, "Authorization") {
			h.Set("Access-Control-Allow-Headers", "*, Authorization") // by the Fetch standard the star does not cover it
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
