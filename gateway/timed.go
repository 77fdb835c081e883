package gateway

import (
	"net/http"
	"time"
)

// timedWriter gives every response a deadline from its first byte on. Longer responses extend it as they go.
type timedWriter struct {
	http.ResponseWriter
	stall time.Duration
	begun bool
}

// newTimedWriter also clears the deadline that an earlier response on the same connection may have left.
func newTimedWriter(w http.ResponseWriter, stall time.Duration) *timedWriter {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // test recorders have no deadlines
	return &timedWriter{ResponseWriter: w, stall: stall}
}

func (t *timedWriter) begin() {
	if !t.begun {
		t.begun = true
		_ = http.NewResponseController(t.ResponseWriter).SetWriteDeadline(time.Now().Add(t.stall))
	}
}

// WriteHeader implements http.ResponseWriter.
func (t *timedWriter) WriteHeader(code int) {
	t.begin()
	t.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (t *timedWriter) Write(p []byte) (int, error) {
	t.begin()
	return t.ResponseWriter.Write(p)
}

// Unwrap supports http.ResponseController.
func (t *timedWriter) Unwrap() http.ResponseWriter { return t.ResponseWriter }
