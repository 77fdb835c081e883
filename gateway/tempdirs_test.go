package gateway_test

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"walrus/gateway"
)

// TestCleanedTempFolders: whatever a cleaner of temporary files removes, every way to store works without a restart.
func TestCleanedTempFolders(t *testing.T) {
	for name, chosen := range map[string]string{"temporary": "", "chosen": filepath.Join(t.TempDir(), "uploads")} {
		dir := filepath.Join(t.TempDir(), "tmp")
		s := visit(t, func(c *gateway.SiteConfig) { c.API.Store.TempDir, c.API.Store.UploadDir = dir, chosen })
		data := random(70, 2000)
		lost := begin(t, s.URL, len(data), "")
		for _, gone := range []string{dir, chosen} {
			if err := os.RemoveAll(gone); err != nil {
				t.Fatal(err)
			}
		}
		if a := piece(t, begin(t, s.URL, len(data), ""), 0, data); a.code != http.StatusNoContent ||
			a.header.Get("Walrus-Blob-Id") == "" {
			t.Errorf("%s: resumable upload: %d %s", name, a.code, a.body)
		}
		if a := piece(t, lost, 0, data); a.code != http.StatusNotFound {
			t.Errorf("%s: piece of an upload that was cleaned away: %d %s", name, a.code, a.body)
		}
		for path, send := range map[string]func() answer{
			"/v1/blobs": func() answer { return do(t, http.MethodPut, s.URL+"/v1/blobs", bytes.NewReader(data)) },
			"/v1/quilts": func() answer {
				body, kind := newForm(t, testFile{"a", data})
				return do(t, http.MethodPut, s.URL+"/v1/quilts", bytes.NewReader(body), "Content-Type", kind)
			},
			"strict": func() answer {
				return do(t, http.MethodGet, s.URL+"/v1/blobs/"+put(t, s.URL+"/v1/blobs", data)+"?strict_consistency_check=true",
					nil)
			},
			"/explorer/upload": func() answer {
				var form bytes.Buffer
				w := multipart.NewWriter(&form)
				part, err := w.CreateFormFile("file", "name.bin")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := part.Write(data); err != nil {
					t.Fatal(err)
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				res, err := noRedirects.Post(s.URL+"/explorer/upload", w.FormDataContentType(), &form)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				return answer{code: res.StatusCode}
			},
		} {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			if a := send(); a.code != http.StatusOK && a.code != http.StatusSeeOther {
				t.Errorf("%s: %s: %d %s", name, path, a.code, a.body)
			}
		}
	}
}

var noRedirects = &http.Client{CheckRedirect: func(*http.Request,
	[]*http.Request) error {
	return http.ErrUseLastResponse
}}

// TestForeignUploadFolder: a folder that another user made in place of the gateway's own gets no uploads.
func TestForeignUploadFolder(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, func(c *gateway.Config) { c.Store.TempDir = dir })
	list, err := filepath.Glob(filepath.Join(dir, "walrus-uploads-*"))
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if err := os.Remove(list[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(list[0], 0o777); err != nil { //nolint:gosec // as an attacker would
		t.Fatal(err)
	}
	if a := do(t, http.MethodPost, s.URL+"/v1/uploads", nil, "Tus-Resumable", "1.0.0", "Upload-Length",
		"1"); a.code != http.StatusInternalServerError {
		t.Errorf("upload into another's folder: %d %s", a.code, a.body)
	}
	if err := os.Remove(list[0]); err != nil {
		t.Fatal(err)
	}
	begin(t, s.URL, 1, "")
}
