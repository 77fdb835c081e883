package p2p

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"

	"walrus/p2p/internal/wire"
)

// Outside tells how this host looks from outside, and how others reach it.
type Outside struct{ h *Host }

// Outside returns the view of this host from outside.
func (h *Host) Outside() Outside { return Outside{h} }

// Whoami asks a peer for the address from which it sees this host, over the direct connection that is open to it, or a
// new one. Four peers that see the same address tell that the router keeps the port (a cone NAT); different ports tell
// that it does not (a symmetric NAT). To measure one transport, connect by addresses of that transport. Errors wrap
// ErrUnavailable, or ErrProtocol.
func (o Outside) Whoami(ctx context.Context, to peer.ID) (observed multiaddr.Multiaddr, err error) {
	defer describe(&err, to, "observed address")
	seen, err := o.ask(ctx, to, new(wire.Whoami), whoamiTime)
	if err != nil {
		return nil, err
	}
	return multiaddr.NewMultiaddrBytes(seen.GetObserved())
}

// Dialled reports what came of a dial to this host.
type Dialled struct {
	Observed multiaddr.Multiaddr // from which the peer that was asked sees this host
	OK       bool                // the dialler reached this host, and this host proved its identity
	Refused  bool                // nobody dialled: see Why. Limits are reached, or the address is not ours
	Why      string              // the peer's words, unless OK
	By       peer.ID             // the peer that dialled; empty if nobody did
}

// DialBack asks a peer to dial an address of this host, from a port and an identity that this host has not seen. The
// address must have the IP address from which the peer sees this host. With elsewhere, the peer asks another member to
// dial: that one has, in general, no connection here, so a router with a hole for the peer asked does not let it in.
// Errors wrap ErrUnavailable if the peer does not answer, and ErrBadRequest for an address without IP or port.
func (o Outside) DialBack(ctx context.Context, via peer.ID, addr multiaddr.Multiaddr, elsewhere bool) (d Dialled, err error) {
	defer describe(&err, via, "dial back to %s", addr)
	if !dialable(addr) {
		return d, fmt.Errorf("%w: want an IP address with a TCP or a QUIC port", ErrBadRequest)
	}
	seen, err := o.ask(ctx, via, &wire.Whoami{Address: addr.Bytes(), Elsewhere: elsewhere}, passOnTime+whoamiTime)
	if err != nil {
		return d, err
	}
	d = Dialled{OK: seen.GetDial() == wire.DialOK, Refused: seen.GetDial() == wire.DialRefused, Why: printable(seen.GetText())}
	if d.Observed, err = multiaddr.NewMultiaddrBytes(seen.GetObserved()); err != nil {
		return Dialled{}, fmt.Errorf("%w: observed address: %w", ErrProtocol, err)
	}
	if len(seen.GetDialler()) > 0 {
		if d.By, err = peer.IDFromBytes(seen.GetDialler()); err != nil {
			return Dialled{}, fmt.Errorf("%w: peer that dialled: %w", ErrProtocol, err)
		}
	}
	if d.By != "" && !elsewhere && d.By != via { // else one liar could speak for many
		return Dialled{}, fmt.Errorf("%w: %s says that %s dialled", ErrProtocol, via, d.By)
	}
	if seen.GetDial() == wire.DialNone {
		return Dialled{}, fmt.Errorf("%w: the peer did not say what came of the dial", ErrProtocol)
	}
	o.h.watch.told(addr, d)
	return d, nil
}

// askWhoami sends one question on a new stream over a direct connection.
func (o Outside) ask(ctx context.Context, to peer.ID, q *wire.Whoami, patience time.Duration) (*wire.Seen, error) {
	h := o.h
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	st, err := h.host.NewStream(ctx, to, protocolID(h.cfg.Network, whoamiProtocol))
	if err != nil {
		return nil, callError(context.Cause(ctx), err)
	}
	defer context.AfterFunc(ctx, func() { _ = st.Reset() })()
	seen := new(wire.Seen)
	b, err := wire.AppendHeader(nil, q)
	if err == nil {
		_, err = st.Write(b)
	}
	if err == nil {
		err = wire.ReadHeader(bufio.NewReaderSize(st, readBuffer), seen)
	}
	if err == nil && len(seen.GetObserved()) == 0 {
		err = fmt.Errorf("%w: no observed address in the answer", ErrProtocol)
	}
	if err != nil {
		_ = st.Reset()
		return nil, callError(context.Cause(ctx), err)
	}
	_ = st.Close() // the answer is complete
	return seen, nil
}

// dialAlone dials a peer from a host of its own, with a fresh identity and fresh ports, so that no hole that a router
// has for this process helps. It closes the connection at once.
func dialAlone(ctx context.Context, id peer.ID, addr multiaddr.Multiaddr) (err error) {
	h, err := libp2p.New(
		libp2p.RandomIdentity, libp2p.NoListenAddrs, libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.ForceReachabilityPrivate(), libp2p.UserAgent("walrus-dial-back"),
		libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.ConnectionManager(connmgr.NullConnMgr{}),
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()), libp2p.Transport(libp2pquic.NewTransport),
		libp2p.Security(libp2ptls.ID, libp2ptls.New), libp2p.Security(noise.ID, noise.New), libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.SwarmOpts(swarm.WithUDPBlackHoleSuccessCounter(nil), swarm.WithIPv6BlackHoleSuccessCounter(nil)),
	)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInternal, err)
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	h.Peerstore().AddAddr(id, addr, peerstore.TempAddrTTL)
	if _, err := h.Network().DialPeer(ctx, id); err != nil {
		return flat{err}
	}
	return nil
}
