package gateway

import (
	"net/http"
	"strings"
)

// precondition decides a conditional GET or HEAD of content with this entity tag: 0 to go on, 304 or 412. There are no dates
// of modification, so that conditions on them do not hold it up.
func precondition(r *http.Request, tag string) int {
	if match := r.Header.Values("If-Match"); len(match) > 0 && !anyTag(match, tag, false) {
		return http.StatusPreconditionFailed
	}
	if none := r.Header.Values("If-None-Match"); len(none) > 0 && anyTag(none, tag, true) {
		return http.StatusNotModified
	}
	return 0
}

// mayRange says whether the client holds what it wants a part of, or did not ask for that to be checked.
func mayRange(r *http.Request, tag string) bool {
	if r.Header.Get("If-Range") == "" {
		return true
	}
	return matchTag(r.Header.Get("If-Range"), tag, false) // a date never matches
}

// anyTag looks for tag in lists of entity tags. Tags of blobs have no commas.
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

// matchTag compares a tag of a request, quoted or as the original sends it. Caches may have made it weak when they
// compressed; that is as good where content is not put together.
func matchTag(t, tag string, weak bool) bool {
	if weak {
		t = strings.TrimPrefix(t, "W/")
	}
	return t == tag || t == `"`+tag+`"`
}
