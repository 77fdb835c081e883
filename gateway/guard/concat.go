package guard

import (
	"net/http"
	"strings"
)

// How a new upload takes part in a concatenation, by tus.
const (
	wholeUpload = iota
	partialUpload
	finalUpload
)

// concat reads the Upload-Concat of a new upload. The IETF's draft, which its own header announces, does not know it: there it means nothing, and
// the handler refuses a request with both.
func concat(r *http.Request) int {
	if !below(r.URL.Path, uploads) || r.Header.Get("Upload-Draft-Interop-Version") != "" {
		return wholeUpload
	}
	switch v := r.Header.Get("Upload-Concat"); {
	case v == "partial":
		return partialUpload
	case strings.HasPrefix(v, "final;"):
		return finalUpload
	}
	return wholeUpload
}
