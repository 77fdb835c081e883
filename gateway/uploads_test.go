package gateway_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"walrus/client/jsonform"
	"walrus/gateway"
)

// begin creates an upload and returns its URL.
func begin(t testing.TB, s string, size int, meta string) string {
	t.Helper()
	a := do(t, http.MethodPost, s+"/v1/uploads", nil, "Tus-Resumable", "1.0.0", "Upload-Length", fmt.Sprint(size),
		"Upload-Metadata", meta)
	if a.code != http.StatusCreated || !strings.HasPrefix(a.header.Get("Location"), "/v1/uploads/") {
		t.Fatalf("create: %d %s %v", a.code, a.body, a.header)
	}
	return s + a.header.Get("Location")
}

func piece(t testing.TB, url string, off int, data []byte, header ...string) answer {
	t.Helper()
	return do(t, http.MethodPatch, url, bytes.NewReader(data),
		append(header, "Tus-Resumable", "1.0.0", "Upload-Offset", fmt.Sprint(off), "Content-Type",
			"application/offset+octet-stream")...)
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// TestUpload sends a blob in pieces with the tus protocol.
func TestUpload(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, func(c *gateway.Config) { c.Store.UploadDir = dir })
	data := random(50, 300_000)
	url := begin(t, s.URL, len(data), "epochs "+b64("2")+",filename "+b64("x.png")+",filetype "+b64("image/png"))
	if a := do(t, http.MethodGet, url, nil); a.code != http.StatusNotFound {
		t.Errorf("result of an unfinished upload: %d", a.code)
	}
	if a := piece(t, url, 0, data[:100_000]); a.code != http.StatusNoContent || a.header.Get("Upload-Offset") != "100000" {
		t.Fatalf("first piece: %d %s", a.code, a.body)
	}
	if a := piece(t, url, 50_000, data[50_000:]); a.code != http.StatusConflict {
		t.Errorf("piece at another place: %d", a.code)
	}
	// The connection breaks within a piece: the bytes that arrived count.
	pr, pw := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, url, pr)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = 200_000
	for k, v := range map[string]string{"Tus-Resumable": "1.0.0", "Upload-Offset": "100000",
		"Content-Type": "application/offset+octet-stream"} {
		req.Header.Set(k, v)
	}
	go func() {
		_, _ = pw.Write(data[100_000:150_000])
		pw.CloseWithError(io.ErrClosedPipe)
	}()
	if res, err := http.DefaultTransport.RoundTrip(req); err == nil {
		_ = res.Body.Close()
	}
	settled(t)
	a := do(t, http.MethodHead, url, nil, "Tus-Resumable", "1.0.0")
	var off int
	if _, err := fmt.Sscan(a.header.Get("Upload-Offset"), &off); err != nil || a.code != http.StatusOK ||
		off < 100_000 || off > 150_000 {
		t.Fatalf("after the break: %d %v", a.code, a.header)
	}
	a = piece(t, url, off, data[off:]) // the protocol demands an answer without a body
	id := a.header.Get("Walrus-Blob-Id")
	var res jsonform.StoreResult
	if err := json.Unmarshal([]byte(a.header.Get("Walrus-Store-Result")), &res); err != nil ||
		a.code != http.StatusNoContent || res.NewlyCreated == nil ||
		res.NewlyCreated.BlobObject.BlobID.String() != id || a.header.Get("Walrus-Owner-Token") == "" {
		t.Fatalf("last piece: %d %s %v", a.code, a.body, a.header)
	}
	if op := res.NewlyCreated.ResourceOperation.RegisterFromScratch; op == nil || op.EpochsAhead != 2 {
		t.Errorf("stored by %+v", op)
	}
	if a := do(t, http.MethodGet, s.URL+"/v1/blobs/"+id, nil); !bytes.Equal(a.body, data) {
		t.Errorf("read: %d, %d bytes", a.code, len(a.body))
	}
	byObject := do(t, http.MethodGet, s.URL+"/v1/blobs/by-object-id/"+res.NewlyCreated.BlobObject.ID.String(), nil)
	if got := byObject.header.Get("Content-Type"); got != "image/png" || !bytes.Equal(byObject.body, data) {
		t.Errorf("read by object: Content-Type %q", got)
	}
	// A client that lost the answer asks again.
	again := piece(t, url, len(data), nil, "Prefer", "return=representation")
	result := do(t, http.MethodGet, url, nil)
	if again.code != http.StatusOK || result.code != http.StatusOK || !bytes.Equal(again.body, result.body) ||
		string(result.body) != a.header.Get("Walrus-Store-Result") {
		t.Errorf("asked again: %d %s, %d %s", again.code, again.body, result.code, result.body)
	}
	if a := do(t, http.MethodHead, url, nil, "Tus-Resumable", "1.0.0"); a.header.Get("Upload-Offset") != fmt.Sprint(
		len(data)) {
		t.Errorf("a finished upload: %v", a.header)
	}
}

func TestUploadsRefused(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, func(c *gateway.Config) { c.Store.UploadDir, c.Store.MaxBody, c.Store.MaxUploads = dir, 10_000, 3 })
	create := func(header ...string) answer {
		return do(t, http.MethodPost, s.URL+"/v1/uploads", nil, append([]string{"Tus-Resumable", "1.0.0"}, header...)...)
	}
	for name, tt := range map[string]struct {
		a    answer
		code int
	}{
		"too large":         {create("Upload-Length", "10001"), 413},
		"no length":         {create(), 400},
		"negative":          {create("Upload-Length", "-1"), 400},
		"wrong epochs":      {create("Upload-Length", "1", "Upload-Metadata", "epochs "+b64("x")), 400},
		"neither":           {create("Upload-Length", "1", "Upload-Metadata", "permanent "+b64("perhaps")), 400},
		"other version":     {create("Upload-Length", "1", "Tus-Resumable", "0.9"), 412},
		"no such upload":    {piece(t, s.URL+"/v1/uploads/24e533e02ec3bc40c387f1a0e460e216", 0, []byte("x")), 404},
		"no ID":             {piece(t, s.URL+"/v1/uploads/..%2f..%2fetc%2fpasswd", 0, []byte("x")), 400},
		"result of nothing": {do(t, http.MethodGet, s.URL+"/v1/uploads/24e533e02ec3bc40c387f1a0e460e216", nil), 404},
		"deletes nothing": {do(t, http.MethodDelete, s.URL+"/v1/uploads/24e533e02ec3bc40c387f1a0e460e216", nil,
			"Tus-Resumable", "1.0.0"), 404},
		"what can it do":      {do(t, http.MethodOptions, s.URL+"/v1/uploads", nil), 200},
		"metadata not base64": {create("Upload-Length", "1", "Upload-Metadata", "permanent !!!"), 201},
	} {
		if tt.a.code != tt.code {
			t.Errorf("%s: %d, want %d: %s", name, tt.a.code, tt.code, tt.a.body)
		}
	}
	url := begin(t, s.URL, 5, "")
	if a := piece(t, url, 0, []byte("more than 5")); a.code != http.StatusRequestEntityTooLarge {
		t.Errorf("more than announced: %d", a.code)
	}
	begin(t, s.URL, 5, "")
	if a := create("Upload-Length", "1"); a.code != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
		t.Errorf("too many: %d %v", a.code, a.header)
	}
	if a := do(t, http.MethodDelete, url, nil, "Tus-Resumable", "1.0.0"); a.code != http.StatusNoContent {
		t.Errorf("given up: %d", a.code)
	}
	if a := create("Upload-Length", "1"); a.code != http.StatusCreated {
		t.Errorf("after one was given up: %d", a.code)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 6 {
		t.Errorf("%d files of 3 uploads, %v", len(list), err)
	}
}

// TestUploadFromAnotherOrigin: a page of another origin can read all headers of an upload's answers.
func TestUploadFromAnotherOrigin(t *testing.T) {
	s := visit(t, func(c *gateway.SiteConfig) { c.API.Read.Headers = append(c.API.Read.Headers, "x-camera") })
	data := random(51, 1000)
	a := piece(t, begin(t, s.URL, len(data), ""), 0, data, "Origin", "https://example.com")
	if a.header.Get("Walrus-Blob-Id") == "" || a.header.Get("Walrus-Store-Result") == "" {
		t.Fatalf("last piece: %d %v", a.code, a.header)
	}
	readable := strings.Split(strings.ToLower(a.header.Get("Access-Control-Expose-Headers")), ", ")
	for k := range a.header {
		safe := slices.Contains([]string{"Cache-Control", "Content-Length", "Content-Type"}, k) // always exposed
		if !safe && !strings.HasPrefix(k, "Access-Control-") && !slices.Contains(readable, strings.ToLower(k)) {
			t.Errorf("%s is not exposed by %q", k, readable)
		}
	}
	if !slices.Contains(readable, "x-camera") {
		t.Errorf("an attribute that the operator made a header is not exposed: %q", readable)
	}
}

// TestUploadByPostAlone: a client that can send only POST completes an upload.
func TestUploadByPostAlone(t *testing.T) {
	for name, url := range map[string]string{"gateway": serve(t, nil).URL, "site": visit(t, nil).URL} {
		data := random(52, 5000)
		as := func(method, url string, body []byte, header ...string) answer {
			return do(t, http.MethodPost, url, bytes.NewReader(body),
				append(header, "X-HTTP-Method-Override", method, "Tus-Resumable", "1.0.0")...)
		}
		send := func(url string, off, end int) answer {
			return as(http.MethodPatch, url, data[off:end], "Upload-Offset", fmt.Sprint(off), "Content-Type",
				"application/offset+octet-stream")
		}
		up := begin(t, url, len(data), "")
		if a := send(up, 0, 2000); a.code != http.StatusNoContent {
			t.Fatalf("%s: first piece: %d %s", name, a.code, a.body)
		}
		if a := as(http.MethodHead, up, nil); a.code != http.StatusOK || a.header.Get("Upload-Offset") != "2000" ||
			len(a.body) > 0 {
			t.Errorf("%s: how far: %d %v", name, a.code, a.header)
		}
		if a := as(http.MethodOptions, url+"/v1/uploads", nil); a.code != http.StatusOK || a.header.Get("Tus-Version") == "" {
			t.Errorf("%s: what can it do: %d %v", name, a.code, a.header)
		}
		if a := send(up, 2000, 5000); a.code != http.StatusNoContent || a.header.Get("Walrus-Blob-Id") == "" {
			t.Errorf("%s: last piece: %d %s", name, a.code, a.body)
		}
		other := begin(t, url, len(data), "")
		if a := as(http.MethodDelete, other, nil); a.code != http.StatusNoContent {
			t.Errorf("%s: given up: %d %s", name, a.code, a.body)
		}
		if a := as(http.MethodHead, other, nil); a.code != http.StatusNotFound || len(a.body) > 0 {
			t.Errorf("%s: what was given up: %d %s", name, a.code, a.body)
		}
		if a := do(t, http.MethodPost, url+"/v1/blobs/"+someID, nil, "X-HTTP-Method-Override",
			"GET"); a.code != http.StatusMethodNotAllowed {
			t.Errorf("%s: elsewhere: %d", name, a.code)
		}
	}
}

// concat creates an upload that takes part in a concatenation.
func concat(t testing.TB, s, how string, size int, header ...string) answer {
	t.Helper()
	if size >= 0 {
		header = append(header, "Upload-Length", fmt.Sprint(size))
	}
	return do(t, http.MethodPost, s+"/v1/uploads", nil, append(header, "Tus-Resumable", "1.0.0", "Upload-Concat", how)...)
}

// part uploads one part and returns its URL.
func part(t testing.TB, s string, data []byte, header ...string) string {
	t.Helper()
	a := concat(t, s, "partial", len(data), header...)
	if a.code != http.StatusCreated {
		t.Fatalf("part: %d %s", a.code, a.body)
	}
	url := s + a.header.Get("Location")
	if len(data) > 0 {
		if a := piece(t, url, 0, data); a.code != http.StatusNoContent || a.header.Get("Walrus-Blob-Id") != "" {
			t.Fatalf("piece of a part: %d %s %v", a.code, a.body, a.header)
		}
	}
	return url
}

// TestConcatenation sends parts in parallel and has them stored as one blob.
func TestConcatenation(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, func(c *gateway.Config) { c.Store.UploadDir, c.Store.MaxBody, c.Store.MaxUploads = dir, 100_000, 6 })
	if a := do(t, http.MethodOptions, s.URL+"/v1/uploads", nil); !strings.Contains(a.header.Get("Tus-Extension"),
		"concatenation") {
		t.Errorf("extensions: %q", a.header.Get("Tus-Extension"))
	}
	data := random(53, 90_000)
	var urls []string
	for i := range 3 {
		urls = append(urls, part(t, s.URL, data[i*30_000:(i+1)*30_000]))
	}
	if a := do(t, http.MethodGet, urls[0], nil); a.code != http.StatusNotFound {
		t.Errorf("a part has a result: %d %s", a.code, a.body)
	}
	if a := piece(t, urls[0], 30_000, nil); a.header.Get("Walrus-Blob-Id") != "" {
		t.Errorf("a part was stored: %d %v", a.code, a.header)
	}
	if a := do(t, http.MethodHead, urls[0], nil, "Tus-Resumable", "1.0.0"); a.header.Get("Upload-Concat") != "partial" {
		t.Errorf("a part: %v", a.header)
	}
	more := part(t, s.URL, data[:30_000])
	unfinished := concat(t, s.URL, "partial", 10).header.Get("Location")
	whole := begin(t, s.URL, 5, "")
	if a := piece(t, whole, 0, []byte("whole")); a.code != http.StatusNoContent {
		t.Fatalf("whole: %d", a.code)
	}
	for name, tt := range map[string]struct {
		how  string
		code int
	}{
		"unfinished":      {"final;" + urls[0] + " " + unfinished, 400},
		"too large":       {"final;" + strings.Join(append(urls, more), " "), 413},
		"twice":           {"final;" + urls[0] + " " + urls[1] + " /v1/uploads/" + path.Base(urls[0]), 400},
		"too many":        {"final;" + strings.Repeat(urls[0]+" ", 7), 400},
		"stored already":  {"final;" + whole, 400},
		"unknown":         {"final;/v1/uploads/24e533e02ec3bc40c387f1a0e460e216", 404},
		"none":            {"final;", 400},
		"another path":    {"final;/v1/uploads/../" + strings.TrimPrefix(urls[0], s.URL), 400},
		"another gateway": {"final;/files/24e533e02ec3bc40c387f1a0e460e216", 400},
		"nonsense":        {"half", 400},
	} {
		if a := concat(t, s.URL, tt.how, -1); a.code != tt.code {
			t.Errorf("%s: %d, want %d: %s", name, a.code, tt.code, a.body)
		}
	}
	if a := concat(t, s.URL, "partial", 10, "Upload-Draft-Interop-Version", "6"); a.code != http.StatusBadRequest {
		t.Errorf("of two protocols: %d", a.code)
	}
	if a := concat(t, s.URL, "partial", 10); a.code != http.StatusCreated {
		t.Errorf("the last for which there is room: %d %s", a.code, a.body)
	}
	if a := concat(t, s.URL, "partial", 10); a.code != http.StatusTooManyRequests {
		t.Errorf("too many parts: %d", a.code)
	}
	list := "final;" + strings.Join(urls, " ")
	a := concat(t, s.URL, list, -1, "Upload-Metadata", "epochs "+b64("3"))
	final, id := s.URL+a.header.Get("Location"), a.header.Get("Walrus-Blob-Id")
	var res jsonform.StoreResult
	if err := json.Unmarshal([]byte(a.header.Get("Walrus-Store-Result")), &res); err != nil ||
		a.code != http.StatusCreated || res.NewlyCreated == nil {
		t.Fatalf("final: %d %s %v", a.code, a.body, a.header)
	}
	if op := res.NewlyCreated.ResourceOperation.RegisterFromScratch; op == nil || op.EpochsAhead != 3 {
		t.Errorf("stored by %+v", op)
	}
	if a := do(t, http.MethodGet, s.URL+"/v1/blobs/"+id, nil); !bytes.Equal(a.body, data) {
		t.Errorf("read: %d, %d bytes", a.code, len(a.body))
	}
	// A client that lost the answer asks again, by any of the IDs.
	for name, again := range map[string]answer{"created again": concat(t, s.URL, list, -1),
		"patched": piece(t, final, len(data), nil), "a part": do(t, http.MethodGet, urls[1], nil)} {
		if again.code >= 300 || again.header.Get("Walrus-Blob-Id") != id {
			t.Errorf("%s: %d %s %v", name, again.code, again.body, again.header)
		}
	}
	if a := concat(t, s.URL, list, -1); !strings.HasSuffix(final, a.header.Get("Location")) {
		t.Errorf("created again at %s, first at %s", a.header.Get("Location"), final)
	}
	if a := concat(t, s.URL, "final;"+urls[0]+" "+urls[1], -1); a.code != http.StatusBadRequest {
		t.Errorf("parts that are spent: %d %s", a.code, a.body)
	}
	if a := do(t, http.MethodHead, final, nil, "Tus-Resumable",
		"1.0.0"); a.header.Get("Upload-Concat") != strings.ReplaceAll(list, s.URL, "") {
		t.Errorf("the whole names its parts as %q", a.header.Get("Upload-Concat"))
	}
	for range 4 { // stored uploads have freed their space
		concat(t, s.URL, "partial", 10)
	}
}

// TestLocationIsAPath: no header of a client gets into the addresses of uploads, by any protocol.
func TestLocationIsAPath(t *testing.T) {
	s := serve(t, nil)
	path := regexp.MustCompile("^/v1/uploads/[0-9a-f]{32}$")
	forged := []string{"X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https", "Forwarded",
		"host=evil.example;proto=https"}
	for name, header := range map[string][]string{
		"tus":   {"Tus-Resumable", "1.0.0", "Upload-Length", "5"},
		"part":  {"Tus-Resumable", "1.0.0", "Upload-Length", "5", "Upload-Concat", "partial"},
		"draft": {"Upload-Draft-Interop-Version", "6", "Upload-Complete", "?0"},
	} {
		a := do(t, http.MethodPost, s.URL+"/v1/uploads", nil, slices.Concat(header, forged)...)
		if a.code != http.StatusCreated || !path.MatchString(a.header.Get("Location")) {
			t.Errorf("%s: %d %s, Location %q", name, a.code, a.body, a.header.Get("Location"))
		}
	}
}

// TestJoinedOnce: the same parts joined by several requests at once are stored once, and all get the same answer.
func TestJoinedOnce(t *testing.T) {
	s := serve(t, nil)
	data := random(55, 40_000)
	one, two, three := part(t, s.URL, data[:10_000]), part(t, s.URL, data[10_000:30_000]), part(t, s.URL, data[30_000:])
	lists := []string{"final;" + one + " " + two, "final;" + one + " " + two, "final;" + one + " " + two,
		"final;" + two + " " + three}
	answers := make([]answer, len(lists))
	var all sync.WaitGroup
	for i, list := range lists {
		all.Go(func() {
			answers[i] = concat(t, s.URL, list, -1, "Upload-Metadata", "force "+b64("true"))
		})
	}
	all.Wait()
	stored := map[string]int{}
	for _, a := range answers {
		if a.code == http.StatusCreated {
			stored[a.header.Get("Location")+a.header.Get("Walrus-Store-Result")]++
		} else if a.code != http.StatusBadRequest {
			t.Errorf("%d %s", a.code, a.body)
		}
	}
	if len(stored) != 1 {
		t.Errorf("one part is in %d stored blobs: %v", len(stored), stored)
	}
	for i := 1; i < 3; i++ {
		if answers[i].code != answers[0].code {
			t.Errorf("the same request got %d and %d", answers[i].code, answers[0].code)
		}
	}
}

// TestConcatenationWithinToken: parts only show a token; the whole uses it up and must satisfy all its claims.
func TestConcatenationWithinToken(t *testing.T) {
	const secret = "only the issuer of tokens knows this"
	s := visit(t, func(c *gateway.SiteConfig) { c.Guard.JWT.Secret, c.Guard.JWT.VerifyUpload = secret, true })
	sign := func(claims jwt.MapClaims) []string {
		claims["exp"], claims["jti"] = time.Now().Add(time.Hour).Unix(), fmt.Sprint("concat ", claims)
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		return []string{"Authorization", "Bearer " + token}
	}
	data := random(54, 4000)
	for _, tt := range []struct {
		claims jwt.MapClaims
		code   int
	}{{jwt.MapClaims{"max_size": 3999}, 403}, {jwt.MapClaims{"size": 4001}, 403},
		{jwt.MapClaims{"size": 4000, "epochs": 2}, 403}, {jwt.MapClaims{"size": 4000}, 201}} {
		auth := sign(tt.claims)
		list := "final;" + part(t, s.URL, data[:2000], auth...) + " " + part(t, s.URL, data[2000:], auth...)
		if a := concat(t, s.URL, list, -1, auth...); a.code != tt.code {
			t.Errorf("%v: %d %s", tt.claims, a.code, a.body)
		}
		if tt.code == 201 {
			if a := concat(t, s.URL, list, -1, auth...); a.code != http.StatusTooManyRequests {
				t.Errorf("the token is still good: %d %s", a.code, a.body)
			}
		}
	}
	if a := concat(t, s.URL, "partial", 10); a.code != http.StatusUnauthorized {
		t.Errorf("a part without a token: %d", a.code)
	}
	auth := sign(jwt.MapClaims{"max_size": 5, "n": 2})
	for name, a := range map[string]answer{
		"a large part": concat(t, s.URL, "partial", 6, auth...),
		"no size known": do(t, http.MethodPost, s.URL+"/v1/uploads", nil,
			append(auth, "Tus-Resumable", "1.0.0", "Upload-Defer-Length", "1", "Upload-Concat", "final;x")...),
		"draft": do(t, http.MethodPost, s.URL+"/v1/uploads", nil,
			append(auth, "Upload-Draft-Interop-Version", "6", "Upload-Complete", "?0", "Upload-Concat", "final;x")...),
	} {
		if a.code != http.StatusForbidden && a.code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, a.code, a.body)
		}
	}
}
