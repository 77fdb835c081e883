package p2p

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// crowded has room for few strangers, and counts loopback addresses as if they were public.
func crowded(c *Config) {
	c.Listen = c.Listen[:1] // QUIC would come from another address
	c.Limits.Conns = ConnLimits{
		Low: 8, High: 12, Strangers: 12, StrangersOut: 4, Members: 8, Handshakes: 64, PerIP: 3, PerNet: 5, PerBlock: 5, LimitPrivate: true,
	}
}

// at makes a host that dials from a loopback address of its own.
func at(ip string) func(*Config) {
	return func(c *Config) { c.Listen = []string{"/ip4/" + ip + "/tcp/0"} }
}

// joins connects from to to, and reports whether it still has the connection once to has judged it.
func joins(t *testing.T, from, to *Host) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if from.Connect(ctx, peer.AddrInfo{ID: to.ID(), Addrs: to.Addrs()}) != nil {
		return false
	}
	// The dialler is done before the other side is. A stream shows whether it was let in.
	_, err := from.NodeStatus(ctx, to.ID())
	return err == nil || errors.Is(err, ErrBusy)
}

// reaches reports whether from can dial to, which lets everybody in.
func reaches(t *testing.T, from, to *Host) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return from.Connect(ctx, peer.AddrInfo{ID: to.ID(), Addrs: to.Addrs()}) == nil
}

// Strangers of many networks take every place there is. Members still come in and are still dialled, and an honest
// stranger of another network gets the place of one of many.
func TestStrangersFillEveryPlace(t *testing.T) {
	server := newHost(t, crowded)
	if err := server.Serve(t.Context(), newMemory()); err != nil {
		t.Fatal(err)
	}
	members := []*Host{newHost(t, at("127.0.10.1")), newHost(t, at("127.0.10.2")), newHost(t, at("127.0.3.200"))}
	for _, m := range members {
		server.Protect(m.ID(), TagCommittee)
		m.Protect(server.ID(), TagCommittee)
	}
	if !joins(t, members[2], server) { // its address is known from before
		t.Fatal("a member is kept out before the attack")
	}
	if err := members[2].host.Network().ClosePeer(server.ID()); err != nil {
		t.Fatal(err)
	}
	in := 0
	for network := range 4 {
		for k := range 10 {
			if joins(t, newHost(t, at(fmt.Sprintf("127.0.%d.%d", network, k/4+1))), server) {
				in++
			}
		}
	}
	if n := len(server.host.Network().Conns()); n > 12 || n < 10 {
		t.Errorf("%d strangers are connected, want 12 at most", n)
	}
	start := time.Now()
	if !joins(t, members[0], server) {
		t.Error("a member that dials is kept out")
	}
	if !reaches(t, server, members[1]) {
		t.Error("a member cannot be dialled")
	}
	if !joins(t, members[2], server) {
		t.Error("a member in a network of strangers is kept out")
	}
	honest := newHost(t, at("127.0.20.1"))
	if !joins(t, honest, server) {
		t.Error("an honest stranger is kept out")
	}
	t.Logf("%d of 40 strangers came in; 3 members and a stranger followed in %v", in, time.Since(start).Round(time.Millisecond))
	for _, m := range members {
		if server.host.Network().Connectedness(m.ID()) != network.Connected {
			t.Error("a member was disconnected")
		}
	}
}

// One address, one /24, and one IPv6 /32 have few places, whoever comes from there.
func TestPlacesPerNetwork(t *testing.T) {
	server := newHost(t, crowded)
	if err := server.Serve(t.Context(), newMemory()); err != nil {
		t.Fatal(err)
	}
	for k := range 8 {
		if got, want := joins(t, newHost(t, at("127.0.1.1")), server), k < 3; got != want {
			t.Errorf("stranger %d at one address came in: %v", k, got)
		}
	}
	for k := range 6 {
		if got, want := joins(t, newHost(t, at(fmt.Sprintf("127.0.1.%d", k+2))), server), k < 2; got != want {
			t.Errorf("stranger %d in one /24 came in: %v", k, got)
		}
	}
	if !joins(t, newHost(t, at("127.0.2.1")), server) {
		t.Error("a stranger of another network did not")
	}
}

// A devnet: by default, loopback addresses have no limits of their own.
func TestLoopbackIsFree(t *testing.T) {
	server := newHost(t, nil)
	if err := server.Serve(t.Context(), newMemory()); err != nil {
		t.Fatal(err)
	}
	for k := range 80 {
		if !joins(t, newHost(t, func(c *Config) { c.Listen = nil }), server) {
			t.Fatalf("client %d on one machine was kept out", k)
		}
	}
}

// A peer that becomes a member while it is connected frees a stranger's place; one that ceases to be takes one again.
func TestCommitteeChanges(t *testing.T) {
	server := newHost(t, func(c *Config) { crowded(c); c.Limits.Conns.Strangers = 2 })
	if err := server.Serve(t.Context(), newMemory()); err != nil {
		t.Fatal(err)
	}
	var hosts []*Host
	for k := range 4 {
		hosts = append(hosts, newHost(t, at(fmt.Sprintf("127.0.%d.1", k+1))))
	}
	if !joins(t, hosts[0], server) || !joins(t, hosts[1], server) || joins(t, hosts[2], server) {
		t.Fatal("not two places")
	}
	server.SetProtected(TagCommittee, []peer.ID{hosts[0].ID(), hosts[3].ID()})
	if !joins(t, hosts[2], server) || !joins(t, hosts[3], server) {
		t.Error("the new committee left no place")
	}
	server.SetProtected(TagCommittee, []peer.ID{hosts[1].ID()})
	if got := server.door.members.tagged(TagCommittee); len(got) != 1 || got[0] != hosts[1].ID() {
		t.Errorf("the committee is %v", got)
	}
	if server.door.in.all != 3 {
		t.Errorf("%d strangers' places are taken, want 3: nobody is disconnected", server.door.in.all)
	}
	for _, h := range hosts {
		if server.host.Network().Connectedness(h.ID()) != network.Connected {
			t.Error("somebody was disconnected")
		}
		h.Close()
	}
	await(t, "all places are free", func() bool {
		server.door.mu.Lock()
		defer server.door.mu.Unlock()
		return server.door.in.all == 0 && len(server.door.conns)+len(server.door.peers)+len(server.door.in.ips)+len(server.door.in.nets) == 0
	})
}

// await polls for the effects of other hosts' goroutines.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(time.Minute)
	for !ok() {
		select {
		case <-timeout:
			t.Fatalf("not within a minute: %s", what)
		case <-tick.C:
		}
	}
}

// Strangers who connect and say nothing take every place before the handshake. A member whose address is known still
// comes in, and members are dialled.
func TestSilentHandshakes(t *testing.T) {
	server := newHost(t, func(c *Config) {
		crowded(c)
		c.Limits.Conns.Handshakes = 6
		c.Limits.Conns.PerIP = 100
		c.Limits.Conns.PerNet, c.Limits.Conns.PerBlock = 100, 100
	})
	if err := server.Serve(t.Context(), newMemory()); err != nil {
		t.Fatal(err)
	}
	member, other := newHost(t, at("127.0.10.1")), newHost(t, at("127.0.10.2"))
	for _, m := range []*Host{member, other} {
		server.Protect(m.ID(), TagCommittee)
	}
	if !joins(t, member, server) {
		t.Fatal("a member is kept out before the attack")
	}
	if err := member.host.Network().ClosePeer(server.ID()); err != nil {
		t.Fatal(err)
	}
	await(t, "the member is gone", func() bool { return server.host.Network().Connectedness(member.ID()) != network.Connected })
	port, err := server.Addrs()[0].ValueForProtocol(6)
	if err != nil {
		t.Fatal(err)
	}
	for k := range 40 {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(30+k%5), 1)}}
		c, err := d.DialContext(t.Context(), "tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	start := time.Now()
	if !joins(t, member, server) {
		t.Error("the member is kept out")
	}
	if !reaches(t, server, other) {
		t.Error("a member cannot be dialled")
	}
	t.Logf("both took %v", time.Since(start).Round(time.Millisecond))
}

// Strangers hold as many streams and requests as they get. Members are served beside them.
func TestStrangersHoldEveryStream(t *testing.T) {
	m := newMemory()
	var held atomic.Int64
	m.on(func(ctx context.Context, op string) error {
		if op == "Confirm" {
			held.Add(1)
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	})
	ctx, end := context.WithCancel(t.Context())
	server := newHost(t, func(c *Config) {
		c.Limits.Memory = 64 << 20 // 96 streams of strangers
		c.Limits.Requests, c.Limits.RequestsPerPeer = 64, 64
	})
	if err := server.Serve(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	member := newHost(t, nil)
	server.Protect(member.ID(), TagCommittee)
	var strangers sync.WaitGroup
	defer strangers.Wait()
	defer end()
	for range 20 {
		h := newHost(t, nil)
		connect(t, h, server)
		for range 20 {
			strangers.Go(func() { _, _ = h.Confirm(ctx, server.ID(), testID, testPersistence) })
		}
	}
	await(t, "strangers are inside", func() bool { return held.Load() > 0 })
	silent := 0
	for range 10 {
		h := newHost(t, nil)
		connect(t, h, server)
		for range 30 {
			if st, err := h.host.NewStream(ctx, server.ID(), protocolID("test", nodeProtocol)); err == nil {
				_, _ = st.Write([]byte{1}) // chooses the protocol, and begins a header
				silent++
			}
		}
	}
	start := time.Now()
	connect(t, member, server)
	for range 20 {
		if _, err := member.NodeStatus(t.Context(), server.ID()); err != nil {
			t.Errorf("a member is not served: %v", err)
			break
		}
	}
	t.Logf("strangers hold %d requests and opened %d silent streams; a member's 20 requests took %v", held.Load(), silent, time.Since(start).Round(time.Millisecond))
}

// Strangers open no more streams than their part, whatever the protocol. Payers and members open more beside them.
func TestStreamsOfStrangers(t *testing.T) {
	h := newHost(t, func(c *Config) { c.Limits.Memory = 64 << 20 })
	h.Protect("member", TagCommittee)
	streams := h.host.Network().ResourceManager()
	var open []network.StreamManagementScope
	for i := range 1000 {
		if st, err := streams.OpenStream(peer.ID(fmt.Sprint(i%50)), network.DirInbound); err == nil {
			open = append(open, st)
		}
	}
	if len(open) > 80 || len(open) < 66 {
		t.Errorf("strangers opened %d streams, want some 80", len(open))
	}
	h.Recognize("payer", Account{1}, time.Now().Add(time.Hour))
	st, err := streams.OpenStream("payer", network.DirInbound)
	if err != nil {
		t.Fatalf("a payer is refused a stream: %v", err)
	}
	open = append(open, st)
	for range 100 {
		st, err := streams.OpenStream("member", network.DirInbound)
		if err != nil {
			t.Fatalf("a member is refused a stream: %v", err)
		}
		defer st.Done()
	}
	if st, err := streams.OpenStream("stranger", network.DirOutbound); err != nil {
		t.Errorf("a stream that we open is refused: %v", err)
	} else {
		st.Done()
	}
	for _, st := range open {
		st.Done()
		st.Done() // a second time changes nothing
	}
	if left := h.door.streams.now[stranger].requests; left != 0 {
		t.Errorf("%d streams are still counted", left)
	}
}
