package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cometbft/cometbft/libs/protoio"
	tmp2p "github.com/cometbft/cometbft/proto/tendermint/p2p"
	"github.com/libp2p/go-libp2p/core/network"

	"walrus/certs"
	"walrus/p2p"
)

const testProtocol = "/walrus/sim/consensus/1.0.0"

// bare makes a host with the key of member i, or of nobody, that runs no chain.
func (c *cluster) bare(i int) *p2p.Host {
	c.t.Helper()
	h, err := p2p.New(p2p.Config{
		Network: "sim", Key: c.net.Key(i), Libp2p: c.net.Options(i), TestTransport: true, Role: p2p.StorageNode,
		Listen: []string{c.net.ListenAddr(i)}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return h
}

// dialed opens a stream to member i.
func (c *cluster) dialed(h *p2p.Host, i int) network.Stream {
	c.t.Helper()
	if err := c.connect(h)(c.t.Context(), c.members[i].id); err != nil {
		c.t.Fatal(err)
	}
	st, err := h.Libp2p().NewStream(c.t.Context(), c.members[i].id, testProtocol)
	if err != nil {
		c.t.Fatal(err)
	}
	return st
}

// A peer outside the committee hears which chain runs and gets no stream, even if it knows the chain.
func TestStrangerRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, equal(4)...)
		defer c.stopAll()
		c.startAll()
		<-c.nodes[0].caughtUp
		h := c.bare(4)
		defer h.Close()
		st := c.dialed(h, 0)
		if _, err := st.Write(c.network[:]); err != nil {
			t.Fatal(err)
		}
		var theirs certs.NetworkID
		if _, err := io.ReadFull(st, theirs[:]); err != nil || theirs != c.network {
			t.Errorf("heard of chain %x, %v", theirs, err)
		}
		if _, err := st.Write([]byte("more")); err == nil {
			_ = st.SetDeadline(time.Now().Add(time.Minute))
			if n, err := io.Copy(io.Discard, st); n > 0 || err != nil && strings.Contains(err.Error(), "deadline") {
				t.Errorf("read %d bytes, %v: want the end", n, err)
			}
		}
		c.sees(0, 4)
	})
}

// lines collects the log.
type lines struct{ bytes.Buffer }

// A member with another genesis of the same network name takes no part and ends; both sides say why.
func TestOtherGenesisRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, equal(4)...)
		defer c.stopAll()
		var seen lines
		c.nodes[0].log = slog.New(slog.NewTextHandler(&seen, &slog.HandlerOptions{Level: slog.LevelWarn}))
		for i := range 3 {
			c.start(i)
		}
		c.network = certs.NetworkID{2}
		c.start(3)
		<-c.nodes[0].caughtUp
		c.submit(0, "tx")
		c.has(1, 1, 10*time.Second)
		time.Sleep(time.Minute)
		c.sees(0, 3)
		c.sees(3, 1)
		if height, _, _ := c.nodes[3].app.at(); height != 0 {
			t.Errorf("it is at height %d", height)
		}
		c.endsForeign(3, "with 30 of 40 shards have genesis 0100000000000000")
		c.stop(0)
		if n := strings.Count(seen.String(), errChain.Error()); n != 1 {
			t.Errorf("it was said %d times: want once\n%s", n, seen.String())
		}
	})
}

// endsForeign checks that node i ends because the others have another genesis.
func (c *cluster) endsForeign(i int, say string) {
	c.t.Helper()
	if err := c.end(i); !errors.Is(err, ErrOtherGenesis) || !errors.Is(err, ErrHalted) ||
		!strings.Contains(err.Error(), say) {
		c.t.Errorf("node %d ended with %v: want %q", i, err, say)
	}
}

// An outsider that added itself to a copy of the genesis has made another network. It says so and ends, whichever
// side opens the streams.
func TestOutsiderEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, equal(5)...)
		all, doc := c.members, c.doc
		var err error
		if c.doc, err = genesisDoc(doc.ChainID, doc.GenesisTime, time.Hour, all[:4]); err != nil {
			t.Fatal(err)
		}
		defer c.stopAll()
		c.members = all[:4]
		for i := range 4 {
			c.start(i)
		}
		c.members, c.doc, c.network = all, doc, certs.NetworkID{2}
		c.start(4)
		<-c.nodes[4].failure
		c.endsForeign(4, `this node has genesis 0200000000000000 (network "sim"), but 3 other members with 30 of 50 shards have genesis 01`)
		c.submit(0, "tx")
		c.has(1, 1, 20*time.Second)
	})
}

// Members that name another genesis end no node while they are half of the network or fewer, be they liars or
// misconfigured.
func TestFewForeign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, equal(4)...)
		defer c.stopAll()
		c.start(0)
		c.start(1)
		c.network = certs.NetworkID{2}
		c.start(2)
		c.start(3)
		time.Sleep(2 * time.Minute)
		s := c.nodes[0].status()
		if !strings.Contains(s.Stalled, "20 of 40 shards are reachable, 27 needed; not reachable: node-2 (has genesis 0200000000000000), node-3 (has") {
			t.Errorf("node 0 says %q", s.Stalled)
		}
		for i := range 4 {
			select {
			case <-c.nodes[i].failure:
				t.Errorf("node %d ended", i)
			default:
			}
		}
	})
}

// Peers of a network with another name speak none of our protocols, but their hosts name the network.
func TestOtherName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, equal(4)...)
		defer c.stopAll()
		for i := range 3 {
			h, err := p2p.New(p2p.Config{
				Network: "other-net", Key: c.net.Key(i), Libp2p: c.net.Options(i), TestTransport: true, Role: p2p.StorageNode,
				Listen: []string{c.net.ListenAddr(i)}, Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
		}
		c.start(3)
		<-c.nodes[3].failure
		c.endsForeign(3, `have network "other-net"`)
	})
}

// hostile returns messages that a faulty or hostile member may send after the greeting.
func hostile() map[string][]byte {
	packet := func(channel int32, eof bool, data []byte) []byte {
		var b bytes.Buffer
		p := &tmp2p.Packet{Sum: &tmp2p.Packet_PacketMsg{PacketMsg: &tmp2p.PacketMsg{ChannelID: channel, EOF: eof,
			Data: data}}}
		if _, err := protoio.NewDelimitedWriter(&b).WriteMsg(p); err != nil {
			panic(err)
		}
		return b.Bytes()
	}
	return map[string][]byte{
		"noise":               bytes.Repeat([]byte{0xff, 0x13, 0x77}, 1000),
		"huge packet":         {0xff, 0xff, 0xff, 0xff, 0x7f},
		"no such channel":     packet(0x99, true, []byte("hello")),
		"negative channel":    packet(-1, true, []byte("hello")),
		"no message":          packet(0x20, true, []byte{0xff, 0xff, 0xff}),
		"empty message":       packet(0x22, true, nil),
		"block not asked for": packet(0x40, true, []byte{0x1a, 0x02, 0x0a, 0x00}),
		"endless message":     bytes.Repeat(packet(0x30, false, make([]byte, maxPacket)), 20),
		"endless block":       bytes.Repeat(packet(0x40, false, make([]byte, maxPacket)), maxMessage/maxPacket+2),
		"silence":             nil, // no pong
	}
}

// A message of a faulty or hostile member costs it its stream, and nobody anything else.
func TestHostileMember(t *testing.T) {
	for name, bad := range hostile() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, equal(4)...)
				defer c.stopAll()
				// The hostile member opens streams to members with higher peer IDs.
				evil, victim := 0, 0
				for i, m := range c.members {
					if m.id < c.members[evil].id {
						evil = i
					}
					if m.id > c.members[victim].id {
						victim = i
					}
				}
				for i := range c.members {
					if i != evil {
						c.start(i)
					}
				}
				<-c.nodes[victim].caughtUp
				h := c.bare(evil)
				defer h.Close()
				st := c.dialed(h, victim)
				if err := greet(t.Context(), st, c.network); err != nil {
					t.Fatal(err)
				}
				go st.Write(bad) // fails once cut off
				if err := st.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
					t.Fatal(err)
				}
				_, err := io.Copy(io.Discard, st) // the reactors' first messages to a new peer
				if timeout := (interface{ Timeout() bool })(nil); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
					t.Errorf("the stream is not cut: %v", err)
				}
				c.submit(victim, "tx")
				c.has(victim, 1, 10*time.Second)
				c.sees(victim, 3)
			})
		})
	}
}

// Streams that do not greet in time, or come one after another, hold no resources.
func TestGreeting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, equal(2)...)
		defer c.stopAll()
		opener, acceptor := 0, 1
		if c.members[1].id < c.members[0].id {
			opener, acceptor = 1, 0
		}
		c.start(acceptor)
		synctest.Wait()
		h := c.bare(opener)
		defer h.Close()
		time.Sleep(time.Second)
		begin := time.Now()
		first := c.dialed(h, acceptor)
		if _, err := first.Write(c.network[:1]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		second := c.dialed(h, acceptor)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := greet(ctx, second, c.network); err == nil {
			t.Error("a second stream in its greeting was taken")
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("it took %v to refuse the second", took)
		}
		if _, err := io.Copy(io.Discard, first); err == nil {
			t.Error("a stream that does not greet was kept")
		}
		if took := time.Since(begin); took > 2*greetTimeout {
			t.Errorf("it took %v to give up a greeting", took)
		}
	})
}

func TestStalled(t *testing.T) {
	members := func(down int) (list []MemberStatus) {
		for i := range 7 {
			list = append(list, MemberStatus{Name: fmt.Sprint("node-", i+1), Shards: 14 + i%2*2 - i/6, Reachable: i < 7-down})
		}
		return list
	}
	for _, c := range []struct {
		down   int
		since  time.Duration
		lost   time.Duration
		frozen time.Duration
		want   string
	}{
		{down: 0, since: 9 * time.Second},
		{down: 2, since: 19 * time.Second},
		{down: 3, since: time.Second, lost: time.Second},
		{down: 3, since: 9 * time.Second, lost: time.Second},
		{down: 3, since: 14 * time.Second, lost: 15 * time.Second,
			want: "ledger stalled for 14 s at height 812: 60 of 103 shards are reachable, 69 needed; " +
				"not reachable: node-5, node-6, node-7"},
		{down: 3, since: 50 * time.Second, lost: 7 * time.Second,
			want: "ledger stalled for 7 s at height 812: 60 of 103 shards are reachable, 69 needed; " +
				"not reachable: node-5, node-6, node-7"},
		{down: 0, since: 31 * time.Second, want: "ledger stalled for 31 s at height 812: 103 of 103 shards are reachable, " +
			"enough for a block: waiting for them to agree on one"},
		{down: 7, since: 3 * time.Second, frozen: 5 * time.Minute, want: "this node was paused for 5 min, or " +
			"its machine was asleep: catching up from height 812"},
		{down: 0, since: 21 * time.Second, frozen: 5 * time.Minute, want: "ledger stalled for 21 s at height 812: " +
			"103 of 103 shards are reachable, enough for a block: waiting for them to agree on one"},
	} {
		s := Status{Height: 812, Validators: members(c.down)}
		if got := s.stalled(c.since, c.lost, c.frozen, 10*time.Second); got != c.want {
			t.Errorf("%d down since %v: %q: want %q", c.down, c.since, got, c.want)
		}
	}
}

// A process that was stopped for five minutes does not count them as time without a block.
func TestFrozen(t *testing.T) {
	start := time.Now()
	c := &chain{heightAt: start, sw: new(sw)}
	for _, step := range []struct {
		at, frozen time.Duration
		began      time.Duration // when the wait for a block began
	}{
		{at: 0}, {at: stallGrace}, {at: 2 * stallGrace},
		{at: 5 * time.Minute, frozen: 5*time.Minute - 2*stallGrace, began: 5 * time.Minute},
		{at: 5*time.Minute + stallGrace, frozen: 5*time.Minute - 2*stallGrace, began: 5 * time.Minute},
	} {
		c.seen(start.Add(step.at))
		if c.frozen != step.frozen || c.heightAt.Sub(start) != step.began {
			t.Errorf("at %v: frozen for %v, waits since %v; want %v, %v", step.at, c.frozen, c.heightAt.Sub(start),
				step.frozen, step.began)
		}
	}
	if c.committed(813); c.frozen != 0 {
		t.Errorf("a block was committed, and it still did not run for %v", c.frozen)
	}
}
