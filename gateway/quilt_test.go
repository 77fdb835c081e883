package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"walrus/client/jsonform"
	"walrus/gateway"
)

type testFile struct {
	name string
	data []byte
}

func newForm(t testing.TB, files ...testFile) (body []byte, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range files {
		p, err := w.CreateFormFile(f.name, "a file")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Write(f.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), w.FormDataContentType()
}

// fileName returns the name of a quilt's file as a browser reads it: every byte of a header is one character.
func fileName(t testing.TB, h http.Header) string {
	t.Helper()
	var b strings.Builder
	for _, c := range []byte(h.Get("X-Quilt-Patch-Identifier")) {
		b.WriteRune(rune(c))
	}
	switch how := h.Get("X-Quilt-Patch-Identifier-Encoding"); how {
	case "":
		return b.String()
	case "percent-utf-8":
		name, err := url.PathUnescape(b.String())
		if err != nil {
			t.Error(err)
		}
		return name
	default:
		t.Errorf("encoding %q of a name", how)
		return ""
	}
}

// TestFileNames: any file name survives its header; ASCII names stay unchanged.
func TestFileNames(t *testing.T) {
	s := serve(t, nil)
	names := []string{"a.txt", `100%25 "of" a\b+c`, "dir/ü%41.txt", "海象 🦭.jpg", " begins with a blank", "x\u00a0y\u200ez"}
	var files []testFile
	for i, n := range names {
		files = append(files, testFile{n, random(uint64(80+i), 20)})
	}
	body, kind := newForm(t, files...)
	a := do(t, http.MethodPut, s.URL+"/v1/quilts", bytes.NewReader(body), "Content-Type", kind)
	var res gateway.QuiltStoreResult
	if err := json.Unmarshal(a.body, &res); err != nil || a.code != http.StatusOK || len(res.Files) != len(names) {
		t.Fatalf("store: %d %s %v", a.code, a.body, err)
	}
	for _, f := range res.Files {
		id, err := f.PatchID.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		a := do(t, http.MethodHead, s.URL+"/v1/blobs/by-quilt-patch-id/"+string(id), nil)
		if got := fileName(t, a.header); got != f.Identifier {
			t.Errorf("%q: %q, header %q", f.Identifier, got, a.header.Get("X-Quilt-Patch-Identifier"))
		}
		if f.Identifier == names[0] || f.Identifier == names[1] {
			if got := a.header.Get("X-Quilt-Patch-Identifier"); got != f.Identifier {
				t.Errorf("ASCII %q: %q", f.Identifier, got)
			}
		}
	}
}

// TestEscapedFormNames: browsers percent-encode quotes and line ends in field names, and nothing else.
func TestEscapedFormNames(t *testing.T) {
	s := serve(t, nil)
	for sent, want := range map[string]string{
		"a %22quoted%22 name": `a "quoted" name`, "100%25.txt": "100%25.txt", "%2522": "%2522", "50%": "50%",
		"%C3%A4": "%C3%A4", "%2f": "%2f",
	} {
		body := "--x\r\nContent-Disposition: form-data; name=\"" + sent + "\"; filename=\"f\"\r\n\r\ncontent of " +
			sent + "\r\n--x\r\n" +
			"Content-Disposition: form-data; name=\"_metadata\"\r\n\r\n" + `[{"identifier":` + strconv.Quote(want) +
			`,"tags":{"k":"v"}}]` + "\r\n--x--\r\n"
		a := do(t, http.MethodPut, s.URL+"/v1/quilts", strings.NewReader(body), "Content-Type",
			"multipart/form-data; boundary=x")
		var res gateway.QuiltStoreResult
		if err := json.Unmarshal(a.body, &res); err != nil || a.code != http.StatusOK || len(res.Files) != 1 ||
			res.Files[0].Identifier != want {
			t.Errorf("%q: %d %s %v, want %q", sent, a.code, a.body, err, want)
			continue
		}
		id := res.Files[0].PatchID.Quilt.String()
		if list := do(t, http.MethodGet, s.URL+"/v1/quilts/"+id+"/patches", nil); !strings.Contains(string(list.body),
			`"tags":{"k":"v"}`) {
			t.Errorf("%q: its tags went to another name: %s", sent, list.body)
		}
	}
	for _, sent := range []string{"a%0Ab", "a%0Db", "a%0D%0A"} { // not allowed as file names
		body := "--x\r\nContent-Disposition: form-data; name=\"" + sent + "\"\r\n\r\nc\r\n--x--\r\n"
		if a := do(t, http.MethodPut, s.URL+"/v1/quilts", strings.NewReader(body), "Content-Type",
			"multipart/form-data; boundary=x"); a.code != http.StatusBadRequest {
			t.Errorf("%q: %d %s", sent, a.code, a.body)
		}
	}
}

func TestQuilt(t *testing.T) {
	s := serve(t, func(c *gateway.Config) { c.Read.QuiltTags = true })
	files := []testFile{{"b.txt", random(40, 3000)}, {"a dir/ü \"q\".txt", random(41, 10)}, {"empty", nil}}
	body, kind := newForm(t, append(files, testFile{"_metadata", []byte(
		`[{"identifier":"b.txt","tags":{"content-type":"text/plain","n":1,"x-other":"y","o":{"a": [1]}}}]`)})...)
	a := do(t, http.MethodPut, s.URL+"/v1/quilts?epochs=2&quilt_version=V1", bytes.NewReader(body), "Content-Type", kind)
	var res struct {
		Blob  jsonform.StoreResult `json:"blobStoreResult"`
		Files []struct {
			Identifier, QuiltPatchID string
			Range                    [2]int
		} `json:"storedQuiltBlobs"`
	}
	if err := json.Unmarshal(a.body, &res); err != nil || a.code != http.StatusOK || len(res.Files) != 3 ||
		res.Blob.NewlyCreated == nil {
		t.Fatalf("store: %d %s %v", a.code, a.body, err)
	}
	if a.header.Get("Walrus-Owner-Token") == "" {
		t.Error("no token for a new quilt")
	}
	id := res.Blob.NewlyCreated.BlobObject.BlobID.String()
	content := map[string][]byte{}
	for _, f := range files {
		content[f.name] = f.data
	}
	for _, f := range res.Files {
		want := content[f.Identifier]
		for _, path := range []string{"/v1/blobs/by-quilt-patch-id/" + f.QuiltPatchID, "/v1/blobs/by-quilt-id/" + id + "/" +
			url.PathEscape(f.Identifier)} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				a := do(t, method, s.URL+path, nil)
				if a.code != http.StatusOK || method == http.MethodGet && !bytes.Equal(a.body, want) {
					t.Errorf("%s %s: %d, %d bytes", method, path, a.code, len(a.body))
				}
				if got := fileName(t, a.header); got != f.Identifier {
					t.Errorf("%s %s: identifier %q", method, path, got)
				}
				if got := a.header.Get("Content-Length"); got != fmt.Sprint(len(want)) {
					t.Errorf("%s %s: Content-Length %s", method, path, got)
				}
				typed := a.header.Get("Content-Type") == "text/plain"
				if typed != (f.Identifier == "b.txt") || a.header.Get("X-Other") != "" {
					t.Errorf("%s %s: %v", method, path, a.header)
				}
			}
		}
	}
	b := s.URL + "/v1/blobs/by-quilt-id/" + id + "/b.txt"
	if a := do(t, http.MethodGet, b, nil, "Range", "bytes=-7"); a.code != http.StatusPartialContent ||
		!bytes.Equal(a.body, files[0].data[2993:]) {
		t.Errorf("a range: %d, %d bytes", a.code, len(a.body))
	}
	if a := do(t, http.MethodGet, b, nil, "Range", "bytes=2000-2002,5-6"); a.code != http.StatusPartialContent ||
		!bytes.Contains(a.body, files[0].data[2000:2003]) || !bytes.Contains(a.body, files[0].data[5:7]) {
		t.Errorf("two ranges: %d, %d bytes", a.code, len(a.body))
	}
	a = do(t, http.MethodGet, s.URL+"/v1/quilts/"+id+"/patches", nil)
	want := `{"identifier":"b.txt","patch_id":"` + res.Files[1].QuiltPatchID +
		`","tags":{"content-type":"text/plain","n":"1","o":"{\"a\":[1]}","x-other":"y"}}`
	if a.code != http.StatusOK || !strings.Contains(string(a.body), want) ||
		!strings.Contains(string(a.body), `"tags":{}`) {
		t.Errorf("list: %d %s\nwant %s", a.code, a.body, want)
	}
	for path, code := range map[string]int{
		"/v1/blobs/by-quilt-id/" + id + "/nothing":                                 404,
		"/v1/blobs/by-quilt-id/" + id + "/../b.txt":                                404,
		"/v1/blobs/by-quilt-id/" + id + "/%00":                                     404,
		"/v1/blobs/by-quilt-id/" + id + "/":                                        404,
		"/v1/blobs/by-quilt-id/x/b.txt":                                            400,
		"/v1/blobs/by-quilt-id/" + someID + "/b.txt":                               404,
		"/v1/blobs/by-quilt-patch-id/" + res.Files[0].QuiltPatchID[1:]:             400,
		"/v1/blobs/by-quilt-patch-id/" + strings.Repeat("!", 50):                   400,
		"/v1/blobs/by-quilt-patch-id/" + res.Files[0].QuiltPatchID[:44] + "AAAAAA": 404,
		"/v1/quilts/" + someID + "/patches":                                        404,
		"/v1/quilts/x/patches":                                                     400,
		"/v1/quilts/" + put(t, s.URL+"/v1/blobs", random(2, 1000)) + "/patches":    404,
	} {
		if a := do(t, http.MethodGet, s.URL+path, nil); a.code != code {
			t.Errorf("%s: %d, want %d: %s", path, a.code, code, a.body)
		}
	}
}

func TestQuiltRefused(t *testing.T) {
	s := serve(t, func(c *gateway.Config) { c.Store.MaxQuiltBody = 100_000 })
	file := testFile{"a", []byte("x")}
	many := func(n int) (files []testFile) {
		for i := range n {
			files = append(files, testFile{fmt.Sprint("f", i), []byte("x")})
		}
		return files
	}
	for name, tt := range map[string]struct {
		files []testFile
		query string
		code  int
	}{
		"as many as fit":     {many(6), "", 200},
		"one more":           {many(7), "", 400},
		"none":               {nil, "", 400},
		"only tags":          {[]testFile{{"_metadata", []byte("[]")}}, "", 400},
		"twice":              {[]testFile{file, file}, "", 400},
		"no name":            {[]testFile{{"", []byte("x")}}, "", 400},
		"NUL in a name":      {[]testFile{{"a\x00b", []byte("x")}}, "", 400},
		"a name of 64 KiB":   {[]testFile{{strings.Repeat("a", 65_532), []byte("x")}}, "", 400},
		"space at the end":   {[]testFile{{"a ", []byte("x")}}, "", 400},
		"a path as name":     {[]testFile{{"../../etc/passwd", []byte("x")}}, "", 200},
		"tags twice":         {[]testFile{file, {"_metadata", []byte(`[{"identifier":"a"},{"identifier":"a"}]`)}}, "", 400},
		"tags that are none": {[]testFile{file, {"_metadata", []byte(`[{"identifier":"a","tags":[]}]`)}}, "", 400},
		"no JSON":            {[]testFile{file, {"_metadata", []byte(`{`)}}, "", 400},
		"two lists of tags":  {[]testFile{file, {"_metadata", []byte(`[]`)}, {"_metadata", []byte(`[]`)}}, "", 400},
		"another version":    {[]testFile{file}, "?quilt_version=V2", 400},
		"unknown parameter":  {[]testFile{file}, "?a=b", 400},
		"too large":          {[]testFile{{"a", make([]byte, 100_000)}}, "", 413},
	} {
		body, kind := newForm(t, tt.files...)
		if a := do(t, http.MethodPut, s.URL+"/v1/quilts"+tt.query, bytes.NewReader(body), "Content-Type",
			kind); a.code != tt.code {
			t.Errorf("%s: %d, want %d: %s", name, a.code, tt.code, a.body)
		}
	}
	large, largeKind := newForm(t, testFile{"a", make([]byte, 200_000)})
	body, kind := newForm(t, file)
	for name, tt := range map[string]struct {
		body []byte
		kind string
		code int
	}{
		"no form":          {body, "text/plain", 400},
		"no boundary":      {body, "multipart/form-data", 400},
		"another boundary": {body, "multipart/form-data; boundary=x", 400},
		"cut off":          {body[:len(body)-20], kind, 400},
		"nothing":          {nil, kind, 400},
		"chunks too large": {large, largeKind, 413},
	} {
		// A reader without a known length.
		a := do(t, http.MethodPut, s.URL+"/v1/quilts", struct{ *bytes.Buffer }{bytes.NewBuffer(tt.body)},
			"Content-Type", tt.kind)
		if a.code != tt.code {
			t.Errorf("%s: %d, want %d: %s", name, a.code, tt.code, a.body)
		}
	}
}
