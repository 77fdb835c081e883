package guard

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// TestStall: on a real connection, a client that sends a byte now and then is cut off.
func TestStall(t *testing.T) {
	trickle(t, newGuard(t, func(c *Config) { c.Times.Stall = 100 * time.Millisecond }), 1)
}

// TestSlowBodyEnds: a body that arrives just fast enough holds its place no longer than the request's time limit.
func TestSlowBodyEnds(t *testing.T) {
	trickle(t, newGuard(t, func(c *Config) { c.Times.Stall, c.Times.Write = time.Hour, 100*time.Millisecond }), 1000)
}

// trickle sends a body, some bytes at a time, until the guard ends it.
func trickle(t *testing.T, g *Guard, some int) {
	t.Helper()
	failed := make(chan error, 1)
	s := httptest.NewServer(g.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		failed <- err
	})))
	defer s.Close()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PUT /v1/blobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\nx")
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-failed:
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the body ended with %v", err)
			}
			return
		case <-tick.C:
			fmt.Fprint(conn, strings.Repeat("x", some))
		}
	}
}

// TestStallingReader: a client that reads nothing is cut off, however much is written at once.
func TestStallingReader(t *testing.T) {
	g := newGuard(t, func(c *Config) { c.Times.Stall = 50 * time.Millisecond })
	failed := make(chan error, 1)
	s := httptest.NewServer(g.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(make([]byte, 64<<20))
		failed <- err
	})))
	defer s.Close()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /v1/blobs/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
	select {
	case err := <-failed:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("writing ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the client still holds its place")
		conn.Close()
		<-failed
	}
}

// TestRefusalDoesNotWait: a refused client gets the answer even if the body never comes.
func TestRefusalDoesNotWait(t *testing.T) {
	g := newGuard(t, nil)
	s := httptest.NewServer(g.Wrap(http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })))
	defer s.Close()
	for name, request := range map[string]string{
		"refused by the guard":   "PUT / HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 100\r\n\r\nx",
		"refused by the handler": "PUT / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	} {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := conn.SetDeadline(begin.Add(Default().Times.Stall)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, request)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode < 400 {
			t.Fatalf("%s: %v, %v", name, res, err)
		}
		if took := time.Since(begin); took > Default().Times.Stall/2 {
			t.Errorf("%s: the answer came after %v", name, took)
		}
		_, _ = res.Body.Close(), conn.Close()
	}
}
