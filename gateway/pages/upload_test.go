package pages

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// formOf is a form as a browser sends it.
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
	content := bytes.Repeat([]byte("walrus"), 500_000) // more than stays in memory
	w := httptest.NewRecorder()
	h.ServeHTTP(w, formOf(t, content, map[string]string{"epochs": "5", "permanent": "true"}))
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/explorer/blobs/"+blobID(1).String() {
		t.Fatalf("status %d to %q", w.Code, w.Header().Get("Location"))
	}
	if !bytes.Equal(f.stored, content) || f.upload.Epochs != 5 || !f.upload.Permanent || f.upload.ContentType != "application/octet-stream" {
		t.Errorf("stored %d bytes of %d, %+v", len(f.stored), len(content), f.upload)
	}
}

func TestUploadRefused(t *testing.T) {
	f := newFixture()
	h := newSite(t, f)
	for _, tt := range []struct {
		name   string
		r      *http.Request
		change func(*http.Request)
		status int
		want   string
	}{
		{"no file", formOf(t, nil, map[string]string{"epochs": "1"}), nil, 400, "Choose a file first"},
		{"no epochs", formOf(t, []byte("x"), map[string]string{"epochs": "none"}), nil, 400, "Epochs must be a number"},
		{"too large", formOf(t, make([]byte, 10<<20+1), nil), nil, 400, "10.0 MiB at most"},
		{"far too large", formOf(t, make([]byte, 11<<20), nil), nil, 413, "too large"},
		{"no form", httptest.NewRequest(http.MethodPost, "/explorer/upload", strings.NewReader("x")), nil, 400, "the form cannot be read"},
		{"another site", formOf(t, []byte("x"), nil), func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403, "Another site sent this"},
		{"another origin", formOf(t, []byte("x"), nil), func(r *http.Request) { r.Header.Set("Origin", "https://elsewhere.example") }, 403, "Another site sent this"},
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
	f.storedErr = errNetwork
	w := httptest.NewRecorder()
	h.ServeHTTP(w, formOf(t, []byte("x"), nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "the ledger stands still") {
		t.Errorf("network away: status %d", w.Code)
	}
}
