package swarmtest

import (
	"net"
	"time"

	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// conn is one end of a connection, before TLS and yamux.
type conn struct {
	net                   *Network
	local                 int   // host at this end
	in, out               *pipe // swapped at the other end
	localAddr, remoteAddr multiaddr.Multiaddr
}

var _ manet.Conn = (*conn)(nil)

// Read returns what has arrived; io.EOF after the other end has closed.
func (c *conn) Read(b []byte) (int, error) { return c.in.read(b) }

// Write blocks only while the window is full.
func (c *conn) Write(b []byte) (int, error) { return c.out.write(b) }

// Close lets the other end read the bytes in flight.
func (c *conn) Close() error {
	c.net.mu.Lock()
	delete(c.net.conns, c)
	c.net.mu.Unlock()
	c.out.end()
	c.in.leave()
	return nil
}

// SetDeadline sets both deadlines.
func (c *conn) SetDeadline(t time.Time) error {
	c.in.setReadDeadline(t)
	c.out.setWriteDeadline(t)
	return nil
}

// SetReadDeadline wakes a blocked Read when t comes.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.setReadDeadline(t)
	return nil
}

// SetWriteDeadline wakes a blocked Write when t comes.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.out.setWriteDeadline(t)
	return nil
}

// LocalMultiaddr returns this end's address.
func (c *conn) LocalMultiaddr() multiaddr.Multiaddr { return c.localAddr }

// RemoteMultiaddr returns the other end's address.
func (c *conn) RemoteMultiaddr() multiaddr.Multiaddr { return c.remoteAddr }

// LocalAddr returns this end's address.
func (c *conn) LocalAddr() net.Addr { return netAddr(c.localAddr) }

// RemoteAddr returns the other end's address.
func (c *conn) RemoteAddr() net.Addr { return netAddr(c.remoteAddr) }

// netAddr converts an address that this package has made or checked.
func netAddr(a multiaddr.Multiaddr) net.Addr {
	n, err := manet.ToNetAddr(a)
	if err != nil {
		panic("swarmtest: " + err.Error())
	}
	return n
}
