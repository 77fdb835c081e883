package dht

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p"
	kad_pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p-kbucket/peerdiversity"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protodelim"

	"walrus/internal/swarmtest"
)

// liar runs a server of the table that answers every question with the same addresses, for the peer asked for.
func liar(t *testing.T, addrs func() []multiaddr.Multiaddr) host.Host {
	t.Helper()
	h := newHost(t, nil)
	h.SetStreamHandler("/walrus/test/kad/1.0.0", func(st network.Stream) {
		defer st.Close()
		r := bufio.NewReader(st)
		for {
			var m kad_pb.Message
			if protodelim.UnmarshalFrom(r, &m) != nil {
				return
			}
			answer := kad_pb.NewMessage(m.GetType(), m.GetKey(), 0)
			if id := peer.ID(m.GetKey()); id.Validate() == nil && m.GetType() == kad_pb.Message_FIND_NODE {
				p := &kad_pb.Message_Peer{Id: []byte(id)}
				for _, a := range addrs() {
					p.Addrs = append(p.Addrs, a.Bytes())
				}
				answer.CloserPeers = []*kad_pb.Message_Peer{p}
			}
			if _, err := protodelim.MarshalTo(st, answer); err != nil {
				return
			}
		}
	})
	return h
}

// junk returns addresses of a machine that accepts connections and never says a word: they cost the longest time. It
// counts the connections.
func junk(t *testing.T, count int) (func() []multiaddr.Multiaddr, *atomic.Int64) {
	t.Helper()
	var addrs []multiaddr.Multiaddr
	port, dialled := accept(t, "0.0.0.0:0", func(net.Conn) {}) // on all of 127.0.0.0/8
	for i := range count {
		addrs = append(addrs, multiaddr.StringCast(fmt.Sprintf("/ip4/127.%d.%d.77/tcp/%d", 1+i>>8, i%256, port)))
	}
	return func() []multiaddr.Multiaddr { return addrs }, dialled
}

// counter listens at an address and counts the connections.
func counter(t *testing.T) (multiaddr.Multiaddr, *atomic.Int64) {
	t.Helper()
	port, dialled := accept(t, "127.0.0.1:0", func(c net.Conn) { c.Close() })
	return multiaddr.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", port)), dialled
}

// accept counts connections to a port, and closes what is left of them at the end of the test.
func accept(t *testing.T, at string, do func(net.Conn)) (port int, dialled *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp4", at)
	if err != nil {
		t.Fatal(err)
	}
	dialled = new(atomic.Int64)
	var accepting sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		accepting.Wait()
	})
	accepting.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			dialled.Add(1)
			do(c)
		}
	})
	return l.Addr().(*net.TCPAddr).Port, dialled
}

// meet connects d to a server and waits until the server is in the table.
func meet(t *testing.T, d *member, h host.Host) {
	t.Helper()
	if err := d.host.Connect(t.Context(), peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server is in the table", func() bool { return d.kad.RoutingTable().Find(h.ID()) != "" })
}

// part ends the connection between d and h and waits until both know.
func part(t *testing.T, d *member, h host.Host) {
	t.Helper()
	if err := d.host.Network().ClosePeer(h.ID()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "they are parted", func() bool { return !d.connected(h.ID()) && len(h.Network().ConnsToPeer(d.host.ID())) == 0 })
}

// Strangers answer with 200 junk addresses for each member. A node that has met the members before keeps their good
// addresses, and reaches them at once.
func TestJunkDoesNotReplaceMembers(t *testing.T) {
	victim := start(t, nil, Config{Server: true})
	var members []host.Host
	for range 12 {
		m := newHost(t, nil)
		victim.host.ConnManager().Protect(m.ID(), "committee")
		members = append(members, m)
		victim.book.remember(m.ID(), m.Addrs(), time.Now())
	}
	bad, dialled := junk(t, 200)
	for range 8 {
		l := liar(t, bad)
		meet(t, victim, l)
		if victim.host.ConnManager().IsProtected(l.ID(), "") {
			t.Error("a stranger is exempt from the trimming of connections because its ID is rare")
		}
	}
	good, reached := 0, 0
	var wasted int64
	for _, m := range members {
		info, err := victim.FindPeer(within(t, patience), m.ID())
		if err == nil && slices.ContainsFunc(info.Addrs, m.Addrs()[0].Equal) {
			good++
		}
		if victim.connected(m.ID()) { // by the search
			part(t, victim, m)
		}
		before := dialled.Load()
		if victim.Connect(within(t, patience), m.ID()) == nil {
			reached++
		}
		wasted += dialled.Load() - before
	}
	t.Logf("good addresses of %d of %d members are left, %d are reached, after %d dials of junk", good, len(members), reached, wasted)
	if good < len(members) || reached < len(members) || wasted > 0 {
		t.Error("strangers hide members")
	}
}

// Claims that came before a peer was looked for are not dialled when a proven address is known, even if it is dead.
func TestOldClaimsAreNotDialled(t *testing.T) {
	old, dialled := counter(t)
	d, id := start(t, nil, Config{Server: true}), randomPeer(t)
	d.host.Peerstore().AddAddrs(id, []multiaddr.Multiaddr{old}, time.Minute)
	d.book.remember(id, []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/1")}, time.Now())
	if err := d.Connect(within(t, 5*time.Second), id); err == nil {
		t.Error("connected to nobody")
	}
	if dialled.Load() > 0 {
		t.Error("an old claim was dialled")
	}
}

// A member's proven addresses are kept for good after its connection ends; a stranger's are not.
func TestMembersArePinned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := swarmtest.NewNetwork(7)
		first := simulated(t, n, 0, 0, Config{Server: true})
		// With a live peer in its table, first does not dial all that it remembers.
		simulated(t, n, 4, 4, Config{Server: true, Bootstrap: zero(t, n)})
		pinned, stranger := simulated(t, n, 1, 1, Config{Server: true}), simulated(t, n, 2, 2, Config{Server: true})
		first.host.ConnManager().Protect(pinned.host.ID(), "committee")
		for _, m := range []*member{pinned, stranger} {
			if err := first.host.Connect(t.Context(), peer.AddrInfo{ID: m.host.ID(), Addrs: m.host.Addrs()}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			m.stop()
			first.kad.RoutingTable().RemovePeer(m.host.ID()) // which keeps addresses, too
			first.kad.RoutingTable().RemovePeer(m.host.ID()) // which keeps addresses, too
		}
		time.Sleep(3 * time.Hour) // longer than the addresses of a record live
		if addrs := first.host.Peerstore().Addrs(pinned.host.ID()); len(addrs) == 0 {
			t.Error("the member's addresses are gone")
		}
		if addrs := first.host.Peerstore().Addrs(stranger.host.ID()); len(addrs) != 0 {
			t.Errorf("the stranger's addresses stay: %v", addrs)
		}
		first.host.ConnManager().Unprotect(pinned.host.ID(), "committee")
		next := simulated(t, n, 3, 3, Config{Server: true})
		if err := first.host.Connect(t.Context(), peer.AddrInfo{ID: next.host.ID(), Addrs: next.host.Addrs()}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if addrs := first.host.Peerstore().Addrs(pinned.host.ID()); len(addrs) != 0 {
			t.Errorf("the addresses of a former member stay: %v", addrs)
		}
	})
}

// A newcomer that knows one good peer looks for a member that it has never met, among liars.
func TestJunkDoesNotHideFromNewcomers(t *testing.T) {
	first := start(t, nil, Config{Server: true})
	wanted := start(t, nil, Config{Server: true, Bootstrap: []string{first.addr()}})
	if err := wanted.Joined(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	newcomer := start(t, nil, Config{Bootstrap: []string{first.addr()}})
	if err := newcomer.Joined(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	const liars = 10
	bad, dialled := junk(t, 200)
	for range liars {
		meet(t, newcomer, liar(t, bad))
	}
	if newcomer.connected(wanted.host.ID()) {
		part(t, newcomer, wanted.host)
	}
	newcomer.host.Peerstore().ClearAddrs(wanted.host.ID())
	newcomer.book.mu.Lock()
	newcomer.book.peers = map[peer.ID]bookEntry{}
	newcomer.book.mu.Unlock()
	before := dialled.Load()
	err := newcomer.Connect(within(t, patience), wanted.host.ID())
	wasted := dialled.Load() - before
	t.Logf("%v after %d dials of junk", err, wasted)
	// A round or two, as the answers come in, of the many that the liars name addresses for.
	if err != nil || wasted > liars*maxClaimed/4 {
		t.Error("liars hide a member from a newcomer")
	}
}

// A node with public addresses does not dial private ones that strangers name.
func TestPublicNodeDialsNoPrivateClaims(t *testing.T) {
	inside, dialled := counter(t)
	port, err := inside.ValueForProtocol(multiaddr.P_TCP)
	if err != nil {
		t.Fatal(err)
	}
	name := multiaddr.StringCast("/dns4/localhost/tcp/" + port)
	for ours, want := range map[string]bool{"/ip4/203.0.113.5/tcp/4001": false, "/ip4/192.168.7.7/tcp/4001": false, "/ip4/127.0.0.1/tcp/4001": true} {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics(), libp2p.DisableRelay(),
			libp2p.AddrsFactory(func([]multiaddr.Multiaddr) []multiaddr.Multiaddr {
				return []multiaddr.Multiaddr{multiaddr.StringCast(ours)}
			}))
		if err != nil {
			t.Fatal(err)
		}
		d, err := New(h, Config{Network: "test", Server: true})
		if err != nil {
			t.Fatal(err)
		}
		claimed := []multiaddr.Multiaddr{inside}
		if !want && ours[5] == '2' {
			claimed = append(claimed, name)
		}
		meet(t, &member{DHT: d}, liar(t, func() []multiaddr.Multiaddr { return claimed }))
		dialled.Store(0)
		_ = d.Connect(within(t, 5*time.Second), randomPeer(t))
		_, _ = d.kad.GetClosestPeers(within(t, 5*time.Second), string(randomPeer(t)))
		if got := dialled.Load() > 0; got != want {
			t.Errorf("our address is %s: a private claim was dialled: %v, want %v", ours, got, want)
		}
		if err := errors.Join(d.Close(), h.Close()); err != nil {
			t.Error(err)
		}
	}
}

// More strangers than the book has room for do not push out members.
func TestStrangersDoNotEmptyTheBook(t *testing.T) {
	b := newBook("")
	members := map[peer.ID]bool{}
	b.member = func(id peer.ID) bool { return members[id] }
	now := time.Unix(1, 0)
	for i := range 12 {
		id := randomPeer(t)
		members[id] = true
		b.remember(id, []multiaddr.Multiaddr{multiaddr.StringCast(fmt.Sprintf("/ip4/198.51.100.%d/tcp/1", i))}, now)
	}
	honest := randomPeer(t)
	b.remember(honest, []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/203.0.113.7/tcp/1")}, now)
	for i := range 3 * maxBookPeers {
		now = now.Add(time.Second)
		addr := multiaddr.StringCast(fmt.Sprintf("/ip4/44.%d.1.%d/tcp/1", i%5, i%250))
		b.remember(randomPeer(t), []multiaddr.Multiaddr{addr}, now)
	}
	left := 0
	for id := range members {
		if len(b.addrs(id)) > 0 {
			left++
		}
	}
	if left != len(members) || len(b.addrs(honest)) == 0 || len(b.peers) != maxBookPeers {
		t.Errorf("%d of %d members and the honest stranger %v are left in a book of %d", left, len(members), b.addrs(honest), len(b.peers))
	}
	for _, p := range b.sample(len(members)) {
		if !members[p.ID] {
			t.Error("a stranger is dialled before members")
		}
	}
	for range maxBookPeers {
		id := randomPeer(t)
		members[id] = true
		b.remember(id, []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/198.51.100.1/tcp/1")}, now)
	}
	stranger := randomPeer(t)
	b.remember(stranger, []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/203.0.113.9/tcp/1")}, now)
	if len(b.addrs(stranger)) != 0 || len(b.peers) != maxBookPeers {
		t.Error("a stranger took the place of a member")
	}
}

// Ten identities fill the keeper. An honest announcer still gets in, members lose nothing, and expiry empties it.
func TestKeeperIsShared(t *testing.T) {
	ctx := t.Context()
	r := newRecordStore(maxRecords, maxRecordsPerPeer, maxRecordsPerNet)
	r.origin = func(id string) (bool, netip.Prefix) {
		switch id[0] {
		case 'm':
			return true, netip.Prefix{}
		case 'h':
			return false, netip.MustParsePrefix("203.0.113.0/24")
		}
		return false, netip.MustParsePrefix(fmt.Sprintf("198.51.%d.0/24", id[0]-'0'))
	}
	put := func(key int, id string) bool { return r.Put(ctx, name(fmt.Sprint(key), id), []byte("v")) == nil }
	for k := range 100 {
		put(k, "member")
	}
	for id := range 10 {
		for k := range maxRecordsPerPeer {
			put(id*maxRecordsPerPeer+k, fmt.Sprintf("%d", id))
		}
	}
	accepted := 0
	for k := range 500 {
		if put(k, "honest") {
			accepted++
		}
	}
	kept := func(id string, count int) (n int) {
		for k := range count {
			if ok, _ := r.Has(ctx, name(fmt.Sprint(k), id)); ok {
				n++
			}
		}
		return n
	}
	t.Logf("%d of 500 records of an honest announcer are taken, %d kept; %d of a member's 100", accepted, kept("honest", 500), kept("member", 100))
	if accepted != 500 || kept("honest", 500) != 500 || kept("member", 100) != 100 || r.total != maxRecords {
		t.Errorf("the keeper has %d records", r.total)
	}
	// Many identities of one network are one.
	for id := range 40 {
		for k := range 1000 {
			put(k, fmt.Sprintf("7/%d", id))
		}
	}
	if n := r.nets["198.51.7.0/24"].size; n > maxRecordsPerNet || kept("honest", 500) != 500 {
		t.Errorf("one network has %d records, the honest announcer %d", n, kept("honest", 500))
	}
	for group, records := range r.groups {
		for id := range records {
			if err := r.Delete(ctx, datastore.NewKey(group+"/"+id)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if r.total != 0 || len(r.groups)+len(r.peers)+len(r.nets)+len(r.most) != 0 {
		t.Errorf("the empty keeper has %d records of %d announcers in %d networks", r.total, len(r.peers), len(r.nets))
	}
}

// A peer that moves to another network, or becomes a member, takes its records along.
func TestKeeperFollowsMoves(t *testing.T) {
	r := newRecordStore(4, 4, 4)
	class := netip.MustParsePrefix("198.51.100.0/24")
	isMember := false
	r.origin = func(id string) (bool, netip.Prefix) {
		if id == "mover" {
			return isMember, class
		}
		return false, netip.Prefix{}
	}
	put := func(key, id string) error { return r.Put(t.Context(), name(key, id), []byte("v")) }
	if err := errors.Join(put("a", "mover"), put("b", "mover"), put("a", "other")); err != nil {
		t.Fatal(err)
	}
	class = netip.MustParsePrefix("203.0.113.0/24")
	if err := put("c", "mover"); err != nil || r.nets["203.0.113.0/24"].size != 3 || len(r.nets) != 2 {
		t.Errorf("after a move: %v, networks %v", err, r.nets)
	}
	isMember = true
	if err := put("c", "mover"); err != nil { // renewed: nothing moves
		t.Fatal(err)
	}
	if err := put("d", "mover"); err != nil || r.total != 4 || len(r.most) != 0 {
		t.Errorf("as a member: %v, %d records, %d networks of strangers", err, r.total, len(r.most))
	}
	if err := put("e", "other"); !errors.Is(err, errRecordsFull) {
		t.Errorf("a stranger took the place of a member: %v", err)
	}
}

// fakeNetwork has one connection to each peer.
type fakeNetwork struct {
	network.Network
	addrs map[peer.ID]string
}

type fakeHost struct {
	host.Host
	net fakeNetwork
}

func (h fakeHost) Network() network.Network { return h.net }

type fakeConn struct {
	network.Conn
	addr string
}

func (c fakeConn) RemoteMultiaddr() multiaddr.Multiaddr { return multiaddr.StringCast(c.addr) }

func (n fakeNetwork) ConnsToPeer(id peer.ID) []network.Conn {
	return []network.Conn{fakeConn{addr: n.addrs[id]}}
}

// A network of one owner gets few places in the routing table. Members and private addresses are not bounded.
func TestTableIsDiverse(t *testing.T) {
	addrs := map[peer.ID]string{}
	isMember := func(id peer.ID) bool { return id[0] == 'm' }
	f, err := peerdiversity.NewFilter(newDiversity(fakeHost{net: fakeNetwork{addrs: addrs}}, isMember), "test", func(id peer.ID) int { return int(id[1]) % 4 })
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		kind, format string
		want         int
	}{
		{"a", "/ip4/44.1.%d.1/tcp/1", maxGroupInTable},
		{"b", "/ip6/2a03:2880:%x::1/tcp/1", maxGroupInTable},
		{"c", "/ip4/10.1.%d.1/tcp/1", 100},
		{"m", "/ip4/44.1.%d.2/tcp/1", 100},
		{"d", "/ip4/127.0.0.%d/tcp/1", 100},
	} {
		got := 0
		for i := range 100 {
			id := peer.ID(fmt.Sprintf("%s%c%d", tt.kind, i%4, i))
			addrs[id] = fmt.Sprintf(tt.format, i)
			if f.TryAdd(id) {
				got++
			}
		}
		if got != tt.want {
			t.Errorf("%s: %d of 100 are in the table, want %d", tt.format, got, tt.want)
		}
	}
}

// Claims: a trusted peer's come first, then those on which most networks agree. Nobody fills the list.
func TestClaimsAreRanked(t *testing.T) {
	c := &claims{
		trusts:  func(id peer.ID) bool { return id == "trusted" },
		network: func(id peer.ID) netip.Prefix { p, _ := netip.AddrFrom4([4]byte{44, 1, id[0], 1}).Prefix(24); return p },
		allowed: func(a multiaddr.Multiaddr) bool { return allowed(a, 2) },
		news:    make(chan struct{}, 1), heard: map[string]bool{},
	}
	addr := func(s string) multiaddr.Multiaddr { return multiaddr.StringCast("/ip4/" + s + "/tcp/1") }
	many := []multiaddr.Multiaddr{addr("127.1.0.77")}
	for i := range 200 {
		many = append(many, addr(fmt.Sprintf("44.9.%d.1", i)))
	}
	for i := range 50 {
		c.add(peer.ID(fmt.Sprintf("x%d", i)), many) // one network
	}
	c.add("y", []multiaddr.Multiaddr{addr("44.2.2.2")})
	c.add("z", []multiaddr.Multiaddr{addr("44.2.2.2"), addr("10.0.0.1")})
	c.add("trusted", []multiaddr.Multiaddr{addr("44.3.3.3")})
	best := c.best(3, nil)
	if len(best) != 3 || !best[0].Equal(addr("44.3.3.3")) || !best[1].Equal(addr("44.2.2.2")) {
		t.Errorf("got %v", best)
	}
	if len(c.list) > maxClaims {
		t.Errorf("%d claims are kept", len(c.list))
	}
	for _, l := range c.list {
		if l.addr.Equal(addr("10.0.0.1")) {
			t.Error("a private address was taken")
		}
	}
}
