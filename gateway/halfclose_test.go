package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"walrus/gateway"
)

// listen serves a gateway with Serve, as a process does; a nil handler means the gateway's own.
func listen(t testing.TB, handler http.Handler, adjust func(*gateway.Config)) (addr string) {
	t.Helper()
	cfg := fullConfig()
	cfg.Store.TempDir, cfg.Time.Drain = t.TempDir(), 100*time.Millisecond
	if adjust != nil {
		adjust(&cfg)
	}
	g, err := gateway.New(cfg, shared.client, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if handler == nil {
		handler = g.Handler()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, l, handler) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// halfClose sends a request and closes the sending side.
func halfClose(t testing.TB, addr, request string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	tcp := c.(*net.TCPConn)
	if err := tcp.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	return tcp
}

// TestHalfClosed: a client that closes its sending side after the request gets its answer.
func TestHalfClosed(t *testing.T) {
	addr := listen(t, nil, nil)
	data := random(90, 3<<20)
	id := put(t, "http://"+addr+"/v1/blobs", data)
	body, kind := newForm(t, testFile{"a", data[:5000]})
	quilt := fmt.Sprintf("PUT /v1/quilts HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		kind, len(body), body)
	ids := `{"ids":["` + id + `"]}`
	for request, want := range map[string][]byte{
		"GET /v1/blobs/" + id + " HTTP/1.1\r\nHost: x\r\n\r\n":                                                         data,
		"GET /v1/blobs/" + id + "?strict_consistency_check=true HTTP/1.0\r\n\r\n":                                      data,
		"GET /v1/blobs/" + id + " HTTP/1.1\r\nHost: x\r\nRange: bytes=5-9\r\n\r\n":                                     data[5:10],
		"POST /v1alpha/blobs/concat HTTP/1.1\r\nHost: x\r\nContent-Length: " + fmt.Sprint(len(ids)) + "\r\n\r\n" + ids: data,
		"PUT /v1/blobs HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nnew":                                            nil,
		quilt: nil,
	} {
		c := halfClose(t, addr, request)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("%.60q: %v", request, err)
			continue
		}
		got, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode >= 300 || want != nil && !bytes.Equal(got, want) {
			t.Errorf("%.60q: %d, %d bytes, %v", request, res.StatusCode, len(got), err)
		}
	}
}

// waiting is a handler that reports when requests begin and end.
type waiting struct{ began, ended chan string }

func (h waiting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.began <- r.URL.Path
	if strings.HasPrefix(r.URL.Path, "/writes") {
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, "x")
			_ = http.NewResponseController(w).Flush()
		}
	}
	<-r.Context().Done()
	h.ended <- r.URL.Path
}

// TestLeftForGood: a request whose client is gone, or gets no bytes, is held for a while only, and only a bounded
// number at once.
func TestLeftForGood(t *testing.T) {
	h := waiting{make(chan string, 200), make(chan string, 200)}
	patience := 2 * time.Minute
	addr := listen(t, h, func(c *gateway.Config) { c.Time.Stall = patience })
	get := func(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n" }
	// Closed completely: the first bytes written are refused.
	_ = halfClose(t, addr, get("/writes")).Close()
	if path := <-h.ended; path != "/writes" {
		t.Fatal(path)
	}
	// Reset.
	c := halfClose(t, addr, get("/writes/reset"))
	if err := c.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	<-h.ended
	// The maximum number continue; the last two count as gone at once.
	for i := range 66 {
		halfClose(t, addr, get(fmt.Sprintf("/waits/%d", i)))
	}
	for range 2 {
		<-h.ended
	}
	for len(h.began) < 2+66 {
		<-time.Tick(time.Millisecond)
	}
	if n := len(h.ended); n > 0 {
		t.Errorf("%d of 64 more ended", n)
	}
}

// TestSilentHalfClosed: a client that has stopped sending and gets no bytes is dropped after the stall time.
func TestSilentHalfClosed(t *testing.T) {
	h := waiting{make(chan string, 1), make(chan string, 1)}
	addr := listen(t, h, func(c *gateway.Config) { c.Time.Stall = 300 * time.Millisecond })
	begin := time.Now()
	halfClose(t, addr, "GET /waits HTTP/1.1\r\nHost: x\r\n\r\n")
	<-h.ended
	if took := time.Since(begin); took < 300*time.Millisecond {
		t.Errorf("let go of after %s", took)
	}
}
