package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"walrus/gateway"
)

func TestRanges(t *testing.T) {
	s := serve(t, nil)
	data := random(2, 1000)
	id := put(t, s.URL+"/v1/blobs", data)
	url := s.URL + "/v1/blobs/" + id
	for _, tt := range []struct {
		header string
		code   int
		from   int
		to     int // exclusive
	}{
		{"bytes=0-0", 206, 0, 1},
		{"bytes=10-19", 206, 10, 20},
		{"bytes=990-", 206, 990, 1000},
		{"bytes=-10", 206, 990, 1000},
		{"bytes=-5000", 206, 0, 1000},
		{"bytes=990-99999999999999999999999999", 206, 990, 1000},
		{"bytes=-99999999999999999999999999", 206, 0, 1000},
		{"BYTES=0-0", 206, 0, 1},
		{"bytes= 1-2 ,", 206, 1, 3},
		{"bytes=1-2,2000-", 206, 1, 3},
		{"pages=1-2", 200, 0, 1000},
		{"bytes=0-999,0-999", 200, 0, 1000},
		{"bytes=1000-", 416, 0, 0},
		{"bytes=99999999999999999999999999-", 416, 0, 0},
		{"bytes=-0", 416, 0, 0},
		{"bytes=2-1", 416, 0, 0},
		{"bytes=99999999999999999999999999-0", 416, 0, 0},
		{"bytes=", 416, 0, 0},
		{"bytes=-", 416, 0, 0},
		{"bytes=a-b", 416, 0, 0},
		{"bytes=1-2-3", 416, 0, 0},
		{"bytes=+1-2", 416, 0, 0},
		{"bytes=--1", 416, 0, 0},
		{"garbage", 416, 0, 0},
		{"bytes=" + strings.Repeat("0-0,", 1000), 416, 0, 0},
	} {
		a := do(t, http.MethodGet, url, nil, "Range", tt.header)
		if a.code != tt.code {
			t.Errorf("Range: %.40s: %d, want %d", tt.header, a.code, tt.code)
			continue
		}
		if a.code == http.StatusRequestedRangeNotSatisfiable {
			if got := a.header.Get("Content-Range"); got != "bytes */1000" {
				t.Errorf("Range: %.40s: Content-Range %q", tt.header, got)
			}
			continue
		}
		want := ""
		if tt.code == http.StatusPartialContent {
			want = fmt.Sprintf("bytes %d-%d/1000", tt.from, tt.to-1)
		}
		if got := a.header.Get("Content-Range"); got != want || !bytes.Equal(a.body, data[tt.from:tt.to]) {
			t.Errorf("Range: %.40s: Content-Range %q, want %q; %d bytes", tt.header, got, want, len(a.body))
		}
	}
}

func TestSeveralRanges(t *testing.T) {
	s := serve(t, nil)
	data := random(2, 1000)
	id := put(t, s.URL+"/v1/blobs", data)
	a := do(t, http.MethodGet, s.URL+"/v1/blobs/"+id, nil, "Range", "bytes=1-2, -3, 500-509", "Accept", "text/plain")
	kind, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if a.code != http.StatusPartialContent || err != nil || kind != "multipart/byteranges" {
		t.Fatalf("%d %q %v", a.code, kind, err)
	}
	if got := a.header.Get("Content-Length"); got != fmt.Sprint(len(a.body)) {
		t.Errorf("Content-Length %s of %d bytes", got, len(a.body))
	}
	parts := multipart.NewReader(bytes.NewReader(a.body), params["boundary"])
	for _, want := range [][2]int{{1, 3}, {997, 1000}, {500, 510}} {
		p, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil || !bytes.Equal(b, data[want[0]:want[1]]) || p.Header.Get("Content-Type") != "text/plain" ||
			p.Header.Get("Content-Range") != fmt.Sprintf("bytes %d-%d/1000", want[0], want[1]-1) {
			t.Errorf("part %v: %v %v", want, p.Header, err)
		}
	}
	if _, err := parts.NextRawPart(); err != io.EOF {
		t.Errorf("after the last part: %v", err)
	}
}

func TestConditions(t *testing.T) {
	data := random(2, 1000)
	for _, bare := range []bool{false, true} {
		s := serve(t, func(c *gateway.Config) { c.Read.BareETag = bare })
		id := put(t, s.URL+"/v1/blobs", data)
		url := s.URL + "/v1/blobs/" + id
		for _, tt := range []struct {
			header []string
			code   int
		}{
			{nil, 200},
			{[]string{"If-None-Match", `"` + id + `"`}, 304},
			{[]string{"If-None-Match", id}, 304},
			{[]string{"If-None-Match", `"x", W/"` + id + `"`}, 304},
			{[]string{"If-None-Match", "*"}, 304},
			{[]string{"If-None-Match", `"x"`}, 200},
			{[]string{"If-Match", `"` + id + `"`}, 200},
			{[]string{"If-Match", "*"}, 200},
			{[]string{"If-Match", `"x"`}, 412},
			{[]string{"If-Match", `W/"` + id + `"`}, 412},
			{[]string{"If-Modified-Since", "Sat, 29 Oct 2022 19:43:31 GMT"}, 200},
			{[]string{"Range", "bytes=0-9", "If-Range", `"` + id + `"`}, 206},
			{[]string{"Range", "bytes=0-9", "If-Range", `"x"`}, 200},
			{[]string{"Range", "bytes=0-9", "If-Range", `W/"` + id + `"`}, 200},
			{[]string{"Range", "bytes=0-9", "If-Range", "Sat, 29 Oct 2022 19:43:31 GMT"}, 200},
			{[]string{"Range", "bytes=0-9", "If-None-Match", `"` + id + `"`}, 304},
		} {
			a := do(t, http.MethodGet, url, nil, tt.header...)
			if a.code != tt.code {
				t.Errorf("%q: %d, want %d", tt.header, a.code, tt.code)
			}
			want := `"` + id + `"`
			if bare {
				want = id
			}
			if a.code == http.StatusPreconditionFailed {
				want = ""
			}
			if got := a.header.Get("ETag"); got != want {
				t.Errorf("%q: ETag %s, want %s", tt.header, got, want)
			}
			if a.code == http.StatusNotModified && len(a.body) > 0 {
				t.Errorf("%q: 304 with %d bytes", tt.header, len(a.body))
			}
		}
	}
}

// TestBareETagOnTheWire: some clients look for the header in exactly the original's spelling.
func TestBareETagOnTheWire(t *testing.T) {
	for _, bare := range []bool{false, true} {
		s := serve(t, func(c *gateway.Config) { c.Read.BareETag = bare })
		id := put(t, s.URL+"/v1/blobs", random(2, 1000))
		want := map[bool]string{false: "\r\nEtag: \"" + id + "\"\r\n", true: "\r\netag: " + id + "\r\n"}
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for header, tagged := range map[string]bool{"X-None: 1": true, "Range: bytes=0-9": true, "If-None-Match: *": true,
				"If-Match: x": false} {
				head := rawHead(t, s.Listener.Addr().String(), method+" /v1/blobs/"+id+" HTTP/1.1\r\nHost: x\r\n"+header+"\r\n\r\n")
				if strings.Contains(head, want[bare]) != tagged || strings.Contains(head, want[!bare]) ||
					tagged != strings.Contains(strings.ToLower(head), "\r\netag:") {
					t.Errorf("bare %v: %s with %s: %q", bare, method, header, head)
				}
			}
		}
	}
}

func TestHeadersOfReads(t *testing.T) {
	s := serve(t, nil)
	data := random(2, 1000)
	id := put(t, s.URL+"/v1/blobs", data)
	for _, path := range []string{"/v1/blobs/" + id, "/v1alpha/blobs/" + id + "/stream",
		"/v1alpha/blobs/concat?ids=" + id} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			a := do(t, method, s.URL+path, nil)
			want := data
			if method == http.MethodHead {
				want = nil
			}
			if a.code != http.StatusOK || !bytes.Equal(a.body, want) {
				t.Errorf("%s %s: %d, %d bytes", method, path, a.code, len(a.body))
			}
			for k, v := range map[string]string{
				"Content-Length": "1000", "Cache-Control": "public, max-age=86400, stale-while-revalidate=3600",
				"X-Content-Type-Options": "nosniff",
			} {
				if got := a.header.Get(k); got != v {
					t.Errorf("%s %s: %s: %q, want %q", method, path, k, got, v)
				}
			}
			if got := a.header.Get("Content-Type"); got != "application/octet-stream" {
				t.Errorf("%s %s: Content-Type %q", method, path, got)
			}
			if got := a.header.Get("X-Walrus-Streaming"); (got == "true") != strings.HasSuffix(path, "/stream") {
				t.Errorf("%s %s: X-Walrus-Streaming %q", method, path, got)
			}
		}
	}
	for _, tt := range []struct {
		method string
		header []string
		want   string
	}{
		{http.MethodGet, []string{"Accept", "image/png"}, "image/png"},
		{http.MethodHead, []string{"Accept", "image/png"}, "image/png"},
		{http.MethodGet, []string{"Accept", "image/*"}, "application/octet-stream"},
		{http.MethodGet, []string{"Accept", "*/*", "Content-Type", "text/css"}, "text/css"},
		{http.MethodHead, []string{"Accept", "*/*", "Content-Type", "text/css"}, "application/octet-stream"},
	} {
		a := do(t, tt.method, s.URL+"/v1/blobs/"+id, nil, tt.header...)
		if got := a.header.Get("Content-Type"); got != tt.want {
			t.Errorf("%s %q: Content-Type %q, want %q", tt.method, tt.header, got, tt.want)
		}
		if got := a.header.Get("Vary"); got != "Accept, Content-Type" {
			t.Errorf("%s %q: Vary %q: a shared cache would give this type to everybody", tt.method, tt.header, got)
		}
	}
}

func TestByteRange(t *testing.T) {
	s := serve(t, nil)
	data := random(2, 1000)
	id := put(t, s.URL+"/v1/blobs", data)
	for query, want := range map[string][]byte{
		"start=0&length=1000": data, "start=10&length=5": data[10:15], "start=999&length=1": data[999:],
		"start=999&length=2": nil, "start=1000&length=1": nil, "start=0&length=0": nil, "start=-1&length=1": nil,
		"start=0": nil, "length=1": nil, "": nil,
		"start=0&length=18446744073709551616": nil, "start=9223372036854775807&length=9223372036854775807": nil,
		"start=a&length=1":     nil,
		"start=0&length=1&x=1": nil,
	} {
		a := do(t, http.MethodGet, s.URL+"/v1/blobs/"+id+"/byte-range?"+query, nil)
		switch {
		case want == nil && a.code != http.StatusBadRequest:
			t.Errorf("%s: %d, want 400", query, a.code)
		case want != nil && (a.code != http.StatusOK || !bytes.Equal(a.body, want)):
			t.Errorf("%s: %d, %d bytes", query, a.code, len(a.body))
		}
	}
	a := do(t, http.MethodGet, s.URL+"/v1/blobs/"+id+"/byte-range?start=10&length=5", nil)
	if want := `"` + id + `-10-5"`; a.header.Get("ETag") != want {
		t.Errorf("ETag %s, want %s", a.header.Get("ETag"), want)
	}
}
