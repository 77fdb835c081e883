package pinapi

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// TestListenIsBounded: connections beyond the bound wait until others end.
func TestListenIsBounded(t *testing.T) {
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 2*maxConnections)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	for range maxConnections + 1 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	var open []net.Conn
	for range maxConnections {
		open = append(open, <-accepted)
	}
	select {
	case <-accepted:
		t.Fatal("a connection beyond the bound is accepted")
	case <-time.After(50 * time.Millisecond):
	}
	for _, c := range open {
		defer c.Close()
	}
	if err := open[0].Close(); err != nil {
		t.Fatal(err)
	}
	defer (<-accepted).Close()
}

// TestSlowClient: a client that takes no answer loses its connection.
func TestSlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			var err error
			for err == nil {
				_, err = w.Write(make([]byte, 64<<10))
			}
			ended <- err
		})
		client, server := net.Pipe()
		defer client.Close()
		srv := NewServer(h, slog.New(slog.DiscardHandler))
		go srv.Serve(&single{conn: server, closed: make(chan struct{})})
		defer srv.Close()
		if _, err := io.WriteString(client, "GET /pins HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		<-ended
		if took := time.Since(start); took > answerTime+time.Second {
			t.Errorf("the answer ended after %v", took)
		}
	})
}

// single is a listener with one connection.
type single struct {
	conn   net.Conn
	closed chan struct{}
}

func (s *single) Accept() (net.Conn, error) {
	if c := s.conn; c != nil {
		s.conn = nil
		return c, nil
	}
	<-s.closed
	return nil, net.ErrClosed
}

func (s *single) Close() error {
	close(s.closed)
	return nil
}

func (s *single) Addr() net.Addr { return &net.TCPAddr{} }
