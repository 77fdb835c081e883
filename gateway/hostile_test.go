package gateway_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"walrus/gateway"
)

// someID is well formed, but no blob has it.
const someID = "M4hsZGQ1oCktdzegB6HnI6Mi28S2nqOPHxK-W7_4BUk"

const someObject = "0xe91eee8c5b6f35b9a250cfc29e30f0d9e5463a21fd8d1ddb0fc22d44db4eac50"

// hostile lists wrong requests, and the status of each answer.
var hostile = []struct {
	method, path string
	body         string
	code         int
}{
	{"GET", "/v1/blobs/" + someID, "", 404},
	{"HEAD", "/v1/blobs/" + someID, "", 404},
	{"GET", "/v1/blobs/" + someID[1:], "", 400},
	{"GET", "/v1/blobs/" + someID + "A", "", 400},
	{"GET", "/v1/blobs/" + someID[:42] + "l", "", 400}, // another spelling of the same bits
	{"GET", "/v1/blobs/" + someID[:42] + "=", "", 400},
	{"GET", "/v1/blobs/" + someID[:42] + "+", "", 400},
	{"GET", "/v1/blobs/" + strings.Repeat("%00", 43), "", 400},
	{"GET", "/v1/blobs/" + strings.Repeat("A", 64<<10), "", 400},
	{"GET", "/v1/blobs/..%2F..%2Fetc%2Fpasswd", "", 400},
	{"GET", "/v1/blobs/../../etc/passwd", "", 404},
	{"GET", "/v1/blobs/", "", 404},
	{"GET", "/v1/blobs//", "", 404},
	{"GET", "/v1/nothing", "", 404},
	{"GET", "/nothing%", "", 400},
	{"POST", "/v1/blobs/" + someID, "", 405},
	{"PATCH", "/v1/blobs", "", 405},
	{"BREW", "/v1/blobs", "", 405},
	{"GET", "/v1/blobs/" + someID + "?strict_consistency_check=true&skip_consistency_check=true", "", 400},
	{"GET", "/v1/blobs/" + someID + "?strict_consistency_check=maybe", "", 400},
	{"GET", "/v1/blobs/" + someID + "?unknown=1", "", 400},
	{"GET", "/v1/blobs/" + someID + "?%zz", "", 400},
	{"GET", "/v1/blobs/" + someID + "?a;b", "", 400},
	{"GET", "/v1/blobs/by-object-id/" + someObject, "", 404},
	{"GET", "/v1/blobs/by-object-id/" + someObject[2:], "", 400},
	{"GET", "/v1/blobs/by-object-id/0x", "", 400},
	{"GET", "/v1/blobs/by-object-id/" + someObject + "00", "", 400},
	{"GET", "/v1/blobs/" + someID + "/byte-range?start=0&length=1", "", 404},
	{"GET", "/v1/blobs/" + someID + "/byte-range?start=18446744073709551615&length=1", "", 400},
	{"GET", "/v1/blobs/" + someID + "/other", "", 404},
	{"GET", "/v1alpha/blobs/" + someID + "/stream", "", 404},
	{"GET", "/v1alpha/blobs/concat", "", 400},
	{"GET", "/v1alpha/blobs/concat?ids=", "", 400},
	{"GET", "/v1alpha/blobs/concat?ids=a,b", "", 400},
	{"GET", "/v1alpha/blobs/concat?ids=" + someID, "", 404},
	{"GET", "/v1alpha/blobs/concat?ids=" + someObject, "", 404},
	{"GET", "/v1alpha/blobs/concat?ids=" + strings.Repeat("a,", 1000), "", 400},
	{"POST", "/v1alpha/blobs/concat", "", 400},
	{"POST", "/v1alpha/blobs/concat", "{", 400},
	{"POST", "/v1alpha/blobs/concat", `{"ids":[]}`, 400},
	{"POST", "/v1alpha/blobs/concat", `{"ids":"a"}`, 400},
	{"POST", "/v1alpha/blobs/concat", `{"ids":["` + someID + `"],"strict_consistency_check":null}`, 400},
	{"POST", "/v1alpha/blobs/concat", `{"ids":["` + someID + `"]}`, 404},
	{"POST", "/v1alpha/blobs/concat", `{"ids":["` + someID + `"],"more":1}`, 400},
	{"POST", "/v1alpha/blobs/concat", `{"ids":["` + someID + `"]}{}`, 400},
	{"POST", "/v1alpha/blobs/concat", `{"ids":["` + strings.Repeat("A", 70<<10) + `"]}`, 413},
	{"PUT", "/v1/blobs?epochs=0", "x", 400},
	{"PUT", "/v1/blobs?epochs=-1", "x", 400},
	{"PUT", "/v1/blobs?epochs=1000", "x", 400},
	{"PUT", "/v1/blobs?epochs=4294967296", "x", 400},
	{"PUT", "/v1/blobs?epochs=99999999999999999999", "x", 400},
	{"PUT", "/v1/blobs?epochs=1.5", "x", 400},
	{"PUT", "/v1/blobs?permanent=true&deletable=true", "x", 400},
	{"PUT", "/v1/blobs?permanent=perhaps", "x", 400},
	{"PUT", "/v1/blobs?share=true", "x", 400},
	{"PUT", "/v1/blobs?share=true&permanent=true&send_object_to=" + someObject, "x", 400},
	{"PUT", "/v1/blobs?send_object_to=me", "x", 400},
	{"PUT", "/v1/blobs?encoding_type=RS1", "x", 400},
	{"PUT", "/v1/blobs?unknown=1", "x", 400},
	{"PUT", "/v1/blobs?content_type=%0d%0aSet-Cookie:a", "x", 400},
	{"PUT", "/v1/blobs", strings.Repeat("x", 20_000), 413},
}

// raw sends bytes and reads one response.
func raw(t testing.TB, addr, request string) (code int, header http.Header, body []byte) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%.90q: %v", request, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err = io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%.90q: %v", request, err)
	}
	return res.StatusCode, res.Header, body
}

// rawHead sends bytes and returns the response's head unchanged.
func rawHead(t testing.TB, addr, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	var head strings.Builder
	for br := bufio.NewReader(c); !strings.HasSuffix(head.String(), "\r\n\r\n"); {
		line, err := br.ReadString('\n')
		if err != nil {
			t.Fatalf("%.90q: %v", request, err)
		}
		head.WriteString(line)
	}
	return head.String()
}

func TestHostile(t *testing.T) {
	s := serve(t, func(c *gateway.Config) { c.Store.MaxBody = 10_000 })
	addr := s.Listener.Addr().String()
	for _, tt := range hostile {
		name := fmt.Sprintf("%s %.80s %.20s", tt.method, tt.path, tt.body)
		code, header, body := raw(t, addr, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", tt.method,
			tt.path, len(tt.body), tt.body))
		if code != tt.code {
			t.Errorf("%s: %d, want %d: %.200s", name, code, tt.code, body)
			continue
		}
		if tt.method == http.MethodHead || strings.HasSuffix(tt.path, "%") { // net/http itself refuses the latter
			continue
		}
		var e gateway.ErrorBody
		if err := json.Unmarshal(body, &e); err != nil || e.Status.Code != code || e.Status.Message == "" ||
			len(e.Status.Details) != 1 {
			t.Errorf("%s: body %s", name, body)
		}
		if len(body) > 100<<10 {
			t.Errorf("%s: an error of %d bytes", name, len(body))
		}
		if got := header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control %q", name, got)
		}
		if code == http.StatusMethodNotAllowed && len(header.Values("Allow")) == 0 {
			t.Errorf("%s: no Allow", name)
		}
	}
}

// TestLyingBodies sends bodies that differ from their announcement.
func TestLyingBodies(t *testing.T) {
	s := serve(t, func(c *gateway.Config) { c.Store.MaxBody, c.Time.Stall = 10_000, time.Second })
	addr := s.Listener.Addr().String()
	const head = "PUT /v1/blobs HTTP/1.1\r\nHost: x\r\n"
	for name, tt := range map[string]struct {
		request string
		code    int
	}{
		"far too large, refused before it is sent": {head + "Content-Length: 999999999999\r\n\r\n", 413},
		"too large, asks first":                    {head + "Content-Length: 10001\r\nExpect: 100-continue\r\n\r\n", 413},
		"chunks beyond the limit": {head + "Transfer-Encoding: chunked\r\n\r\n" +
			strings.Repeat("1000\r\n"+strings.Repeat("x", 4096)+"\r\n", 3), 413},
		"stalls":                {head + "Content-Length: 100\r\n\r\nxxx", 408},
		"chunks that stall":     {head + "Transfer-Encoding: chunked\r\n\r\n3\r\nxxx\r\n", 408},
		"not a chunk":           {head + "Transfer-Encoding: chunked\r\n\r\nzz\r\nxxx\r\n", 400},
		"negative length":       {head + "Content-Length: -1\r\n\r\n", 400},
		"two lengths":           {head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400},
		"length beyond 64 bits": {head + "Content-Length: 99999999999999999999\r\n\r\n", 400},
		"both a length and chunks is chunks, by RFC": {head +
			"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxxx\r\n0\r\n\r\n", 200},
	} {
		if code, _, body := raw(t, addr, tt.request); code != tt.code {
			t.Errorf("%s: %d, want %d: %s", name, code, tt.code, body)
		}
	}
}

// TestManyHostile makes 10,000 requests from pieces of good and bad ones: the gateway must never fail.
func TestManyHostile(t *testing.T) {
	count := 10_000
	if testing.Short() {
		count = 1000
	}
	s := serve(t, func(c *gateway.Config) { c.Store.MaxBody, c.Time.Stall = 10_000, 20*time.Second })
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	id := put(t, s.URL+"/v1/blobs", random(2, 1000))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	c, br := net.Conn(nil), (*bufio.Reader)(nil)
	for range count {
		if c == nil {
			var err error
			if c, err = net.Dial("tcp", s.Listener.Addr().String()); err != nil {
				t.Fatal(err)
			}
			br = bufio.NewReader(c)
		}
		name := pick(id, id, someID, someObject, "..", "%00", "%2e%2e%2f", strings.Repeat("a", 64<<10), "", "%ff", "concat",
			"by-object-id", "*")
		path := pick("/v1/blobs/", "/v1/blobs/", "/v1/blobs/by-object-id/", "/v1alpha/blobs/", "/v1/quilts/", "/v1/uploads/",
			"/v1/", "/") + name +
			pick("", "", "/byte-range", "/stream", "/patches", "/%00") + pick("", "?", "?epochs=2", "?start=1&length=2",
			"?start=-1&length=9223372036854775808", "?x[]=1", "?ids="+id)
		body := pick("", "", "x", "{}", `{"ids":["`+id+`"]}`, strings.Repeat("x", 20_000))
		method := pick("GET", "GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE")
		head := pick("", "Range: bytes=0-0\r\n", "Range: bytes=5-1,-1\r\n", "Range: bytes=9999999999999999999999-\r\n",
			"If-None-Match: "+id+"\r\n",
			"Accept: \xff\xfe\r\n", "Content-Type: multipart/form-data; boundary=x\r\n", "Authorization: Bearer x\r\n")
		fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", method, path, head, len(body), body)
		res, err := http.ReadResponse(br, &http.Request{Method: method})
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		if err != nil {
			t.Fatalf("%s %.100s %q: %v", method, path, head, err)
		}
		if res.StatusCode >= 500 && res.StatusCode != http.StatusNotImplemented {
			t.Errorf("%s %.100s %q: %d", method, path, head, res.StatusCode)
		}
		if res.Close {
			_ = c.Close()
			c = nil
		}
	}
	if c != nil {
		_ = c.Close()
	}
	settled(t)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}
