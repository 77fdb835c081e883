package pinapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"walrus/pin"
)

// Failure is an error of the API, as the specification has it: {"error":{"reason","details"}}.
type Failure struct {
	code    int
	Reason  string // for programs
	Details string // for people
}

func (f *Failure) Error() string { return f.Details }

// Code returns the HTTP status.
func (f *Failure) Code() int { return f.code }

// Is makes a failure received from a pinner equal to the error that caused it there.
func (f *Failure) Is(target error) bool {
	switch f.Reason {
	case reasonNotFound:
		return target == pin.ErrNotFound
	case reasonFull:
		return target == pin.ErrFull
	case reasonBad:
		return target == pin.ErrInvalid
	case reasonDamaged:
		return target == pin.ErrDamaged
	}
	return false
}

const (
	reasonBad      = "BAD_REQUEST"
	reasonNotFound = "NOT_FOUND"
	reasonFull     = "INSUFFICIENT_STORAGE"
	reasonDamaged  = "DAMAGED"
	reasonInternal = "INTERNAL_SERVER_ERROR"
)

func failed(code int, reason, details string) *Failure { return &Failure{code, reason, details} }

func badRequest(format string, args ...any) error {
	return failed(http.StatusBadRequest, reasonBad, fmt.Sprintf(format, args...))
}

// classify finds the status of an error. What is not the client's fault is not told in detail: it may name files.
func classify(err error) *Failure {
	var f *Failure
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, pin.ErrNotFound):
		return failed(http.StatusNotFound, reasonNotFound, err.Error())
	case errors.Is(err, pin.ErrInvalid):
		return failed(http.StatusBadRequest, reasonBad, err.Error())
	case errors.Is(err, pin.ErrFull): // 409 in the specification: what pays for pins has run out
		return failed(http.StatusConflict, reasonFull, err.Error())
	case errors.Is(err, pin.ErrDamaged):
		return failed(http.StatusInternalServerError, reasonDamaged, err.Error())
	case errors.Is(err, pin.ErrNoEpoch):
		return failed(http.StatusServiceUnavailable, "UNAVAILABLE", err.Error())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return failed(http.StatusServiceUnavailable, "UNAVAILABLE", "the pinner is stopping, or the request was cut off: ask again")
	}
	return failed(http.StatusInternalServerError, reasonInternal, "the pinner could not do it: its log has the reason")
}

type failureForm struct {
	Error struct {
		Reason  string `json:"reason"`
		Details string `json:"details,omitempty"`
	} `json:"error"`
}

func writeFailure(w http.ResponseWriter, f *Failure) {
	var form failureForm
	form.Error.Reason, form.Error.Details = f.Reason, f.Details
	writeJSON(w, f.code, form)
}

// writeJSON writes an answer; body nil means none. A client that has left needs no answer, so errors are dropped.
func writeJSON(w http.ResponseWriter, code int, body any) {
	if body == nil {
		w.WriteHeader(code)
		return
	}
	raw, err := json.Marshal(body)
	if err != nil { // only a bug can cause it
		http.Error(w, `{"error":{"reason":"`+reasonInternal+`"}}`, http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(raw)))
	w.WriteHeader(code)
	_, _ = w.Write(raw)
}
