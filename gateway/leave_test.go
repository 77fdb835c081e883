package gateway_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"walrus/gateway"
)

// settled waits until no request is running and no client connection is open. The network's own goroutines vary.
func settled(t *testing.T) {
	t.Helper()
	deadline := time.After(time.Minute)
	buf := make([]byte, 16<<20)
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		var busy []string
		for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "net/http.(*conn).serve(") || strings.Contains(g, "walrus/gateway.") {
				busy = append(busy, g)
			}
		}
		if len(busy) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d goroutines stay:\n%s", len(busy), strings.Join(busy, "\n\n"))
		}
	}
}

// openFiles counts the open files of this process.
func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(list)
}

// TestDisconnects lets many clients leave during uploads and downloads: nothing is left over.
func TestDisconnects(t *testing.T) {
	s := serve(t, nil)
	addr := s.Listener.Addr().String()
	id := put(t, s.URL+"/v1/blobs", random(3, 4<<20))
	settled(t)
	files := openFiles(t)
	for i := range 50 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		request := "PUT /v1/blobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 500_000)
		if i%2 == 1 {
			request = "GET /v1/blobs/" + id + " HTTP/1.1\r\nHost: x\r\n\r\n"
		}
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	settled(t)
	if n := openFiles(t); n > files+10 {
		t.Errorf("%d open files, %d before", n, files)
	}
}

// TestSlowReader cuts off a client that reads nothing.
func TestSlowReader(t *testing.T) {
	s := serve(t, func(c *gateway.Config) { c.Time.Stall = time.Second })
	data := random(4, 9<<20)
	id := put(t, s.URL+"/v1/blobs", data)
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "GET /v1/blobs/%s HTTP/1.1\r\nHost: x\r\n\r\n", id)
	if _, err := io.ReadFull(c, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	settled(t) // 9 MiB exceed the connection's buffers
}
