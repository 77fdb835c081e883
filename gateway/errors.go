package gateway

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// ErrorBody is the body of every error, in the form of AIP-193 as in the original.
type ErrorBody struct {
	Status ErrorStatus `json:"error"`
}

// ErrorStatus holds an error's code, status, message and details.
type ErrorStatus struct {
	Status  string        `json:"status" example:"NOT_FOUND" doc:"Class of the error; it determines the HTTP status."`
	Code    int           `json:"code" example:"404" doc:"The HTTP status."`
	Message string        `json:"message" example:"the requested blob ID does not exist on Walrus" doc:"What went wrong and what to do, in words."`
	Details []ErrorDetail `json:"details" nullable:"false"`
}

// ErrorDetail adds detail to an error.
type ErrorDetail struct {
	Type     string            `json:"@type" example:"ErrorInfo" doc:"Always ErrorInfo."`
	Reason   string            `json:"reason" example:"BLOB_NOT_FOUND" doc:"What went wrong, as a constant for programs."`
	Domain   string            `json:"domain" example:"daemon.walrus.space" doc:"The namespace of the reason."`
	Metadata map[string]string `json:"metadata"`
}

// Error returns the message. With GetStatus it lets huma write an ErrorBody for errors that it finds itself.
func (e *ErrorBody) Error() string { return e.Status.Message }

// GetStatus returns the HTTP status.
func (e *ErrorBody) GetStatus() int { return e.Status.Code }

// Domains of reasons.
const (
	domainGlobal  = "global"
	domainStorage = "storage.walrus.space"
	domainDaemon  = "daemon.walrus.space"
)

// failure is an error in the form sent to clients.
type failure struct {
	code    int
	status  string // error class of AIP-193
	reason  string
	domain  string
	message string
	retry   int    // seconds for Retry-After; 0: no header
	ranges  string // Content-Range, for 416
	// challenge is WWW-Authenticate, for 401
	challenge string
}

func (f *failure) Error() string { return f.message }

func (f *failure) body() *ErrorBody {
	info := ErrorDetail{Type: "ErrorInfo", Reason: f.reason, Domain: f.domain, Metadata: map[string]string{}}
	return &ErrorBody{ErrorStatus{Status: f.status, Code: f.code, Message: f.message, Details: []ErrorDetail{info}}}
}

// text returns the response body.
func (f *failure) text() string {
	b, err := json.Marshal(f.body())
	if err != nil {
		panic(err) // strings and numbers
	}
	return string(b)
}

// write answers with the failure. It removes headers that were prepared for success.
func (f *failure) write(w http.ResponseWriter, head bool) {
	body := f.text()
	h := w.Header()
	for _, k := range []string{"ETag", "Content-Encoding", "Content-Disposition", "Last-Modified",
		"Accept-Ranges", "Content-Range"} {
		h.Del(k)
	}
	delete(h, bareETag)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store") // what is missing now may exist a moment later
	if f.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(f.retry))
	}
	if f.ranges != "" {
		h.Set("Content-Range", f.ranges)
	}
	if f.code == http.StatusRequestEntityTooLarge || f.code == http.StatusRequestTimeout {
		h.Set("Connection", "close") // do not wait for the rest of the body
	}
	if f.challenge != "" {
		h.Set("WWW-Authenticate", f.challenge)
	}
	w.WriteHeader(f.code)
	if !head {
		_, _ = io.WriteString(w, body) //nolint:gosec // JSON, said to be that; and a client that has left needs no answer
	}
}

func invalid(reason, message string) *failure {
	return &failure{code: http.StatusBadRequest, status: "INVALID_ARGUMENT", reason: reason,
		domain: domainDaemon, message: message}
}

// malformed returns the failure for a request of wrong form, for which the original has no reason.
func malformed(message string) *failure {
	f := invalid("MALFORMED_REQUEST", message)
	f.domain = domainGlobal
	return f
}

// statusNames gives the AIP-193 class of failures that come without one.
var statusNames = map[int]string{
	http.StatusBadRequest: "INVALID_ARGUMENT", http.StatusUnauthorized: "UNAUTHENTICATED",
	http.StatusForbidden: "PERMISSION_DENIED",
	http.StatusNotFound:  "NOT_FOUND", http.StatusMethodNotAllowed: "UNIMPLEMENTED",
	http.StatusRequestEntityTooLarge: "SIZE_EXCEEDED",
	http.StatusTooManyRequests:       "RESOURCE_EXHAUSTED", http.StatusServiceUnavailable: "UNAVAILABLE",
	http.StatusGatewayTimeout: "DEADLINE_EXCEEDED",
}

// humaError converts errors that huma finds itself: unknown or malformed parameters. It does not repeat the request's
// content.
func humaError(status int, msg string, errs ...error) huma.StatusError {
	for _, err := range errs {
		var detail *huma.ErrorDetail
		switch {
		case errors.As(err, &detail):
			msg += ": " + strings.TrimSuffix(detail.Location+": ", ": ") + ": " + detail.Message
		case err != nil:
			msg += ": " + err.Error()
		}
	}
	msg = shorten(strings.TrimPrefix(msg, "validation failed: "))
	if status == http.StatusUnprocessableEntity {
		status = http.StatusBadRequest
	}
	name := statusNames[status]
	if name == "" {
		name = "INTERNAL"
	}
	f := &failure{code: status, status: name, reason: "MALFORMED_REQUEST", domain: domainGlobal, message: msg}
	return f.body()
}

// shorten bounds the part of a request that a message repeats.
func shorten(s string) string { return cut(s, 300) }

// cut cuts a text of more than limit bytes.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
