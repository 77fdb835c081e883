package dht

import (
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2precord "github.com/libp2p/go-libp2p/core/record"
	"github.com/multiformats/go-multiaddr"
)

// Others have said things about a peer before it comes. The book takes what the peer has signed itself, and no more.
func TestBookTakesSignedRecords(t *testing.T) {
	d := start(t, nil, Config{Server: true})
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	d.host.Peerstore().AddAddrs(id, []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/1")}, time.Hour)
	// It dials, so no address of it is proven by a dial.
	m := start(t, key, Config{Server: true, Bootstrap: []string{d.addr()}})
	eventually(t, "the peer is in the book", func() bool { return len(d.book.addrs(m.host.ID())) > 0 })
	if got := d.book.addrs(m.host.ID()); len(got) != len(m.host.Addrs()) || !slices.ContainsFunc(got, m.host.Addrs()[0].Equal) {
		t.Errorf("the book has %v, the peer signed %v", got, m.host.Addrs())
	}
	if got := d.signed(m.host.ID()); len(got) == 0 || !got[0].Equal(m.host.Addrs()[0]) {
		t.Errorf("signed by the peer: %v", got)
	}
}

// publicHost makes a host that announces a public address.
func publicHost(t *testing.T) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics(), libp2p.DisableRelay(),
		libp2p.AddrsFactory(func([]multiaddr.Multiaddr) []multiaddr.Multiaddr {
			return []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/203.0.113.5/tcp/4001")}
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// A stranger may not make a node with public addresses dial private ones, nor names, by signing them. A member may
// state names.
func TestSignedPrivateAddresses(t *testing.T) {
	d, err := New(publicHost(t), Config{Network: "test", Server: true})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var stated []multiaddr.Multiaddr
	for _, a := range []string{"/ip4/198.51.100.7/tcp/1", "/ip4/192.168.1.1/tcp/22", "/ip4/127.0.0.1/tcp/22", "/dns4/db.internal/tcp/5432"} {
		stated = append(stated, multiaddr.StringCast(a))
	}
	for member, want := range map[bool][]multiaddr.Multiaddr{false: stated[:1], true: {stated[0], stated[3]}} {
		h := newHost(t, nil)
		if member {
			d.host.ConnManager().Protect(h.ID(), "committee")
		}
		r := peer.PeerRecordFromAddrInfo(peer.AddrInfo{ID: h.ID(), Addrs: stated})
		signed, err := libp2precord.Seal(r, h.Peerstore().PrivKey(h.ID()))
		if err != nil {
			t.Fatal(err)
		}
		got := d.proven(event.EvtPeerIdentificationCompleted{Peer: h.ID(), SignedPeerRecord: signed})
		if !slices.EqualFunc(got, want, multiaddr.Multiaddr.Equal) {
			t.Errorf("member %t: of %v the book takes %v, want %v", member, stated, got, want)
		}
		if got := d.known(h.ID()).Addrs; !slices.EqualFunc(got, want, multiaddr.Multiaddr.Equal) {
			t.Errorf("member %t: dials %v, want %v", member, got, want)
		}
	}
}
