//go:build unix

package wallet

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestLoadPipe: Load of a pipe does not wait for a writer.
func TestLoadPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(pipe); !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("got %v, want ErrFile", err)
	}
}
