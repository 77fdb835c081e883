package pages

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// plain lists the subjects that have JSON here, and pages of their own kind.
func (s *site) plain() []subject {
	return []subject{
		{path: "network", ask: func(r *http.Request) (any, error) { return s.data.Network(r.Context()) }},
		{path: "nodes/{key}", ask: func(r *http.Request) (any,
			error) {
			return s.data.Node(r.Context(), r.PathValue("key"))
		}},
		{path: "blobs/{id}", ask: func(r *http.Request) (any, error) { return byText(r, "id", s.data.Blob) }},
		{path: "price", ask: s.askPrice},
	}
}

func (s *site) askPrice(r *http.Request) (any, error) {
	q := r.URL.Query()
	size, err := strconv.ParseUint(q.Get("size"), 10, 64)
	if err != nil {
		return nil, malformed{fmt.Errorf("size=%.40q: must be a number of bytes", q.Get("size"))}
	}
	epochs, err := parseEpochs(q.Get("epochs"))
	if err != nil {
		return nil, malformed{err}
	}
	p, err := s.data.Price(r.Context(), size, epochs)
	if err != nil {
		return nil, err
	}
	said := *p
	said.EndText = timeText(p.End)
	return &said, nil
}

// parseEpochs reads a number of epochs; an empty text means 1.
func parseEpochs(text string) (uint32, error) {
	if text == "" {
		return 1, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("epochs=%.40q: must be a number from 1", text)
	}
	return uint32(n), nil
}

func (s *site) apiNothing(w http.ResponseWriter, r *http.Request) {
	s.answer(w, r, nil, fmt.Errorf("%w: the API has no %.100s", ErrNotFound, r.URL.Path))
}

// apiError is the body of an error, in the gateway's form (AIP-193).
type apiError struct {
	Error apiStatus `json:"error"`
}

type apiStatus struct {
	Status  string `json:"status"`
	Code    int    `json:"code"`
	Message string `json:"message"`
	Details []any  `json:"details"`
}

// answer writes v as JSON, or err.
func (s *site) answer(w http.ResponseWriter, r *http.Request, v any, err error) {
	status := http.StatusOK
	if err != nil {
		p := problemOf(err)
		status = p.Status
		v = apiError{apiStatus{Status: p.class, Code: status, Message: err.Error(), Details: []any{}}}
	}
	b, err := json.Marshal(v)
	if err != nil {
		s.log.Error("rendering a JSON answer failed", "path", r.URL.Path, "err", err)
		http.Error(w, "the answer could not be rendered", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b) // a reader who has left needs no answer
	}
}
