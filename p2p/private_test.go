package p2p

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/multiformats/go-multiaddr"
)

// only allows the listed peers.
func only(ids ...peer.ID) func(peer.ID) bool {
	return func(id peer.ID) bool { return slices.Contains(ids, id) }
}

// A stranger that dials a node or a pinner of a private network over TCP or QUIC gets no stream and no protocol, and is
// never among the connections. A listed peer and a member are served by the same host.
func TestPrivateRefusesStrangers(t *testing.T) {
	for name, role := range map[string]Role{"node": StorageNode, "pinner": Home} {
		for i, transport := range []string{"tcp", "quic"} {
			t.Run(name+"/"+transport, func(t *testing.T) {
				on := func(c *Config) { c.Role, c.Listen = role, c.Listen[i:i+1] }
				listed, member, stranger := newHost(t, on), newHost(t, on), newHost(t, on)
				server := newHost(t, func(c *Config) { on(c); c.Allow = only(listed.ID()) })
				server.Protect(member.ID(), TagCommittee)
				serve(t, server, role)
				var came atomic.Int64
				server.host.Network().Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
					if c.RemotePeer() == stranger.ID() {
						came.Add(1)
					}
				}})
				for range 5 {
					getsNothing(t, stranger, server)
				}
				if n := came.Load(); n != 0 {
					t.Errorf("the stranger had %d connections", n)
				}
				if got, _ := server.host.Peerstore().GetProtocols(stranger.ID()); len(got) > 0 {
					t.Errorf("the server listened to the stranger's identify: %v", got)
				}
				for _, friend := range []*Host{listed, member} {
					connect(t, friend, server)
					await(t, "a friend learns the protocols", func() bool {
						got, _ := friend.host.Peerstore().GetProtocols(server.ID())
						return len(got) > 0
					})
				}
			})
		}
	}
}

// serve runs the services of a role.
func serve(t *testing.T, h *Host, role Role) {
	t.Helper()
	err := h.ServePins(t.Context(), newMemory())
	if role == StorageNode {
		err = errors.Join(err, h.Serve(t.Context(), newMemory()))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// getsNothing dials a host as a stranger, asks for identify and for our protocols, and fails the test if it gets any of
// them. The dial itself may succeed: the dialler is done with the handshake before the other side is.
func getsNothing(t *testing.T, from, to *Host) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_ = from.Connect(ctx, peer.AddrInfo{ID: to.ID(), Addrs: to.Addrs()})
	for _, p := range []string{identify.ID, "/ipfs/ping/1.0.0", "/walrus/test/" + nodeProtocol, "/walrus/test/" + pinProtocol} {
		st, err := from.host.Network().NewStream(ctx, to.ID())
		if err != nil {
			continue
		}
		_ = st.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = st.Write([]byte("\x13/multistream/1.0.0\n" + string(rune(len(p)+1)) + p + "\n"))
		var b [1]byte
		if n, _ := st.Read(b[:]); n > 0 {
			t.Errorf("a stream of %s was answered", p)
		}
		_ = st.Reset()
	}
	await(t, "the stranger is disconnected", func() bool {
		return from.host.Network().Connectedness(to.ID()) == network.NotConnected
	})
	if got, _ := from.host.Peerstore().GetProtocols(to.ID()); len(got) > 0 {
		t.Errorf("the stranger learned the protocols %v", got)
	}
	if agent, err := from.host.Peerstore().Get(to.ID(), "AgentVersion"); err == nil {
		t.Errorf("the stranger learned the version %v", agent)
	}
}

// A private host does not dial strangers, whoever asks it to, and its error says what to do.
func TestPrivateDialsNoStranger(t *testing.T) {
	stranger, listed := newHost(t, nil), newHost(t, nil)
	h := newHost(t, func(c *Config) { c.Allow = only(listed.ID()) })
	info := peer.AddrInfo{ID: stranger.ID(), Addrs: stranger.Addrs()}
	var refused *NotAllowedError
	err := h.Connect(t.Context(), info)
	if !errors.As(err, &refused) || refused.Peer != stranger.ID() || !errors.Is(err, ErrUnavailable) {
		t.Fatalf("dialling a stranger: %v", err)
	}
	if !strings.Contains(err.Error(), "peer "+stranger.ID().String()+" is not on the allow list: add it to \"allow\"") {
		t.Errorf("the error does not say what to do: %v", err)
	}
	h.host.Peerstore().AddAddrs(info.ID, info.Addrs, time.Minute)
	if _, err := h.host.NewStream(t.Context(), info.ID, identify.ID); !errors.As(err, &refused) {
		t.Errorf("opening a stream to a stranger: %v", err)
	}
	if _, err := h.host.Network().DialPeer(t.Context(), info.ID); err == nil { // as the services of libp2p do
		t.Error("the swarm dialled a stranger")
	}
	connect(t, h, listed)
	h.Protect(stranger.ID(), TagCommittee)
	connect(t, h, stranger)
}

// The gate after the handshake also holds for connections that we made: an address may be a stranger's.
func TestPrivateGateAsksOnlyForIdentity(t *testing.T) {
	d := newDoor(DefaultLimits(), false)
	addr := multiaddr.StringCast("/ip4/127.0.0.1/tcp/1")
	ask := func(id peer.ID) bool {
		in := d.InterceptSecured(network.DirInbound, id, nil)
		if out := d.InterceptSecured(network.DirOutbound, id, nil); in != out || in != d.InterceptPeerDial(id) {
			t.Errorf("%s: in %v, out %v", id, in, out)
		}
		return in && d.InterceptAddrDial(id, addr)
	}
	if !ask("anybody") {
		t.Error("an open network refuses somebody")
	}
	d.private.set(only("listed"))
	d.members.add("member", TagRegistered)
	if !ask("listed") || !ask("member") || ask("stranger") {
		t.Error("want the listed peer and the member alone")
	}
	d.members.remove("member", TagRegistered)
	if ask("member") {
		t.Error("who is no member any more is admitted")
	}
}

// A new allow list closes the connections of the peers that lost their permission, and of no others, and admits those
// that have it now.
func TestPrivateSetAllowed(t *testing.T) {
	loser, keeper, member, newcomer := newHost(t, nil), newHost(t, nil), newHost(t, nil), newHost(t, nil)
	h := newHost(t, func(c *Config) { c.Allow = only(loser.ID(), keeper.ID()) })
	h.Protect(member.ID(), TagCommittee)
	for _, from := range []*Host{loser, keeper, member} {
		connect(t, from, h)
	}
	getsNothing(t, newcomer, h)
	if n := SetAllowed(h, only(keeper.ID(), newcomer.ID())); n != 1 {
		t.Errorf("%d peers lost their connections, want 1", n)
	}
	await(t, "the loser is disconnected", func() bool { return loser.host.Network().Connectedness(h.ID()) == network.NotConnected })
	for _, friend := range []*Host{keeper, member} {
		if friend.host.Network().Connectedness(h.ID()) != network.Connected {
			t.Error("an allowed peer lost its connection")
		}
	}
	connect(t, newcomer, h)
	SetAllowed(h, nil)
	connect(t, loser, h)
}
