package pages

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// formOf makes a form as a browser sends it.
func formOf(t *testing.T, content []byte, fields map[string]string) *http.Request {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	if content != nil {
		part, err := m.CreateFormFile("file", "walrus.bin")
		if err != nil {
			t.Fatal(err)
		}
		part.Write(content)
	}
	for k, v := range fields {
		if err := m.WriteField(k, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/explorer/upload", &b)
	r.Header.Set("Content-Type", m.FormDataContentType())
	return r
}

func TestUpload(t *testing.T) {
	f := newFixture()
	h := newSite(t, f)
	content := bytes.Repeat([]byte("walrus"), 500_000) // more than is kept in memory
	w := httptest.NewRecorder()
	h.ServeHTTP(w, formOf(t, content, map[string]string{"epochs": "5", "permanent": "true"}))
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/explorer/blobs/"+blobID(1).String() {
		t.Fatalf("status %d to %q", w.Code, w.Header().Get("Location"))
	}
	if !bytes.Equal(f.stored, content) || f.upload.Epochs != 5 || !f.upload.Permanent ||
		f.upload.ContentType != "application/octet-stream" {
		t.Errorf("stored %d bytes of %d, %+v", len(f.stored), len(content), f.upload)
	}
}

func manyFields() map[string]string {
	m := map[string]string{}
	for i := range formParts {
		m[strconv.Itoa(i)] = "x"
	}
	return m
}

// TestUploadKeepsNoName: if the process dies while a file comes in, no file remains.
func TestUploadKeepsNoName(t *testing.T) {
	dir := t.TempDir()
	s := &site{cfg: Config{MaxUpload: 10 << 20, TempDir: dir}}
	f, err := s.readForm(formOf(t, make([]byte, 3<<20), nil))
	defer f.close()
	if left, listing := os.ReadDir(dir); err != nil || f.size != 3<<20 || listing != nil || len(left) > 0 {
		t.Errorf("%d bytes, %v; in the folder: %v, %v", f.size, err, left, listing)
	}
	s.cfg.TempDir = filepath.Join(dir, "file", "below")
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var broken *fs.PathError
	if f, err = s.readForm(formOf(t, []byte("x"), nil)); !errors.As(err, &broken) ||
		strings.Contains(formError(err, 1).Error(), dir) {
		t.Errorf("without a folder: %v", err)
	}
	f.close()
}

func TestUploadRefused(t *testing.T) {
	f := newFixture()
	dir := t.TempDir()
	h, err := New(Config{Publisher: true, MaxUpload: 10 << 20, TempDir: dir}, f, f, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		r      *http.Request
		change func(*http.Request)
		status int
		want   string
	}{
		{"no file", formOf(t, nil, map[string]string{"epochs": "1"}), nil, 400, "Choose a file first"},
		{"no epochs", formOf(t, []byte("x"), map[string]string{"epochs": "none"}), nil, 400, "Epochs must be a number"},
		{"too large", formOf(t, make([]byte, 10<<20+1), nil), nil, 413, "at most 10.0 MiB"},
		{"far too large", formOf(t, make([]byte, 11<<20), nil), nil, 413, "too large"},
		{"cut off", formOf(t, make([]byte, 5000), nil),
			func(r *http.Request) { r.Body = io.NopCloser(io.LimitReader(r.Body, 3000)) }, 400, "EOF"},
		{"many parts", formOf(t, []byte("x"), manyFields()), nil, 400, "too many parts"},
		{"no form", httptest.NewRequest(http.MethodPost, "/explorer/upload", strings.NewReader("x")), nil, 400,
			"the form cannot be read"},
		{"another site", formOf(t, []byte("x"), nil), func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
			403, "Request from another site"},
		{"another origin", formOf(t, []byte("x"), nil),
			func(r *http.Request) { r.Header.Set("Origin", "https://elsewhere.example") }, 403, "Request from another site"},
	} {
		if tt.change != nil {
			tt.change(tt.r)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, tt.r)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s: status %d, want %d with %q", tt.name, w.Code, tt.status, tt.want)
		}
	}
	if f.stored != nil {
		t.Error("something was stored all the same")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("files stay behind: %v, %v", left, err)
	}
	f.storedErr = &Refusal{Status: http.StatusTooManyRequests, Message: "spent", Retry: 60}
	refused := httptest.NewRecorder()
	h.ServeHTTP(refused, formOf(t, []byte("x"), nil))
	if refused.Code != http.StatusTooManyRequests || refused.Header().Get("Retry-After") != "60" ||
		!strings.Contains(refused.Body.String(), "spent") {
		t.Errorf("refused: status %d, %v", refused.Code, refused.Header())
	}
	f.storedErr = errNetwork
	w := httptest.NewRecorder()
	h.ServeHTTP(w, formOf(t, []byte("x"), nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "the ledger is stalled") {
		t.Errorf("network away: status %d", w.Code)
	}
}
