package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"walrus/config"
	"walrus/internal/pause"
)

// unknownID is a valid blob ID without a blob.
const unknownID = "M4hsZGQ1oCktdzegB6HnI6Mi28S2nqOPHxK-W7_4BUk"

// attack is the data that one hostile connection sends, and the status of the first answer. 0: the connection is cut,
// or the answer is anything but a failure of the gateway.
type attack struct {
	name, send string
	code       int
	leave      bool // leave without reading
}

// attacks returns attacks on a gateway that has a blob id of size bytes.
func attacks(id string, size int) []attack {
	get := func(path string, header ...string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n" + strings.Join(append(header, ""), "\r\n") + "\r\n"
	}
	put := func(header, body string) string {
		return "PUT /v1/blobs HTTP/1.1\r\nHost: localhost\r\n" + header + "\r\n" + body
	}
	blob, huge := "/v1/blobs/"+id, strings.Repeat("9", 40)
	many := "Range: bytes=" + strings.Repeat("0-0,", 5000) + "0-0"
	return []attack{
		{"known", get(blob), 200, false},
		{"unknown", get("/v1/blobs/" + unknownID), 404, false},
		{"another spelling of the ID's end", get("/v1/blobs/" + id[:42] + otherTail(id[42])), 400, false},
		{"padded ID", get(blob + "="), 400, false},
		{"slash in the ID", get("/v1/blobs/..%2F" + id), 400, false},
		{"NUL in the ID", get("/v1/blobs/%00" + id[1:]), 400, false},
		{"raw NUL", get("/v1/blobs/\x00" + id[1:]), 400, false},
		{"64 KiB name", get("/v1/blobs/" + strings.Repeat("%41", 64<<10)), 400, false},
		{"header bomb", get(blob, "X: "+strings.Repeat("a", 2<<20)), 431, false},
		{"many headers", get(blob, strings.Repeat("X: a\r\n", 300_000)+"Y: b"), 431, false},
		{"range beyond 64 bits", get(blob, "Range: bytes="+huge+"-"), 416, false},
		{"end beyond 64 bits", get(blob, "Range: bytes=0-"+huge), 206, false},
		{"suffix beyond 64 bits", get(blob, "Range: bytes=-"+huge), 206, false},
		{"range that ends before it starts", get(blob, "Range: bytes=5-1"), 416, false},
		{"negative range", get(blob, "Range: bytes=--1"), 416, false},
		{"thousands of ranges", get(blob, many), 416, false},
		{"many headers with ranges", get(blob, "Range: bytes=0-0", "Range: bytes=1-1"), 206, false},
		{"byte-range that overflows", get(blob + "/byte-range?start=9223372036854775807&length=9223372036854775807"), 400,
			false},
		{"byte-range of nothing", get(blob + "/byte-range?start=0&length=0"), 400, false},
		{"another host", strings.Replace(get(blob), "localhost", "evil.example", 1), 421, false},
		{"another host, absolute form", strings.Replace(get("http://evil.example"+blob), "localhost", "127.0.0.1", 1), 421,
			false},
		{"two hosts", get(blob, "Host: localhost"), 400, false},
		{"no host", "GET " + blob + " HTTP/1.1\r\n\r\n", 400, false},
		{"not HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, false},
		{"SSH", "SSH-2.0-OpenSSH_9.9\r\n\r\n", 400, false},
		{"HTTP/3.7", "GET / HTTP/3.7\r\nHost: localhost\r\n\r\n", 505, false},
		{"TRACE", "TRACE " + blob + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, false},
		{"CONNECT", "CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", 0, false},
		{"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 0, false},
		{"HEAD", "HEAD " + blob + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, false},
		{"HEAD with ranges", "HEAD " + blob + " HTTP/1.1\r\nHost: localhost\r\nRange: bytes=5-1\r\n\r\n", 200, false},
		{"GET with a body", get(blob, "Content-Length: 3") + "abc", 200, false},
		{"upgrade", get(blob, "Connection: upgrade", "Upgrade: websocket"), 200, false},
		{"method override", strings.Replace(get(blob, "X-HTTP-Method-Override: DELETE"), "GET", "POST", 1), 405, false},
		{"body far too large", put("Content-Length: 99999999999999\r\n", ""), 413, false},
		{"length beyond 64 bits", put("Content-Length: "+huge+"\r\n", ""), 400, false},
		{"negative length", put("Content-Length: -1\r\n", ""), 400, false},
		{"length with a sign", put("Content-Length: +3\r\n", "abc"), 400, false},
		{"two lengths", put("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd"), 400, false},
		{"chunked and identity", put("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"), 501, false},
		{"chunked with a space", put("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400, false},
		{"hidden chunked", put("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 501, false},
		{"chunks and a folded header", put("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), 0, false},
		{"chunk of 2^64", put("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\nabc"), 400, false},
		{"chunk that is none", put("Transfer-Encoding: chunked\r\n", "zz\r\nabc"), 400, false},
		{"chunk extensions", put("Transfer-Encoding: chunked\r\n", "1;"+strings.Repeat("x", 8000)+"\r\na\r\n"), 400, false},
		{"endless chunks", put("Transfer-Encoding: chunked\r\n",
			strings.Repeat("2000\r\n"+strings.Repeat("x", 0x2000)+"\r\n", 20)), 413, false},
		{"trailer bomb", put("Transfer-Encoding: chunked\r\nTrailer: X\r\n", "0\r\nX: "+strings.Repeat("x", 300<<10)+
			"\r\n\r\n"), 0, false},
		{"unknown parameter", strings.Replace(put("Content-Length: 1\r\n", "a"), "/v1/blobs", "/v1/blobs?epoch=1", 1), 400,
			false},
		{"epochs beyond 32 bits", strings.Replace(put("Content-Length: 1\r\n", "a"), "/v1/blobs",
			"/v1/blobs?epochs=4294967297", 1), 400, false},
		{"leaves in mid-upload", put("Content-Length: 60000\r\n", strings.Repeat("x", 30_000)), 0, true},
		{"leaves in mid-chunk", put("Transfer-Encoding: chunked\r\n", "8000\r\nxxx"), 0, true},
		{"leaves in mid-header", "PUT /v1/blobs HTTP/1.1\r\nHost: loc", 0, true},
		{"leaves in mid-download", get(blob), 0, true},
		{"leaves in mid-form", "POST /explorer/upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 60000\r\n\r\n" +
			"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n" + strings.Repeat("x", 30_000), 0,
			true},
		{"form of another site", "POST /explorer/upload HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\n\r\n", 403, false},
		{"streams that are reset at once", rapidReset(blob, 200), 0, true},
		{"HTTP/2 with garbage", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("\xff", 200), 0, true},
		{"preflight", "OPTIONS /v1/blobs HTTP/1.1\r\nHost: localhost\r\nOrigin: http://x\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: authorization\r\n\r\n", 200, false},
		{"range of the whole, pipelined", get(blob, "Range: bytes=0-"+strconv.Itoa(size-1)) + get(blob), 206, false},
	}
}

// TestGatewayHostile attacks a gateway on its sockets: each attack gets its answer, the log has no panic, and in the
// end goroutines, files and memory are back at their earlier level. WALRUS_LOAD=1 means 10,000 attacks.
func TestGatewayHostile(t *testing.T) {
	if testing.Short() {
		t.Skip("starts five processes")
	}
	count := 300
	if os.Getenv("WALRUS_LOAD") != "" {
		count = 10_000
	}
	t.Parallel() // mostly waits for connections to end
	temp := t.TempDir()
	c := newCluster(t, config.DevnetOptions{Nodes: 4, Shards: 10})
	c.awaitHealth()
	metrics := freeAddress(t)
	c.temp = temp
	w := c.daemon("daemon", "--max-body-size", "64", "--metrics-address", metrics, "--publisher-max-buffer-size", "1000",
		"--log-level", "debug",
		"--upload-dir", filepath.Join(c.dir, "uploads"))
	content := make([]byte, 60_000)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(content)
	id, _, err := w.put(t.Context(), content)
	if err != nil {
		t.Fatal(err)
	}
	list := attacks(id, len(content))
	warm := len(list) // everything created only once exists by now
	w.attacked(t, list, warm)
	before := vitals(t, metrics, nil)
	begin := time.Now()
	w.attacked(t, list, count)
	t.Logf("%d attacks in %v", count, time.Since(begin).Round(time.Millisecond))
	after := vitals(t, metrics, before)
	t.Logf("before: %v; after: %v; greatest memory %d MiB", before, after, w.resident(t)>>20)
	if grown := after["process_resident_memory_bytes"] - before["process_resident_memory_bytes"]; grown > 256<<20 {
		t.Errorf("memory grew by %.0f MiB", grown/(1<<20))
	}
	if left, err := filepath.Glob(filepath.Join(temp, "walrus-*")); err != nil || len(left) > 0 {
		t.Errorf("temporary files stay behind: %v %v", left, err)
	}
	log, err := os.ReadFile(w.log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "panic") || strings.Contains(line, "level=ERROR") {
			t.Errorf("in the log: %.500s", line)
		}
	}
	if a := w.ask(t.Context(), http.MethodGet, "/v1/blobs/"+id, nil); a.err != nil || !bytes.Equal(a.body, content) {
		t.Errorf("the gateway does not serve any more: %d %v", a.code, a.err)
	}
	if err := w.stop(); err != nil {
		t.Errorf("the gateway ended with %v", err)
	}
}

// attacked makes count attacks, some of them at once.
func (w *web) attacked(t *testing.T, list []attack, count int) {
	t.Helper()
	const workers = 16
	crowd(t, workers, func(i int) error {
		for k := i; k < count; k += workers {
			a := &list[(k*7919+k/len(list))%len(list)] // mixes the attacks differently in each round
			if err := w.attack(t.Context(), a); err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
		}
		return nil
	})
}

func (w *web) attack(ctx context.Context, a *attack) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	_, err = io.WriteString(conn, a.send)
	if a.leave {
		return nil
	}
	if err != nil && a.code == 0 {
		return nil
	}
	method, _, _ := strings.Cut(a.send, " ")
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	switch {
	case err != nil && a.code == 0:
		return nil
	case err != nil:
		return fmt.Errorf("want %d: %w", a.code, err)
	}
	defer res.Body.Close()
	switch body, err := io.ReadAll(res.Body); {
	case a.code == 0 && (res.StatusCode < 500 || res.StatusCode == http.StatusNotImplemented):
		return nil
	case err != nil && res.StatusCode < 400: // unread bytes may reset the connection and cut the refusal short
		return fmt.Errorf("status %d: %w", res.StatusCode, err)
	case res.StatusCode != a.code:
		return fmt.Errorf("status %d, want %d: %.200s", res.StatusCode, a.code, body)
	}
	return nil
}

// vitals reads the state of the process. With an earlier state, it waits until goroutines and files are back at that
// level.
func vitals(t *testing.T, metrics string, before map[string]float64) map[string]float64 {
	t.Helper()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	for {
		a := (&web{url: "http://" + metrics}).ask(ctx, http.MethodGet, "/metrics", nil, "Connection", "close")
		if a.err != nil {
			t.Fatal(a.err)
		}
		now := map[string]float64{"go_goroutines": 0, "process_open_fds": 0, "process_resident_memory_bytes": 0,
			`http_server_active_requests{http_request_method="PUT"}`: 0}
		for line := range strings.Lines(string(a.body)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			if _, wanted := now[name]; wanted {
				now[name], _ = strconv.ParseFloat(value, 64)
			}
		}
		back := true
		for _, name := range []string{"go_goroutines", "process_open_fds"} {
			back = back && (before == nil || now[name] <= before[name]+10) // the network's own vary
		}
		if back {
			return now
		}
		if !pause.For(ctx, 200*time.Millisecond) {
			t.Fatalf("before: %v; and now: %v", before, now)
		}
	}
}

// freeAddress returns an address that nobody listens on, most likely for a while.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// otherTail returns another last character for a blob ID, with the same four significant bits.
func otherTail(c byte) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return digits[strings.IndexByte(digits, c)^1:][:1]
}

// rapidReset returns HTTP/2 data that opens streams and resets them before there can be an answer.
func rapidReset(path string, streams int) string {
	var b bytes.Buffer
	b.WriteString("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	frame := func(kind, flags byte, stream int, payload []byte) {
		b.Write([]byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags, byte(stream >> 24),
			byte(stream >> 16), byte(stream >> 8), byte(stream)})
		b.Write(payload)
	}
	frame(4, 0, 0, nil)                                                  // SETTINGS
	header := append([]byte{0x82, 0x86, 0x04, byte(len(path))}, path...) // GET, http, path
	header = append(append(header, 0x01, 9), "localhost"...)             // authority
	for stream := 1; stream < 2*streams; stream += 2 {
		frame(1, 0x5, stream, header)           // HEADERS that end stream and headers
		frame(3, 0, stream, []byte{0, 0, 0, 8}) // RST_STREAM: cancel
	}
	return b.String()
}
