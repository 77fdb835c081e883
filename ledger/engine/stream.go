package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	manet "github.com/multiformats/go-multiaddr/net"

	"walrus/certs"
)

// errChain: the peer speaks our protocol on another chain.
var errChain = errors.New("its genesis is not ours, though the network's name is the same")

// otherChain says on which. It is an errChain.
type otherChain struct{ what string }

func (o *otherChain) Error() string {
	return fmt.Sprintf("%v: it has %s", errChain, o.what)
}

func (o *otherChain) Unwrap() error { return errChain }

// genesisName is how people tell one genesis from another.
func genesisName(id certs.NetworkID) string { return fmt.Sprintf("genesis %x", id[:8]) }

// greet says which chain we run and hears what the peer runs: both sides write the 32 bytes of their network ID first.
// The network's name, which is in the protocol ID, could be the same for two.
func greet(ctx context.Context, st network.Stream, id certs.NetworkID) error {
	defer context.AfterFunc(ctx, func() { st.Reset() })()
	deadline := time.Now().Add(greetTimeout)
	if err := st.SetDeadline(deadline); err != nil {
		return fmt.Errorf("greet: %w", err)
	}
	if _, err := st.Write(id[:]); err != nil {
		return fmt.Errorf("greet: %w", err)
	}
	var theirs certs.NetworkID
	if _, err := io.ReadFull(st, theirs[:]); err != nil {
		return fmt.Errorf("greet: %w", err)
	}
	if theirs != id {
		// Not cut off before the peer has read ours, or it would not know why.
		_ = st.CloseWrite()
		_, _ = st.Read(make([]byte, 1))
		return &otherChain{genesisName(theirs)}
	}
	if err := st.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("greet: %w", err)
	}
	return nil
}

// introduce tells a peer which chain we run, and no more: one that is not welcome, or need not open a stream, can so see
// whether its genesis is ours.
func introduce(st network.Stream, id certs.NetworkID) {
	err := st.SetDeadline(time.Now().Add(greetTimeout))
	if err == nil {
		_, err = st.Write(id[:])
	}
	if err == nil {
		err = st.CloseWrite()
	}
	if err == nil {
		// Not cut off before the peer has read it: it closes its side then.
		_, err = io.CopyN(io.Discard, st, int64(len(id))+1)
	}
	if err == nil || !errors.Is(err, io.EOF) {
		st.Reset()
		return
	}
	_ = st.Close()
}

// streamConn makes a stream what CometBFT multiplexes its channels over.
type streamConn struct {
	network.Stream
	local, remote *net.TCPAddr
}

var _ net.Conn = (*streamConn)(nil)

func newStreamConn(st network.Stream) *streamConn {
	local, _ := manet.ToNetAddr(st.Conn().LocalMultiaddr()) // nil for what is not IP
	remote, _ := manet.ToNetAddr(st.Conn().RemoteMultiaddr())
	return &streamConn{st, tcpAddr(local), tcpAddr(remote)}
}

// Write implements net.Conn. A peer that takes nothing for a while is cut off.
func (c *streamConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Stream.Write(b)
}

// Close implements net.Conn. It does not wait for what was not sent yet: nothing in consensus depends on a last word.
func (c *streamConn) Close() error { return c.Reset() }

// LocalAddr implements net.Conn.
func (c *streamConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *streamConn) RemoteAddr() net.Addr { return c.remote }

// tcpAddr is a as CometBFT wants to see addresses.
func tcpAddr(a net.Addr) *net.TCPAddr {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a
	case *net.UDPAddr:
		return &net.TCPAddr{IP: a.IP, Port: a.Port, Zone: a.Zone}
	}
	return &net.TCPAddr{IP: net.IPv4zero}
}
