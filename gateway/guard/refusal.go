package guard

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Domains of reasons, as in the original.
const (
	domainGlobal = "global"
	domainAuth   = "auth.publisher.walrus.space"
	domainDaemon = "daemon.walrus.space"
)

// Refusal says why a request is refused or cut off. It is both an error and the handler that answers with it.
type Refusal struct {
	// Code is the HTTP status.
	Code int
	// Status is the AIP-193 class of the error, Reason the cause for programs, Domain the namespace of the reason.
	Status, Reason, Domain string
	// Message tells people what is wrong and what to do. It repeats nothing that the client sent.
	Message string
	// Retry is the wait before another attempt makes sense; 0: unknown.
	Retry time.Duration

	challenge string // WWW-Authenticate
}

func (f *Refusal) Error() string { return f.Message }

// ServeHTTP answers with the refusal, in the original's error form.
func (f *Refusal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	type detail struct {
		Type     string            `json:"@type"`
		Reason   string            `json:"reason"`
		Domain   string            `json:"domain"`
		Metadata map[string]string `json:"metadata"`
	}
	type status struct {
		Status  string   `json:"status"`
		Code    int      `json:"code"`
		Message string   `json:"message"`
		Details []detail `json:"details"`
	}
	body, err := json.Marshal(struct {
		Error status `json:"error"`
	}{status{f.Status, f.Code, f.Message, []detail{{"ErrorInfo", f.Reason, f.Domain, map[string]string{}}}}})
	if err != nil {
		panic(err) // strings and numbers
	}
	h := w.Header()
	if f.challenge != "" {
		h.Set("WWW-Authenticate", f.challenge)
	}
	writeAll(w, r, f.Code, "application/json", f.Retry, body)
}

// writeAll writes a whole body that caches must not keep: a request refused now may be accepted a moment later.
func writeAll(w http.ResponseWriter, r *http.Request, code int, contentType string, retry time.Duration, body []byte) {
	h := w.Header()
	for _, k := range []string{"ETag", "Content-Encoding", "Content-Disposition", "Last-Modified",
		"Accept-Ranges", "Content-Range"} {
		h.Del(k)
		delete(h, strings.ToLower(k)) // a handler may have set the header in another spelling
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	if retry > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((retry+time.Second-1)/time.Second), 10))
	}
	w.WriteHeader(code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that has left needs no answer
	}
}

// tooMany returns the refusal for a limit that was reached.
func tooMany(reason, domain, message string, retry time.Duration) *Refusal {
	return &Refusal{Code: http.StatusTooManyRequests, Status: "RESOURCE_EXHAUSTED", Reason: reason, Domain: domain,
		Message: message, Retry: retry}
}
