package pages

import (
	"errors"
	"net/http"
	"strconv"
)

// retryAfter is how many seconds a client is told to wait when the network, not its request, is at fault.
const retryAfter = 5

// malformed is an error that the request is to blame for.
type malformed struct{ error }

func (m malformed) Unwrap() error { return m.error }

// problem is what a page says when there is nothing to show.
type problem struct {
	Status  int
	class   string // by AIP-193
	Heading string
	Message string
	Advice  string
	retry   int // seconds; 0: do not say
}

// Refusal is an answer of Data that is to be passed on as it is.
type Refusal struct {
	Status  int    // of HTTP
	Class   string // of AIP-193
	Message string // for people
	Retry   int    // seconds after which to try again; 0: do not say
}

func (r *Refusal) Error() string { return r.Message }

// problemOf is what err means to who asked.
func problemOf(err error) problem {
	var bad malformed
	var refused *Refusal
	switch {
	case errors.Is(err, ErrNotFound):
		return problem{Status: http.StatusNotFound, class: "NOT_FOUND", Heading: "Not found", Message: err.Error(), Advice: "Check the spelling: blob IDs tell upper case from lower case."}
	case errors.Is(err, errTooLarge):
		return problem{Status: http.StatusRequestEntityTooLarge, class: "SIZE_EXCEEDED", Heading: "The file is too large", Message: err.Error(), Advice: "This gateway takes smaller files only. The command line has no such limit."}
	case errors.As(err, &bad), errors.Is(err, ErrRange):
		return problem{Status: http.StatusBadRequest, class: "INVALID_ARGUMENT", Heading: "That cannot be read", Message: err.Error()}
	case errors.As(err, &refused):
		return problem{Status: refused.Status, class: refused.Class, Heading: "Refused", Message: refused.Message, retry: refused.Retry}
	}
	return problem{Status: http.StatusServiceUnavailable, class: "UNAVAILABLE", Heading: "The network does not say", Message: err.Error(), Advice: "Try again in a few seconds.", retry: retryAfter}
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

// nothing is the page of what is no page.
func (s *site) nothing(w http.ResponseWriter, r *http.Request) {
	p := problem{Status: http.StatusNotFound, Heading: "There is no such page", Message: "Nothing is served at this address.", Advice: "Search above, or begin with the network."}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		p = problem{Status: http.StatusMethodNotAllowed, Heading: "That cannot be done here", Message: "This address is for reading."}
	}
	s.refuse(w, r, p, "")
}

// sameOrigin refuses forms that other sites send.
func (s *site) sameOrigin(next http.Handler) http.Handler {
	p := http.NewCrossOriginProtection()
	p.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, problem{Status: http.StatusForbidden, Heading: "Another site sent this", Message: "Uploads are taken from this gateway's own page only."}, "")
	}))
	return p.Handler(next)
}
