package client

import (
	"io"
	"os"
	"runtime"
	"testing"
)

func TestTempFileHasNoName(t *testing.T) {
	dir := t.TempDir()
	f, err := newTempFile(dir, "x-*")
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 && runtime.GOOS != "windows" {
		t.Errorf("in the folder: %v, %v", left, err)
	}
	if _, err := f.WriteAt([]byte("walrus"), 3); err != nil {
		t.Error(err)
	}
	if b, err := io.ReadAll(io.NewSectionReader(f, 3, 9)); string(b) != "walrus" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("after closing: %v, %v", left, err)
	}
}
