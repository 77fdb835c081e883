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

// errChain reports a peer that runs another chain.
var errChain = errors.New("peer runs another chain")

// otherChain names the chain that a peer runs. It wraps errChain.
type otherChain struct{ what string }

func (o *otherChain) Error() string {
	return fmt.Sprintf("%v: %s", errChain, o.what)
}

func (o *otherChain) Unwrap() error { return errChain }

// genesisName returns a short name by which people tell one genesis from another.
func genesisName(id certs.NetworkID) string { return fmt.Sprintf("genesis %x", id[:8]) }

// greet compares chains with the peer: both sides first write the 32 bytes of their network ID. The network's name,
// which is in the protocol ID, might be the same for two networks.
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
		// Close only our side: the peer must still read our ID to know why.
		_ = st.CloseWrite()
		_, _ = st.Read(make([]byte, 1))
		return &otherChain{genesisName(theirs)}
	}
	if err := st.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("greet: %w", err)
	}
	return nil
}

// introduce sends a peer our network ID and nothing more, so that a peer whose stream we do not want can still compare
// its genesis.
func introduce(st network.Stream, id certs.NetworkID) {
	err := st.SetDeadline(time.Now().Add(greetTimeout))
	if err == nil {
		_, err = st.Write(id[:])
	}
	if err == nil {
		err = st.CloseWrite()
	}
	if err == nil {
		// Wait until the peer has read it: it then closes its side.
		_, err = io.CopyN(io.Discard, st, int64(len(id))+1)
	}
	if err == nil || !errors.Is(err, io.EOF) {
		st.Reset()
		return
	}
	_ = st.Close()
}

// streamConn adapts a libp2p stream to the connection over which CometBFT multiplexes its channels.
type streamConn struct {
	network.Stream
	local, remote *net.TCPAddr
}

var _ net.Conn = (*streamConn)(nil)

func newStreamConn(st network.Stream) *streamConn {
	local, _ := manet.ToNetAddr(st.Conn().LocalMultiaddr()) // nil if not IP
	remote, _ := manet.ToNetAddr(st.Conn().RemoteMultiaddr())
	return &streamConn{st, tcpAddr(local), tcpAddr(remote)}
}

// Write implements net.Conn. A peer that accepts nothing for writeTimeout is cut off.
func (c *streamConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Stream.Write(b)
}

// Close implements net.Conn. It drops unsent bytes: consensus does not depend on them.
func (c *streamConn) Close() error { return c.Reset() }

func (c *streamConn) LocalAddr() net.Addr { return c.local }

func (c *streamConn) RemoteAddr() net.Addr { return c.remote }

// tcpAddr returns a as a *net.TCPAddr, the type that CometBFT expects.
func tcpAddr(a net.Addr) *net.TCPAddr {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a
	case *net.UDPAddr:
		return &net.TCPAddr{IP: a.IP, Port: a.Port, Zone: a.Zone}
	}
	return &net.TCPAddr{IP: net.IPv4zero}
}
