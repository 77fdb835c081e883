package pin

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// TestFullDisk: a pinner whose disk fills up stops fetching while there still is room for its records. It takes no more
// requests, goes on serving, and goes on fetching once there is room.
func TestFullDisk(t *testing.T) {
	src := newSource(t, 10)
	content := randomBytes(1, 3<<20)
	id, first := src.add(t, content), src.add(t, randomBytes(2, 1000))
	src.chunk = 64 << 10
	k, err := Open(Config{
		Dir: t.TempDir(), Params: src.params, Source: src, Schedule: Schedule{FirstRetry: 1, LastRetry: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	var used atomic.Int64
	k.free = func(string) (int64, error) { return leastFree + 3<<20 - used.Load(), nil }
	runs(t, k)
	r, err := k.Add(t.Context(), Request{Blob: first})
	if err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, k, r.ID, Pinned)
	big, err := k.Add(t.Context(), Request{Blob: id})
	if err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, k, big.ID, Pinned)
	used.Store(3<<20 + 1)
	if _, err := k.Add(t.Context(), Request{Blob: first}); !errors.Is(err, ErrFull) {
		t.Errorf("a request on a full disk: %v", err)
	}
	if _, err := k.Metadata(t.Context(), first); err != nil {
		t.Errorf("serve on a full disk: %v", err)
	}
	used.Store(1 << 20)
	third := src.add(t, randomBytes(3, 3<<20))
	if r, err = k.Add(t.Context(), Request{Blob: third}); err != nil {
		t.Fatal(err)
	}
	if got := awaitStatus(t, k, r.ID, Failed); !strings.Contains(got.Reason, ErrFull.Error()) {
		t.Errorf("the reason is %q", got.Reason)
	}
	used.Store(0)
	awaitStatus(t, k, r.ID, Pinned)
}

// TestImportStrange: a folder that others have made is read with care.
func TestImportStrange(t *testing.T) {
	src := newSource(t, 10)
	id := src.add(t, randomBytes(1, 1000))
	k, err := Open(Config{Dir: t.TempDir(), Params: src.params, Source: src})
	if err != nil {
		t.Fatal(err)
	}
	runs(t, k)
	dir := filepath.Join(t.TempDir(), "with [brackets")
	name := filepath.Join(dir, id.String())
	for what, make := range map[string]func() error{
		"long metadata": func() error { return os.Truncate(name+metadataExt, 1<<40) },
		"a folder":      func() error { return errors.Join(os.Remove(name+metadataExt), os.Mkdir(name+metadataExt, 0o700)) },
	} {
		if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700), os.WriteFile(name+metadataExt, nil, 0o600), make()); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Import(t.Context(), dir); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
