package gateway

import (
	"net/http"
	"strings"
)

// precondition decides a conditional GET or HEAD of content with this entity tag: 0 to proceed, 304 or 412. Conditions
// on modification dates are ignored, because blobs have none.
func precondition(r *http.Request, tag string) int {
	if match := r.Header.Values("If-Match"); len(match) > 0 && !anyTag(match, tag, false) {
		return http.StatusPreconditionFailed
	}
	if none := r.Header.Values("If-None-Match"); len(none) > 0 && anyTag(none, tag, true) {
		return http.StatusNotModified
	}
	return 0
}

// mayRange reports whether a partial response is allowed: If-Range is absent or matches.
func mayRange(r *http.Request, tag string) bool {
	if r.Header.Get("If-Range") == "" {
		return true
	}
	return matchTag(r.Header.Get("If-Range"), tag, false) // a date never matches
}

// anyTag looks for tag in lists of entity tags. Tags of blobs contain no commas.
func anyTag(lists []string, tag string, weak bool) bool {
	for _, list := range lists {
		for t := range strings.SplitSeq(list, ",") {
			t = strings.Trim(t, " \t")
			if t == "*" || matchTag(t, tag, weak) {
				return true
			}
		}
	}
	return false
}

// matchTag compares a request's tag, quoted or unquoted as in the original. Caches that compress make tags weak. weak
// accepts such tags: they are good enough where content is not combined from parts.
func matchTag(t, tag string, weak bool) bool {
	if weak {
		t = strings.TrimPrefix(t, "W/")
	}
	return t == tag || t == `"`+tag+`"`
}
