package guard

import (
	"net/http"
	"strings"
)

// class decides which permission a request needs and how long it may take.
type class int

const (
	other  class = iota // pages, documents, status
	read                // content of users: the aggregator's routes
	write               // costs the publisher something
	manage              // owners list and delete records with their own tokens; extending one is a write
	resume              // continues an upload that was admitted when it began
)

// uploads is the path of resumable uploads. The ID of an upload works like a password for it.
const uploads = "/v1/uploads"

// classify uses method and path only. Unknown routes get the stricter class: a request that is not known as a read is a
// write.
func classify(r *http.Request) class {
	path := r.URL.Path
	switch r.Method {
	case http.MethodOptions:
		return other
	case http.MethodGet, http.MethodHead:
		switch {
		case below(path, uploads):
			return other // the progress of an upload
		case below(path, "/v1/blobs"), below(path, "/v1/quilts"), below(path, "/v1alpha"):
			return read
		}
		return other
	case http.MethodPost:
		if path == "/v1alpha/blobs/concat" {
			return read // its body is only a list of IDs
		}
	case http.MethodPatch, http.MethodDelete:
		switch {
		case below(path, uploads):
			return resume
		case r.Method == http.MethodDelete && below(path, "/v1/blobs"):
			return manage
		}
	}
	return write
}

// below reports whether path is prefix or below it.
func below(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}
