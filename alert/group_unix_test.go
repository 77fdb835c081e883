//go:build unix

package alert

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestCommandIsKilled ends a command with the process that it has started, which holds a pipe open.
func TestCommandIsKilled(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "alive")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := command{[]string{script(t, "(echo started; exec sleep 1000) > "+fifo+" & wait")}}
	done := make(chan error, 1)
	go func() { done <- cmd.send(ctx, testAlert(t)) }()
	alive, err := os.Open(fifo) // waits for the writer
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	word := make([]byte, len("started"))
	if _, err := io.ReadFull(alive, word); err != nil || string(word) != "started" {
		t.Fatal(string(word), err)
	}
	cancel()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "killed") {
		t.Error(err)
	}
	if _, err := io.ReadAll(alive); err != nil { // ends when nobody holds the pipe any more
		t.Error(err)
	}
}
