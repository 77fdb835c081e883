package p2p

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// fakeConn is a connection of a peer that dialled us.
type fakeConn struct {
	network.Conn
	from   peer.ID
	addr   multiaddr.Multiaddr
	closed chan struct{}
}

func (c *fakeConn) RemotePeer() peer.ID                  { return c.from }
func (c *fakeConn) RemoteMultiaddr() multiaddr.Multiaddr { return c.addr }
func (c *fakeConn) IsClosed() bool                       { return false }
func (c *fakeConn) Stat() (s network.ConnStats) {
	s.Direction = network.DirInbound
	return s
}

func (c *fakeConn) CloseWithError(network.ConnErrorCode) error {
	close(c.closed)
	return nil
}

// knock asks the door for a place for a new peer at ip. It returns the connection, nil if there is no place.
func knock(d *door, n int, ip string) *fakeConn {
	version := "/ip6/"
	if netip.MustParseAddr(ip).Is4() {
		version = "/ip4/"
	}
	c := &fakeConn{from: peer.ID(fmt.Sprint(n)), addr: multiaddr.StringCast(version + ip + "/tcp/1"), closed: make(chan struct{})}
	if ok, _ := d.InterceptUpgraded(c); !ok {
		return nil
	}
	return c
}

// With the default limits, whoever owns an address, a /24, a /48 or an IPv6 /32 has few of the 600 places.
func TestDoorByNetwork(t *testing.T) {
	l := DefaultConnLimits()
	for name, c := range map[string]struct {
		ip   func(i int) string
		want int
	}{
		"IPv4 address": {func(int) string { return "198.51.100.7" }, l.PerIP},
		"IPv4 /24":     {func(i int) string { return fmt.Sprintf("198.51.100.%d", i%256) }, l.PerNet},
		"IPv6 /56":     {func(i int) string { return fmt.Sprintf("2001:db8:1:%x::%x", i%256, i) }, l.PerIP},
		"IPv6 /48":     {func(i int) string { return fmt.Sprintf("2001:db8:1:%x::1", i*16%65536) }, l.PerNet},
		"IPv6 /32":     {func(i int) string { return fmt.Sprintf("2001:db8:%x::1", i) }, l.PerBlock},
		"loopback":     {func(i int) string { return "127.0.0.1" }, l.Strangers},
		"private":      {func(i int) string { return "10.0.0.1" }, l.Strangers},
		"Internet":     {func(i int) string { return fmt.Sprintf("44.%d.%d.1", i>>8, i%256) }, l.Strangers},
	} {
		d := newDoor(DefaultLimits(), false)
		got := 0
		for i := range 2000 {
			if knock(d, i, c.ip(i)) != nil {
				got++
			}
		}
		if got != c.want {
			t.Errorf("%s: %d connections, want %d", name, got, c.want)
		}
		if knock(d, 5000, "203.0.113.1") == nil && name != "Internet" {
			t.Errorf("%s: then there is no place for another network", name)
		}
		d.members.add("member", TagCommittee)
		if ok, _ := d.InterceptUpgraded(&fakeConn{from: "member", addr: multiaddr.StringCast("/ip4/198.51.100.7/tcp/1")}); !ok {
			t.Errorf("%s: then there is no place for a member", name)
		}
		d.closing.Wait()
	}
}

// The place of a newcomer was that of the newest connection from the network with most.
func TestDoorReplaces(t *testing.T) {
	l := DefaultLimits()
	l.Conns.Strangers = 4
	d := newDoor(l, false)
	var many []*fakeConn
	for i, ip := range []string{"198.51.100.1", "198.51.100.2", "198.51.100.3", "203.0.113.1"} {
		many = append(many, knock(d, i, ip))
		d.conns[many[i]].came = time.Unix(int64(i), 0)
	}
	if knock(d, 10, "192.0.2.1") == nil {
		t.Fatal("no place for a third network")
	}
	d.closing.Wait()
	for i, c := range many {
		select {
		case <-c.closed:
			if i != 2 {
				t.Errorf("connection %d was closed", i)
			}
		default:
			if i == 2 {
				t.Error("the newest one of the network with most is still open")
			}
		}
	}
	if knock(d, 11, "198.51.100.9") != nil || knock(d, 12, "203.0.113.2") != nil {
		t.Error("a network with as many as the others took a place of theirs")
	}
	if d.in.all != 4 {
		t.Errorf("%d places are taken", d.in.all)
	}
}

func TestMembersForgetAddresses(t *testing.T) {
	m := newMembers()
	known := map[netip.Addr]bool{}
	m.learned = func(_ peer.ID, ip netip.Addr, is bool) { known[ip] = is }
	m.add("a", TagCommittee)
	m.add("a", TagRegistered)
	m.learn("stranger", netip.MustParseAddr("192.0.2.99"))
	for i := range 6 {
		m.learn("a", netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", i)))
	}
	for i := range 6 {
		ip := netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", i))
		if want := i >= 2; m.hasIP(ip) != want || known[ip] != want {
			t.Errorf("%v is known: %v, %v", ip, m.hasIP(ip), known[ip])
		}
	}
	m.remove("a", TagCommittee)
	if !m.has("a") || !m.hasIP(netip.MustParseAddr("192.0.2.5")) {
		t.Error("a peer with a second tag was forgotten")
	}
	m.remove("a", TagRegistered)
	if m.has("a") || len(m.ips)+len(m.at)+len(m.tags) > 0 || known[netip.MustParseAddr("192.0.2.5")] {
		t.Errorf("%+v is left", m)
	}
}

// Many identities of a few networks, or of one account, take no more than the part of their class, of which each group
// gets at most half of what is free. All other classes always find room.
func TestGateKeepsRoom(t *testing.T) {
	l := DefaultLimits()
	origins := map[peer.ID]origin{"member": {class: member}, "payer": {payer, Account{1}}, "stranger": {stranger, netip.MustParsePrefix("44.0.0.0/24")}}
	for name, greedy := range map[class]func(n int) any{
		stranger: func(n int) any { return netip.MustParsePrefix(fmt.Sprintf("10.0.%d.0/24", n)) },
		payer:    func(n int) any { return Account{2, byte(n)} },
		member:   func(int) any { return nil },
	} {
		g := newGate(l, func(id peer.ID) origin { return origins[id] })
		inside := 0
		for n := range 6 {
			got := 0
			for k := range 200 {
				id := peer.ID(fmt.Sprintf("%d/%d", n, k))
				origins[id] = origin{name, greedy(n)}
				for g.enter(id, writeSize) {
					got++
				}
			}
			if name != member && (got == 0 || got > l.Requests/4) { // less than half of what the first one leaves
				t.Errorf("class %d: group %d got %d requests in", name, n, got)
			}
			inside += got
		}
		if inside > l.Requests*3/4 {
			t.Errorf("class %d has %d requests inside", name, inside)
		}
		for _, id := range []peer.ID{"stranger", "payer", "member"} {
			got := 0
			for origins[id].class != name && g.enter(id, writeSize) {
				got++
			}
			if origins[id].class != name && got < 25 {
				t.Errorf("beside class %d, a %s got %d requests in", name, id, got)
			}
			for range got {
				g.leave(id, writeSize)
			}
		}
	}
}

// Payers are known until their tokens end. Neither one account nor all together have more than their entries.
func TestPayers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(DefaultLimits(), false)
		soon := time.Now().Add(time.Minute)
		d.payers.add("a", Account{1}, soon)
		d.members.add("member", TagCommittee)
		d.payers.add("member", Account{1}, soon)
		for id, want := range map[peer.ID]origin{"a": {payer, Account{1}}, "b": {}, "member": {class: member}} {
			if got := d.origin(id); got != want {
				t.Errorf("%s: %+v, want %+v", id, got, want)
			}
		}
		for i := range 2 * maxPayersPerAccount {
			d.payers.add(peer.ID(fmt.Sprint("greedy ", i)), Account{2}, soon)
		}
		if n := d.payers.accounts[Account{2}]; n != maxPayersPerAccount || d.origin("a").class != payer {
			t.Errorf("an account has %d entries; another's: %+v", n, d.origin("a"))
		}
		for i := range 2 * maxPayers {
			d.payers.add(peer.ID(fmt.Sprint(i)), Account{3, byte(i), byte(i >> 8)}, soon.Add(time.Duration(i)))
		}
		if n := len(d.payers.peers); n != maxPayers {
			t.Errorf("%d entries", n)
		}
		time.Sleep(2 * time.Minute)
		if got := d.origin("8191"); got != (origin{}) {
			t.Errorf("after its token: %+v", got)
		}
	})
}
