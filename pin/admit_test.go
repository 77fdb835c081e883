package pin

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"walrus/shards"
)

// TestAdmit: a request is refused before it is accepted when there is no room for any blob, or its end has come or
// cannot be compared with an epoch. A blob that is here already needs no room.
func TestAdmit(t *testing.T) {
	src := newSource(t, 4)
	epoch := uint32(0)
	cfg := Config{Dir: t.TempDir(), Params: src.params, Source: src, Epoch: func() uint32 { return epoch }}
	k, stop := running(t, cfg)
	id := src.add(t, randomBytes(1, 100_000))
	if _, err := k.Add(t.Context(), Request{Blob: id, Until: 91}); !errors.Is(err, ErrNoEpoch) {
		t.Errorf("until epoch 91 in an unknown epoch: %v", err)
	}
	r, err := k.Add(t.Context(), Request{Blob: id})
	if err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, k, r.ID, Pinned)
	stop()
	k, err = Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	used := k.Status().Bytes
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Limit = used / 2
	epoch = 90
	k, _ = running(t, cfg)
	if _, err := k.Add(t.Context(), Request{Blob: shards.BlobID{1}}); !errors.Is(err, ErrFull) {
		t.Errorf("a blob beyond the limit: %v", err)
	}
	if _, err := k.Replace(t.Context(), r.ID, Request{Blob: shards.BlobID{1}}); !errors.Is(err, ErrFull) {
		t.Errorf("a replacement beyond the limit: %v", err)
	}
	if _, err := k.Add(t.Context(), Request{Blob: id}); err != nil {
		t.Errorf("the blob that is here: %v", err)
	}
	for until, want := range map[uint32]error{89: ErrInvalid, 90: ErrInvalid, 91: nil} {
		if _, err := k.Add(t.Context(), Request{Blob: id, Until: until}); !errors.Is(err, want) {
			t.Errorf("until epoch %d in epoch 90: %v", until, err)
		}
	}
	if n := k.Status().Requests; n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
}

// TestEnded: a request whose end has come goes, and the log names it, also if it was made while nobody knew the epoch.
func TestEnded(t *testing.T) {
	src := newSource(t, 4)
	var logged bytes.Buffer
	cfg := Config{Dir: t.TempDir(), Params: src.params, Source: src, Logger: slog.New(slog.NewTextHandler(&logged, nil))}
	var ids []string
	for i, epoch := range []uint32{0, 5, 6} {
		if epoch > 0 {
			cfg.Epoch = func() uint32 { return epoch }
		}
		k, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for until := uint32(5); i == 0 && until < 7; until++ {
			r, err := k.Add(t.Context(), Request{Blob: shards.BlobID{byte(until)}, Until: until})
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, r.ID)
		}
		if err := k.endRequests(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := k.Status().Requests; n != 2-i {
			t.Errorf("epoch %d: %d requests, want %d", epoch, n, 2-i)
		}
		for j, id := range ids {
			if told := strings.Contains(logged.String(), id); told != (j < i) {
				t.Errorf("epoch %d: the log names request %d: %v", epoch, j, told)
			}
		}
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDayOutlivesRestart: what was sent today counts after a restart.
func TestDayOutlivesRestart(t *testing.T) {
	src := newSource(t, 4)
	id := src.add(t, randomBytes(1, 100_000))
	cfg := Config{Dir: t.TempDir(), Params: src.params, Source: src, Daily: 60_000}
	k, stop := running(t, cfg)
	r, err := k.Add(t.Context(), Request{Blob: id})
	if err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, k, r.ID, Pinned)
	read := func(k *Keeper) error {
		s, err := k.OpenSliver(t.Context(), id, shards.Primary, 0)
		if err != nil {
			return err
		}
		defer s.Close()
		_, err = s.ReadAt(make([]byte, s.Size()), 0)
		return err
	}
	if err := read(k); err != nil {
		t.Fatal(err)
	}
	sent := k.Status().Today
	stop()
	k, _ = running(t, cfg)
	if s := k.Status(); s.Today != sent || sent == 0 || s.Served != 0 {
		t.Errorf("sent %d today, after a restart %d", sent, s.Today)
	}
	if err := read(k); !errors.Is(err, errSpent) {
		t.Errorf("beyond the day's bytes: %v", err)
	}
}

// TestStuckFiles: files that cannot be removed do not keep others from being removed, and are tried again.
func TestStuckFiles(t *testing.T) {
	src := newSource(t, 4)
	k, err := Open(Config{Dir: t.TempDir(), Params: src.params, Source: src, Schedule: Schedule{FirstRetry: 10 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	mark := func(id shards.BlobID, make func(path string) error) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(k.path(id)[:len(k.path(id))-64], 0o755), make(k.path(id)), k.update(func(tx *tx, _ *counts) error {
			return tx.mark(blobKey(keyDrop, id))
		})); err != nil {
			t.Fatal(err)
		}
	}
	const stuck = perQueue + 2
	for i := range stuck { // a folder with something in it is not removed
		mark(shards.BlobID{1, byte(i)}, func(path string) error { return os.MkdirAll(path+"/x", 0o755) })
	}
	last := shards.BlobID{2}
	mark(last, func(path string) error { return os.WriteFile(path, nil, 0o600) })
	runs(t, k)
	gone := func(id shards.BlobID) func() bool {
		return func() bool {
			k.wake()
			_, err := os.Stat(k.path(id))
			return errors.Is(err, os.ErrNotExist)
		}
	}
	if !becomes(t, gone(last)) {
		t.Error("a file is not removed because others stay")
	}
	if err := os.Remove(k.path(shards.BlobID{1, 3}) + "/x"); err != nil {
		t.Fatal(err)
	}
	if !becomes(t, gone(shards.BlobID{1, 3})) {
		t.Error("a file that can be removed now stays")
	}
}
