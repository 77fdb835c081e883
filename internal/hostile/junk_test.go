package hostile

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	kad_pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"
)

// junkAddresses is the number of addresses that each liar claims for each member.
const junkAddresses = 200

func kadProtocol(network string) protocol.ID { return protocol.ID("/walrus/" + network + "/kad/1.0.0") }

// spreadJunk runs Count servers of the DHT. Each answers every question with junk addresses of every member.
func spreadJunk(ctx context.Context, a *arena, ready func()) (score, error) {
	hole, err := net.Listen("tcp4", "0.0.0.0:0") // accepts on all of 127.0.0.0/8 and says nothing: what costs most time
	if err != nil {
		return nil, err
	}
	defer hole.Close()
	port := hole.Addr().(*net.TCPAddr).Port
	var lies []*kad_pb.Message_Peer
	for m, n := range a.Nodes {
		p := &kad_pb.Message_Peer{Id: []byte(n.ID), Connection: kad_pb.Message_CONNECTED}
		for i := range junkAddresses {
			p.Addrs = append(p.Addrs, multiaddr.StringCast(fmt.Sprintf("/ip4/127.%d.%d.77/tcp/%d", 100+m, i, port)).Bytes())
		}
		lies = append(lies, p)
	}
	var t tally
	hosts := make([]host.Host, a.Count)
	defer each(a.Count, 16, func(i int) {
		if hosts[i] != nil {
			_ = hosts[i].Close()
		}
	})
	var mu sync.Mutex
	each(a.Count, 16, func(i int) {
		h, err := newIdentity(i, libp2p.ListenAddrStrings("/ip4/"+addressOf(i)+"/tcp/0"))
		if err != nil {
			t.add("failed", 1)
			return
		}
		mu.Lock()
		hosts[i] = h
		mu.Unlock()
		h.SetStreamHandler(kadProtocol(a.Network), func(st network.Stream) { lie(st, lies, &t) })
		for _, n := range a.Nodes {
			dial, cancel := context.WithTimeout(ctx, 5*time.Second)
			if h.Connect(dial, n) == nil {
				t.add("connections", 1)
			}
			cancel()
		}
	})
	ready()
	<-ctx.Done()
	return t.total(), nil
}

// lie answers the questions of one stream.
func lie(st network.Stream, lies []*kad_pb.Message_Peer, t *tally) {
	defer st.Close()
	r := bufio.NewReader(st)
	for {
		m := new(kad_pb.Message)
		if readMessage(r, m) != nil {
			_ = st.Reset()
			return
		}
		answer := kad_pb.NewMessage(m.GetType(), m.GetKey(), 0)
		answer.CloserPeers = lies
		if writeMessage(st, answer) != nil {
			return
		}
		t.add("lies", 1)
	}
}

// readMessage and writeMessage frame the DHT's messages.
func readMessage(r *bufio.Reader, m proto.Message) error {
	size, err := binary.ReadUvarint(r)
	if err != nil || size > 1<<20 {
		return fmt.Errorf("message of %d bytes: %w", size, err)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	return proto.Unmarshal(b, m)
}

func writeMessage(w io.Writer, m proto.Message) error {
	b, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	_, err = w.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...))
	return err
}

// reachTime is the time in which a newcomer must have found each member.
const reachTime = 5 * time.Second

func refereeJunk(t *testing.T, r *referee) outcome {
	count := 512
	if !r.full {
		count = 64
	}
	last := len(r.fleet.nodes) - 1
	var restarted error
	quiet, quietSlowest := r.reachAll(t)
	var found int
	var slowest time.Duration
	ph := r.under(t, "junk", &arena{Count: count}, r.long(3*time.Second), func(ctx context.Context) {
		restarted = r.fleet.restart(last, nil)
		if restarted == nil {
			restarted = r.awaitPeers(ctx, last)
		}
		found, slowest = r.reachAll(t)
	})
	members := len(r.fleet.nodes)
	text := func(n int, d time.Duration) string {
		return fmt.Sprintf("%d of %d, slowest %s", n, members, d.Round(time.Millisecond))
	}
	return outcome{
		phase: ph, figure: "members that a new client reaches; a restarted node",
		before: text(quiet, quietSlowest), during: text(found, slowest) + "; " + word(restarted), after: "",
		holds: found == members && restarted == nil && slowest <= reachTime,
		why: fmt.Sprintf("found %d of %d, the slowest in %s; restarted node: %v; liars: %v", found, members, slowest,
			restarted, ph.score),
	}
}
