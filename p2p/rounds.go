package p2p

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/internal/ipgroup"
	"walrus/p2p/internal/wire"
)

// RoundBackend answers the requests of the monitor protocol. Its methods are called concurrently, with contexts as the
// Backend's. Errors wrap the sentinels of this package.
type RoundBackend interface {
	// Receipts returns the receipts of this monitor's probes of a node in a round, at most MaxReceipts bytes. ErrNotFound
	// if there are none, or no longer.
	Receipts(ctx context.Context, from peer.ID, round uint64, node peer.ID) ([]byte, error)
	// PutFault takes evidence that convicts this node, at most MaxFault bytes. ErrBadRequest for evidence that convicts
	// nobody, or others; ErrBusy.
	PutFault(ctx context.Context, from peer.ID, evidence []byte) error
	// Relay probes the peer that asks and gossips the result, because a monitor did not reach that peer in a round.
	// ErrNotOwner at a host that is no member, ErrBadRequest for a round that is over or an accuser that is unknown,
	// ErrUnavailable for a peer that does not answer this host either, ErrBusy.
	Relay(ctx context.Context, from peer.ID, round uint64, accuser peer.ID) error
	// Scores tells what this peer has heard from monitors of the members. ErrUnavailable before it knows them.
	Scores(ctx context.Context) (Scores, error)
}

// roundOperation runs the operations of the monitor protocol.
func roundOperation(ctx context.Context, x *request) error {
	switch op := x.GetOp().(type) {
	case *wire.Request_GetReceipts:
		node, err := peer.IDFromBytes(op.GetReceipts.GetNode())
		if err != nil {
			return fmt.Errorf("%w: receipts of a malformed peer ID", ErrBadRequest)
		}
		return x.replyBytes(x.rounds.Receipts(ctx, x.from, op.GetReceipts.GetRound(), node))
	case *wire.Request_PutFault:
		evidence, err := x.body.all()
		if err == nil {
			err = x.rounds.PutFault(ctx, x.from, evidence)
		}
		return x.replyBytes(nil, err)
	case *wire.Request_Relay:
		accuser, err := peer.IDFromBytes(op.Relay.GetAccuser())
		if err != nil {
			return fmt.Errorf("%w: an accuser with a malformed peer ID", ErrBadRequest)
		}
		return x.replyBytes(nil, x.rounds.Relay(ctx, x.from, op.Relay.GetRound(), accuser))
	case *wire.Request_GetScores:
		s, err := x.rounds.Scores(ctx)
		return x.replyBytes(s.Marshal(), err)
	}
	return fmt.Errorf("%w: %s is not an operation of this protocol", ErrBadRequest, x.name())
}

// Rounds asks peers about rounds of probes. Errors are as of the other requests.
type Rounds struct{ h *Host }

// RoundsOf returns the requests of h about rounds of probes.
func RoundsOf(h *Host) Rounds { return Rounds{h} }

// NetworkOf returns the block of addresses from which a peer is connected to h, see ipgroup.Block; the zero Prefix if
// it is not connected, or over a relay only.
func NetworkOf(h *Host, id peer.ID) netip.Prefix {
	for _, c := range h.host.Network().ConnsToPeer(id) {
		if ip := ipgroup.IP(c.RemoteMultiaddr()); ip.IsValid() && !c.Stat().Limited {
			return ipgroup.Block(ip)
		}
	}
	return netip.Prefix{}
}

// Serve lets b answer requests of the monitor protocol, as Host.Serve does for the others, with the same limits apart
// from them.
func (r Rounds) Serve(ctx context.Context, b RoundBackend) error {
	ctx, s, err := r.h.newServer(ctx, &r.h.rounds, nil)
	if err != nil {
		return err
	}
	s.rounds = b
	r.h.handle(monitorProtocol, false, func(st network.Stream) {
		s.serve(ctx, r.h.counted(st), st.Conn().RemotePeer(), roundOperation)
	})
	return nil
}

// Receipts fetches a monitor's unverified receipts of a node in a round.
func (r Rounds) Receipts(ctx context.Context, monitor peer.ID, round uint64, node peer.ID) (receipts []byte, err error) {
	defer describe(&err, monitor, "receipts of %s in round %d", node, round)
	req := &wire.Request{Op: &wire.Request_GetReceipts{GetReceipts: &wire.GetReceipts{Round: round, Node: []byte(node)}}}
	return r.h.askBytes(ctx, target{monitor, monitorProtocol}, req, nil)
}

// PutFault gives a node the evidence that convicts it.
func (r Rounds) PutFault(ctx context.Context, to peer.ID, evidence []byte) (err error) {
	defer describe(&err, to, "put evidence of a fault")
	if len(evidence) > MaxFault {
		return fmt.Errorf("%w: evidence of %d bytes: the limit is %d", ErrBadRequest, len(evidence), MaxFault)
	}
	_, err = r.h.askBytes(ctx, target{to, monitorProtocol}, &wire.Request{Op: &wire.Request_PutFault{PutFault: new(wire.PutFault)}}, evidence)
	return err
}

// Relay asks a member to probe this host and to gossip the result, because accuser did not reach this host in a round.
func (r Rounds) Relay(ctx context.Context, member peer.ID, round uint64, accuser peer.ID) (err error) {
	defer describe(&err, member, "relay an answer to %s of round %d", accuser, round)
	req := &wire.Request{Op: &wire.Request_Relay{Relay: &wire.Relay{Round: round, Accuser: []byte(accuser)}}}
	_, err = r.h.askBytes(ctx, target{member, monitorProtocol}, req, nil)
	return err
}

// Scores asks a peer what it has heard from monitors. None of it is proven.
func (r Rounds) Scores(ctx context.Context, to peer.ID) (s Scores, err error) {
	defer describe(&err, to, "what monitors say")
	b, err := r.h.askBytes(ctx, target{to, monitorProtocol}, &wire.Request{Op: &wire.Request_GetScores{GetScores: new(wire.GetScores)}}, nil)
	if err != nil {
		return Scores{}, err
	}
	if s, err = UnmarshalScores(b); err != nil {
		return Scores{}, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return s, nil
}
