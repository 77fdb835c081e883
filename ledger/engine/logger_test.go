package engine

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// A derived logger costs nothing until it writes a line; a written line has all its keys and values.
func TestLoggerWith(t *testing.T) {
	h := &counting{}
	l := newLogger(t.Context(), slog.New(h), nil)
	for i := range 100 {
		l.With("peer", i).With("height", i).Debug("no votes to send")
	}
	if h.made > 0 {
		t.Errorf("%d handlers were made for lines that were not written", h.made)
	}
	one := l.With("module", "consensus")
	one.With("peer", 1) // does not change one
	one.With("peer", 2).Error("bad vote", "height", 7)
	if got := h.text.String(); !strings.Contains(got, "msg=\"bad vote\" module=consensus peer=2 height=7") {
		t.Errorf("written: %q", got)
	}
}

// counting writes lines and counts the handlers made from it.
type counting struct {
	made int
	text strings.Builder
}

func (c *counting) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (c *counting) WithGroup(string) slog.Handler                    { return c }

func (c *counting) WithAttrs(attrs []slog.Attr) slog.Handler {
	c.made++
	return slog.NewTextHandler(&c.text, nil).WithAttrs(attrs)
}

func (c *counting) Handle(_ context.Context, r slog.Record) error {
	_, err := fmt.Fprintln(&c.text, r.Message)
	return err
}
