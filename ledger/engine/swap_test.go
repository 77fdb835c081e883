package engine

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// The next start completes a swap that a crash interrupted. The write-ahead log stays exactly as long as its database
// may still be used.
func TestFinishSwap(t *testing.T) {
	for _, c := range []struct {
		name, want string // the database's content after the start
		dirs       []string
		log        bool // the write-ahead log is still there
		next       bool // nextDir is still there
	}{
		{name: "new", want: "", log: true},
		{name: "ordinary", dirs: []string{databaseDir}, want: databaseDir, log: true},
		{name: "half fetched", dirs: []string{databaseDir, nextDir}, want: databaseDir, log: true, next: true},
		{name: "between the renames", dirs: []string{lastDir, nextDir}, want: nextDir},
		{name: "before the last is gone", dirs: []string{databaseDir, lastDir}, want: databaseDir},
	} {
		dir := t.TempDir()
		for _, d := range append(c.dirs, walDir) {
			if err := errors.Join(os.Mkdir(filepath.Join(dir, d), 0o700),
				os.WriteFile(filepath.Join(dir, d, "name"), []byte(d), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		if err := finishSwap(dir); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		got, _ := os.ReadFile(filepath.Join(dir, databaseDir, "name"))
		if string(got) != c.want {
			t.Errorf("%s: the database is %q: want %q", c.name, got, c.want)
		}
		if _, err := os.Stat(filepath.Join(dir, walDir, "name")); (err == nil) != c.log {
			t.Errorf("%s: the write-ahead log: %v: want it kept: %v", c.name, err, c.log)
		}
		for d, want := range map[string]bool{nextDir: c.next, lastDir: false} {
			if _, err := os.Stat(filepath.Join(dir, d)); (err == nil) != want {
				t.Errorf("%s: %s: %v: want it there: %v", c.name, d, err, want)
			}
		}
	}
}

// If the new database cannot be put in place, the node keeps the old one and the write-ahead log.
func TestSwapFails(t *testing.T) {
	s := newFleet(t, nil, 1, nil)
	h := s.newHost(0)
	defer h.Close()
	n, err := New(s.config(0, h))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{lastDir, walDir} {
		if err := os.MkdirAll(filepath.Join(n.cfg.Dir, d, "in the way"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	root := n.View().Root()
	if err := n.swap(); err == nil {
		t.Error("it says that it succeeded")
	}
	if got := n.View().Root(); got != root {
		t.Errorf("root %s: want %s", got, root)
	}
	if _, err := os.Stat(filepath.Join(n.cfg.Dir, walDir)); err != nil {
		t.Errorf("the write-ahead log: %v", err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}
