package hostile

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	kad_pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"

	"walrus/dht"
	"walrus/p2p"
)

// spammers is the number of identities that announce; each has an address in a network of its own.
const spammers = 10

// spamTime is the time after which the row looks for honest records, whether or not all spam has been read.
const spamTime = 5 * time.Second

// spamProviders announces Count records of random content from each of ten identities to every node, as fast as they
// read.
func spamProviders(ctx context.Context, a *arena, ready func()) (score, error) {
	var t tally
	done := make(chan struct{})
	spam := func(i int) {
		h, err := newIdentity(i, libp2p.NoListenAddrs)
		if err != nil {
			t.add("failed", 1)
			return
		}
		defer h.Close()
		self := &kad_pb.Message_Peer{Id: []byte(h.ID()),
			Addrs: [][]byte{multiaddr.StringCast("/ip4/" + addressOf(i) + "/tcp/4001").Bytes()}}
		each(len(a.Nodes), len(a.Nodes), func(k int) {
			n := a.Nodes[k]
			if h.Connect(ctx, n) != nil {
				t.add("failed", 1)
				return
			}
			st, err := h.NewStream(ctx, n.ID, kadProtocol(a.Network))
			if err != nil {
				t.add("failed", 1)
				return
			}
			defer st.Reset()
			t.add("announced", float64(announce(ctx, st, self, a.Count)))
		})
	}
	go func() {
		defer close(done)
		each(spammers, spammers, spam)
	}()
	select { // nodes read slowly, and the spam goes on meanwhile
	case <-done:
	case <-time.After(spamTime):
	case <-ctx.Done():
	}
	ready()
	<-ctx.Done()
	<-done
	return t.total(), nil
}

// announce writes count records and waits until the node has read them all.
func announce(ctx context.Context, st network.Stream, self *kad_pb.Message_Peer, count int) (sent int) {
	defer context.AfterFunc(ctx, func() { _ = st.Reset() })()
	w := bufio.NewWriter(st)
	for range count {
		key := append([]byte{0x12, 0x20}, make([]byte, 32)...)
		_, _ = rand.Read(key[2:])
		m := kad_pb.NewMessage(kad_pb.Message_ADD_PROVIDER, key, 0)
		m.ProviderPeers = []*kad_pb.Message_Peer{self}
		if writeMessage(w, m) != nil {
			return sent
		}
		sent++
	}
	if w.Flush() != nil || writeMessage(st, kad_pb.NewMessage(kad_pb.Message_PING, nil, 0)) != nil {
		return sent
	}
	_ = readMessage(bufio.NewReader(st), new(kad_pb.Message)) // the answer to the ping comes last
	return sent
}

// refereeProviders announces one honest record before the spam and one after it, and looks for both.
func refereeProviders(t *testing.T, r *referee) outcome {
	count := 10_000
	if !r.full {
		count = 200
	}
	var early, late [32]byte
	_, _ = rand.Read(early[:])
	_, _ = rand.Read(late[:])
	_, provider := r.peer(t)
	if err := provider.Announce(t.Context(), early); err != nil {
		t.Fatalf("announce on a quiet network: %v", err)
	}
	before := r.holders(t, early)
	var during string
	found := 0
	ph := r.under(t, "providers", &arena{Count: count}, r.long(time.Second), func(ctx context.Context) {
		err := provider.Announce(ctx, late)
		a, b := r.holders(t, early), r.holders(t, late)
		found = min(a, b)
		during = fmt.Sprintf("early %d, late %d", a, b)
		if err != nil {
			during += ": " + err.Error()
		}
	})
	return outcome{
		phase: ph, figure: "holders found of an honest record", before: fmt.Sprint(before), during: during,
		after: fmt.Sprint(r.holders(t, late)),
		holds: before == 1 && found == 1, why: fmt.Sprintf("found %s; spam: %v", during, ph.score),
	}
}

// peer opens a host with a DHT that knows one node, as an honest process has it.
func (r *referee) peer(t *testing.T) (*p2p.Host, *dht.DHT) {
	t.Helper()
	h, err := newHonestHost(r.fleet.genesis.Network)
	if err != nil {
		t.Fatal(err)
	}
	d, err := dht.New(h.Libp2p(), dht.Config{Network: r.fleet.genesis.Network, Bootstrap: r.fleet.net.Addresses[:1]})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = d.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		_ = d.Close()
		_ = h.Close()
	})
	joining, stop := context.WithTimeout(ctx, operation)
	defer stop()
	if err := d.Joined(joining); err != nil {
		t.Logf("a new peer joins: %v", err)
	}
	return h, d
}

// holders asks, as a new peer, who holds content.
func (r *referee) holders(t *testing.T, key [32]byte) int {
	t.Helper()
	_, d := r.peer(t)
	ctx, cancel := context.WithTimeout(t.Context(), operation)
	defer cancel()
	found, err := d.Holders(ctx, key, 10)
	if err != nil {
		t.Logf("look for holders: %v", err)
	}
	return len(found)
}
