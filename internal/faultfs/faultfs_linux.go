package faultfs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
)

const serveVariable = "FAULTFS_SERVE"

// FS is a mounted file system. It is safe for concurrent use.
type FS struct {
	dir string

	mu  sync.Mutex
	enc *json.Encoder // guarded by mu
	dec *json.Decoder // guarded by mu
}

// Mount mounts an empty file system until the test ends. Close all files before. It skips the test where that is not
// possible.
func Mount(t testing.TB) *FS {
	t.Helper()
	if os.Getenv(serveVariable) != "" {
		t.Fatal("TestMain does not call faultfs.Main")
	}
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil || os.Geteuid() != 0 {
		t.Skipf("needs /dev/fuse and root: %v", errors.Join(err))
	}
	_ = f.Close()
	dir := t.TempDir()
	c := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0]) //nolint:gosec // ourselves, until in is closed
	c.Env = append(os.Environ(), serveVariable+"="+dir)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	fsys := &FS{dir: dir, enc: json.NewEncoder(in), dec: json.NewDecoder(out)}
	t.Cleanup(func() {
		_ = in.Close()
		if err := c.Wait(); err != nil {
			t.Errorf("faultfs: %v", err)
		}
	})
	if err := fsys.answer(nil); err != nil {
		t.Fatalf("mount faultfs: %v", err)
	}
	return fsys
}

// Dir returns the root of the file system. It survives a loss of power; what is made in it needs a sync of it.
func (f *FS) Dir() string { return f.dir }

// PowerLoss writes into the empty directory dir what a loss of power would leave at this moment, and changes nothing.
// With seed 0 only what was synced is left, else also any part of what was not, the same for the same seed.
func (f *FS) PowerLoss(dir string, seed uint64) error {
	_, err := f.do(command{Dump: dir, Seed: seed})
	return err
}

// Set replaces all faults.
func (f *FS) Set(faults ...Fault) error {
	_, err := f.do(command{Set: true, Faults: faults})
	return err
}

// SetSize limits the file system to size bytes, and removes all faults.
func (f *FS) SetSize(size int64) error {
	_, err := f.do(command{Set: true, Pages: size / pageSize})
	return err
}

// Ops returns the number of operations so far.
func (f *FS) Ops() (int64, error) {
	a, err := f.do(command{})
	return a.Ops, err
}

func (f *FS) do(c command) (a answer, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enc.Encode(c); err != nil {
		return a, err
	}
	err = f.answer(&a)
	return a, err
}

// answer reads one answer. The caller holds mu or is Mount.
func (f *FS) answer(into *answer) error {
	var a answer
	if err := f.dec.Decode(&a); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("faultfs has ended")
		}
		return err
	}
	if into != nil {
		*into = a
	}
	if a.Err != "" {
		return fmt.Errorf("faultfs: %s", a.Err)
	}
	return nil
}
