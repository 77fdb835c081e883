package pin

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"walrus/shards"
)

// flip changes bytes in the middle of every table of the records.
func flip(t *testing.T, dir string) {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(databaseDir(dir), "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables %v: %v", tables, err)
	}
	for _, name := range tables {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := len(b) / 4; i < len(b)/2; i += 7 {
			b[i] ^= 0x55
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRebuild: damage of the records is found while the pinner runs. The next start rebuilds them from the copies,
// without the network: whole copies are pinned again, a damaged one is fetched.
func TestRebuild(t *testing.T) {
	src := newSource(t, 7)
	cfg := Config{Dir: t.TempDir(), Params: src.params, Source: src, Schedule: Schedule{FirstRetry: 10 * time.Millisecond}}
	k, stop := running(t, cfg)
	const pins = 20
	var ids []shards.BlobID
	for i := range pins {
		id := src.add(t, randomBytes(uint64(i), 50_000))
		r, err := k.Add(t.Context(), Request{Blob: id, Name: "mine"})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		awaitStatus(t, k, r.ID, Pinned)
	}
	stop()
	k, err := Open(cfg) // the tables are whole, and listed as such
	if err != nil {
		t.Fatal(err)
	}
	if err := verifyTables(t.Context(), k.db); err != nil {
		t.Fatal(err)
	}
	flip(t, cfg.Dir)
	if err := verifyTables(t.Context(), k.db); !errors.Is(err, errDatabase) {
		t.Fatalf("damage of an open database: %v", err)
	}
	if err := k.db.disk.Distrust(); err != nil {
		t.Fatal(err)
	}
	_ = k.Close() // it may read what is damaged
	f, err := os.OpenFile(k.path(ids[0]), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("wrong"), 40_000); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	src.mu.Lock()
	damaged := src.blobs[ids[0]]
	src.blobs = nil // no network
	src.mu.Unlock()
	k, _ = running(t, cfg)
	if !becomes(t, func() bool { s := k.Status(); return s.Pinned == pins-1 && s.Fetching == 0 }) {
		t.Fatalf("after the rebuilding: %+v", k.Status())
	}
	for _, id := range ids[1:] {
		page, total, err := k.List(Filter{Blobs: []shards.BlobID{id}})
		if err != nil || total < 1 || page[0].Status != Pinned {
			t.Errorf("blob %s: %+v, %v", id, page, err)
		}
	}
	src.mu.Lock()
	src.blobs = map[shards.BlobID]*fakeBlob{ids[0]: damaged}
	src.mu.Unlock()
	if !becomes(t, func() bool { return k.Status().Pinned == pins }) {
		t.Errorf("the damaged copy is not fetched: %+v", k.Status())
	}
}
