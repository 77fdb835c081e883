package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// maxHalfClosed bounds requests that continue although their clients no longer send. A client that has left looks the
// same until something is written, so each may hold a place for a while. Beyond the bound, closing the sending side
// counts as leaving.
const maxHalfClosed = 64

// halfClosed lets clients close their sending side once the request is out, as RFC 9112 §9.6 allows. net/http takes
// such a client for gone and cancels the request. halfClosed cancels it only
//
//	at once, if the connection broke or too many such requests go on;
//	when writing to it fails: a client that has left answers the first bytes with a reset;
//	when nothing was written for so long that a client who is there would be cut for standing still.
type halfClosed struct {
	base     context.Context // ends all requests
	patience time.Duration
	places   chan struct{}
}

func newHalfClosed(base context.Context, patience time.Duration) *halfClosed {
	return &halfClosed{base, patience, make(chan struct{}, maxHalfClosed)}
}

type connKey struct{}

// connContext implements http.Server.ConnContext. The server's listener must be a watchedListener.
func (*halfClosed) connContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// wrap calls next with a context that ends when the client has left.
func (h *halfClosed) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := r.Context().Value(connKey{}).(*watchedConn)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
		defer cancel()
		defer context.AfterFunc(r.Context(), func() {
			defer cancel()
			h.await(ctx, c)
		})()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// await is called for a request that net/http has cancelled. It returns when the client counts as gone.
func (h *halfClosed) await(ctx context.Context, c *watchedConn) {
	if !c.ended.Load() {
		return
	}
	select {
	case h.places <- struct{}{}:
		defer func() { <-h.places }()
	default:
		return
	}
	silent := time.NewTimer(h.patience)
	defer silent.Stop()
	for {
		select {
		case <-ctx.Done(): // the request was answered
			return
		case <-h.base.Done():
			return
		case <-c.gone:
			return
		case <-c.wrote:
			silent.Reset(h.patience)
		case <-silent.C:
			if c.writing.Load() == 0 { // a write has its own deadline
				return
			}
			silent.Reset(h.patience)
		}
	}
}

// watchedListener accepts connections that report how they end.
type watchedListener struct{ net.Listener }

func (l watchedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &watchedConn{Conn: c, wrote: make(chan struct{}, 1), gone: make(chan struct{})}, nil
}

// watchedConn tells a client that has only stopped sending from one that has left.
type watchedConn struct {
	net.Conn
	ended   atomic.Bool // the client has closed its sending side
	writing atomic.Int32
	wrote   chan struct{} // has room for one
	gone    chan struct{} // closed when reading or writing fails, and when the connection is closed
	once    sync.Once
}

func (c *watchedConn) leave() { c.once.Do(func() { close(c.gone) }) }

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	switch {
	case err == nil, errors.Is(err, os.ErrDeadlineExceeded):
	case errors.Is(err, io.EOF):
		c.ended.Store(true)
	default:
		c.leave()
	}
	return n, err
}

func (c *watchedConn) Write(p []byte) (int, error) {
	c.writing.Add(1)
	n, err := c.Conn.Write(p)
	c.writing.Add(-1)
	if err != nil {
		c.leave()
		return n, err
	}
	select {
	case c.wrote <- struct{}{}:
	default:
	}
	return n, nil
}

func (c *watchedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
