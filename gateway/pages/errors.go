package pages

import (
	"errors"
	"net/http"
	"strconv"
)

// retryAfter is the Retry-After, in seconds, when the network, not the request, is at fault.
const retryAfter = 5

// malformed marks an error that the request caused.
type malformed struct{ error }

func (m malformed) Unwrap() error { return m.error }

// problem describes an error as a page shows it.
type problem struct {
	Status  int
	class   string // error class of AIP-193
	Heading string
	Message string
	Advice  string
	retry   int // seconds; 0: no header
}

// Refusal is an error of Data to be passed on unchanged.
type Refusal struct {
	Status  int    // HTTP status
	Class   string // error class of AIP-193
	Message string // for people
	Retry   int    // seconds for Retry-After; 0: no header
}

func (r *Refusal) Error() string { return r.Message }

// problemOf converts err for readers.
func problemOf(err error) problem {
	var bad malformed
	var refused *Refusal
	switch {
	case errors.Is(err, ErrNotFound):
		return problem{Status: http.StatusNotFound, class: "NOT_FOUND", Heading: "Not found", Message: err.Error(),
			Advice: "Check the spelling: blob IDs tell upper case from lower case."}
	case errors.Is(err, errTooLarge):
		return problem{Status: http.StatusRequestEntityTooLarge, class: "SIZE_EXCEEDED", Heading: "The file is too large",
			Message: err.Error(), Advice: "This gateway accepts only smaller files. The command line has no such limit."}
	case errors.As(err, &bad), errors.Is(err, ErrRange):
		return problem{Status: http.StatusBadRequest, class: "INVALID_ARGUMENT", Heading: "Invalid request",
			Message: err.Error()}
	case errors.As(err, &refused):
		return problem{Status: refused.Status, class: refused.Class, Heading: "Refused", Message: refused.Message,
			retry: refused.Retry}
	}
	return problem{Status: http.StatusServiceUnavailable, class: "UNAVAILABLE", Heading: "The network does not answer",
		Message: err.Error(), Advice: "Try again in a few seconds.", retry: retryAfter}
}

// fail shows err as a page.
func (s *site) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.refuse(w, r, problemOf(err), "")
}

func (s *site) refuse(w http.ResponseWriter, r *http.Request, p problem, query string) {
	if p.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.retry))
	}
	s.show(w, r, p.Status, "error", view{Title: p.Heading, Query: query, Data: p})
}

// nothing answers requests for pages that do not exist.
func (s *site) nothing(w http.ResponseWriter, r *http.Request) {
	p := problem{Status: http.StatusNotFound, Heading: "There is no such page",
		Message: "Nothing is served at this address.", Advice: "Use the search above, or start from the network page."}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		p = problem{Status: http.StatusMethodNotAllowed, Heading: "Method not allowed", Message: "This address is read-only."}
	}
	s.refuse(w, r, p, "")
}

// sameOrigin refuses forms sent by other sites.
func (s *site) sameOrigin(next http.Handler) http.Handler {
	p := http.NewCrossOriginProtection()
	p.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, problem{Status: http.StatusForbidden, Heading: "Request from another site",
			Message: "Uploads are accepted only from this gateway's own page."}, "")
	}))
	return p.Handler(next)
}
