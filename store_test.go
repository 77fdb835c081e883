package walrus

import (
	"errors"
	"os"
	"strings"
	"testing"

	"walrus/internal/userfile"
)

// TestNoSource: storing nothing is an error, not a panic.
func TestNoSource(t *testing.T) {
	c := &Client{}
	if _, err := c.Store(t.Context(), nil, StoreOptions{}); err == nil ||
		!strings.Contains(err.Error(), "the source is nil") {
		t.Errorf("store: %v", err)
	}
	if _, err := c.StoreFS(t.Context(), nil, StoreOptions{}); err == nil ||
		!strings.Contains(err.Error(), "the file system is nil") {
		t.Errorf("store a folder: %v", err)
	}
}

// TestEndlessSource: a source that never ends is given up once it is larger than any blob, and leaves nothing.
func TestEndlessSource(t *testing.T) {
	zeros := readerFunc(func(p []byte) (int, error) { return len(p), nil })
	c := &Client{tempDir: t.TempDir(), largest: 2 * contentMemory}
	_, err := c.Store(t.Context(), zeros, StoreOptions{})
	var tooLong *userfile.TooLongError
	if !errors.As(err, &tooLong) || tooLong.Most != c.largest {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(c.tempDir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	k, err := c.spool(t.Context(), strings.NewReader(strings.Repeat("x", int(c.largest))))
	if err != nil || k.size != c.largest {
		t.Fatalf("the largest source: %v", err)
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
}
