package pinapi

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"walrus/pin"
	"walrus/shards"
)

// shortDir returns a folder whose path leaves room for a socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pin")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// startLocal serves a keeper in a home.
func startLocal(t *testing.T, k *memory) (home string) {
	t.Helper()
	home = shortDir(t)
	l, err := ListenLocal(home)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	api := NewAPI(Config{Delegates: func() []string { return []string{"/p2p/x"} }, Logger: log}, k)
	srv := NewLocalServer(NewLocal(api, k, func() Process { return Process{Running: true, PeerID: "x", Network: "n"} }), log)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		_ = srv.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return home
}

// TestLocal: a Client does at a socket what the keeper behind it does, and errors keep their meaning.
func TestLocal(t *testing.T) {
	m := &memory{}
	home := startLocal(t, m)
	c, err := Dial(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	ctx := t.Context()
	r, err := c.Add(ctx, pin.Request{CID: pin.CID(shards.BlobID{1}), Name: "n", Meta: map[string]string{"a": "b"}, Origins: []string{"/p2p/o"}, Until: 9})
	if err != nil {
		t.Fatal(err)
	}
	m.set(r.ID, func(r *pin.Request) {
		at := time.UnixMilli(1_800_000_000_123).UTC()
		r.Status, r.Reason, r.Have, r.Rows, r.Size, r.NextTry, r.LastVerified, r.Announced, r.Served, r.Created = pin.Failed, "why", 1, 2, 3, at, at, at, 4, at
	})
	want, err := m.Request(r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Request(r.ID); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("a request arrives as\n%+v, not\n%+v: %v", got, want, err)
	}
	page, total, err := c.List(pin.Filter{Name: "N", Match: pin.IExact, Statuses: []pin.Status{pin.Failed}, Limit: 5})
	if err != nil || total != 1 || !reflect.DeepEqual(page, []pin.Request{want}) {
		t.Errorf("listed: %+v, %d, %v", page, total, err)
	}
	if got := c.Status(); !reflect.DeepEqual(got, m.Status()) {
		t.Errorf("counts arrive as %+v", got)
	}
	if s, err := c.About(ctx); err != nil || !s.Running || s.PeerID != "x" || s.Pinned != 2 {
		t.Errorf("about: %+v, %v", s, err)
	}
	other, err := c.Replace(ctx, r.ID, pin.Request{CID: pin.CID(shards.BlobID{2})})
	if err != nil || other.Blob != (shards.BlobID{2}) {
		t.Errorf("replace: %+v, %v", other, err)
	}
	if _, err := c.Request(r.ID); !errors.Is(err, pin.ErrNotFound) {
		t.Errorf("a replaced request: %v", err)
	}
	if err := errors.Join(c.Verify(ctx, shards.BlobID{2}), c.Export(ctx, shards.BlobID{2}, "/to")); err != nil {
		t.Error(err)
	}
	if list, err := c.Import(ctx, "/from"); err != nil || len(list) != 1 || list[0].ID != "imported" {
		t.Errorf("import: %+v, %v", list, err)
	}
	if got := fmt.Sprint(m.calls); got != fmt.Sprintf("[verify %s export %s /to import /from]", shards.BlobID{2}, shards.BlobID{2}) {
		t.Errorf("calls: %s", got)
	}
	files, err := c.Files(ctx, shards.BlobID{2})
	if want, _ := m.Files(ctx, shards.BlobID{2}); err != nil || !reflect.DeepEqual(files, want) {
		t.Errorf("files arrive as %+v: %v", files, err)
	}
	if _, err := c.Files(ctx, shards.BlobID{3}); !errors.Is(err, pin.ErrInvalid) {
		t.Errorf("the files of no quilt: %v", err)
	}
	if err := c.Remove(ctx, other.ID); err != nil {
		t.Error(err)
	}
	if err := c.Remove(ctx, other.ID); !errors.Is(err, pin.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	m.broken = fmt.Errorf("row 3: %w", pin.ErrDamaged)
	if err := c.Verify(ctx, shards.BlobID{2}); !errors.Is(err, pin.ErrDamaged) || !strings.Contains(err.Error(), "row 3") {
		t.Errorf("damaged: %v", err)
	}
	m.full = true
	if _, err := c.Add(ctx, pin.Request{CID: pin.CID(shards.BlobID{1})}); !errors.Is(err, pin.ErrFull) {
		t.Errorf("full: %v", err)
	}
}

// TestSocket: it is the user's alone, a stale one is replaced, and an error names what is wrong.
func TestSocket(t *testing.T) {
	home := shortDir(t)
	if _, err := Dial(t.Context(), home); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no socket: %v", err)
	}
	l, err := ListenLocal(home)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(SocketPath(home)); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", st.Mode(), err)
	}
	l.(interface{ SetUnlinkOnClose(bool) }).SetUnlinkOnClose(false) // as after kill -9
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(t.Context(), home); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a stale socket: %v", err)
	}
	if l, err = ListenLocal(home); err != nil {
		t.Fatalf("over a stale socket: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := ListenLocal(filepath.Join(home, strings.Repeat("d", 100))); err == nil || !strings.Contains(err.Error(), "shorter path") {
		t.Errorf("a long path: %v", err)
	}
}
