package walrus_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPageProgram builds and runs the program printed in docs/go-client.md.
func TestPageProgram(t *testing.T) {
	if testing.Short() {
		t.Skip("it links a program")
	}
	page, err := os.ReadFile("docs/go-client.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```go\n")
	source, _, ok := strings.Cut(rest, "```")
	if !ok || !strings.HasPrefix(source, "package main") {
		t.Fatal("docs/go-client.md has no program")
	}
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	program := filepath.Join(dir, "keep")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program,
		write("main.go", source)).CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	text := "kept by the program of the page\n"
	out, err := exec.CommandContext(t.Context(), program, clientFile, write("note.txt", text)).CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), text) || !strings.Contains(string(out), "kept until epoch") {
		t.Errorf("%v\n%s", err, out)
	}
}
