package guard

import (
	"net/http"
	"strings"
)

// class of a request decides what it must show and how long it may take.
type class int

const (
	other  class = iota // pages, documents, status
	read                // content of users: the aggregator's routes
	write               // what costs the publisher something
	manage              // records, which their owners list and delete with tokens of their own; extending one is a write
	resume              // more of an upload that was let in when it began
)

// uploads is where resumable uploads live. The name of one below it is as good as a password for it.
const uploads = "/v1/uploads"

// classify goes by method and path alone, so that it errs to the safe side for routes it does not know: what is not a
// read is a write.
func classify(r *http.Request) class {
	path := r.URL.Path
	switch r.Method {
	case http.MethodOptions:
		return other
	case http.MethodGet, http.MethodHead:
		switch {
		case below(path, uploads):
			return other // how far an upload has come
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

// below reports whether path is prefix or in it.
func below(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}
