package gateway

import (
	"net/http"
	"time"
)

// timedWriter gives every response a deadline from its first byte on. What takes longer moves it on as it goes.
type timedWriter struct {
	http.ResponseWriter
	stall time.Duration
	begun bool
}

// newTimedWriter also takes off the deadline that an earlier response on the same connection may have left.
func newTimedWriter(w http.ResponseWriter, stall time.Duration) *timedWriter {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // a test's recorder has none
	return &timedWriter{ResponseWriter: w, stall: stall}
}

func (t *timedWriter) begin() {
	if !t.begun {
		t.begun = true
		_ = http.NewResponseController(t.ResponseWriter).SetWriteDeadline(time.Now().Add(t.stall))
	}
}

// WriteHeader is that of http.ResponseWriter.
func (t *timedWriter) WriteHeader(code int) {
	t.begin()
	t.ResponseWriter.WriteHeader(code)
}

// Write is that of http.ResponseWriter.
func (t *timedWriter) Write(p []byte) (int, error) {
	t.begin()
	return t.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (t *timedWriter) Unwrap() http.ResponseWriter { return t.ResponseWriter }
