package guard

import (
	"net/http"
	"strings"
)

// The role of a new upload in a tus concatenation.
const (
	wholeUpload = iota
	partialUpload
	finalUpload
)

// concat reads the Upload-Concat of a new upload. The IETF draft, announced by its own header, has no concatenation:
// there the header is ignored, and the handler refuses a request with both.
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
