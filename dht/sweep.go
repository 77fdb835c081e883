package dht

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p-kad-dht/provider"
	kbucket "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multihash"
	"golang.org/x/time/rate"

	"walrus/internal/pause"
)

const (
	// sweepWorkers regions of the key space are announced at a time, to sweepPeers servers each.
	sweepWorkers = 2
	sweepPeers   = 20
	// sweepRate and sweepBurst bound the records that one server is sent. They are below announceRate and announceBurst,
	// above which records queue in the stream, and our own look-ups behind them.
	sweepRate, sweepBurst = announceRate * 4 / 5, announceBurst / 2
	// sweepPoll is the pause between looks at the library's queues, which has no notifications.
	sweepPoll = 100 * time.Millisecond
	// sweepStart bounds the wait for the network: a sweep of a peer that has not joined fails.
	sweepStart = time.Minute
)

// AnnounceAll announces many keys at once, as DHT.Announce does one. Keys that lie next to each other in the key space
// share a look-up, so the number of look-ups follows from the number of servers: use it for dozens of keys and more.
// It returns for each key the number of servers that its record was sent to, also with an error. Each server gets 40
// records a second, so 10,000 keys in a network of 20 servers take four minutes.
func AnnounceAll(ctx context.Context, d *DHT, keys [][32]byte) (sent []int, err error) {
	sent = make([]int, len(keys))
	hashes := make([]multihash.Multihash, len(keys))
	s := &sweep{MessageSender: d.kad.MessageSender(), sent: make(map[string]int, len(keys)), rates: map[peer.ID]*rate.Limiter{}}
	for i, key := range keys {
		c, err := recordKey(key)
		if err != nil {
			return sent, err
		}
		hashes[i] = c.Hash()
	}
	p, err := provider.New(
		provider.WithPeerID(d.host.ID()), provider.WithRouter(d.kad), provider.WithMessageSender(s),
		provider.WithSelfAddrs(func() []multiaddr.Multiaddr { return d.filter(d.host.Addrs()) }),
		provider.WithAddLocalRecord(func(h multihash.Multihash) error { return d.kad.Provide(ctx, cid.NewCidV1(cid.Raw, h), false) }),
		provider.WithReplicationFactor(replicas(d.cfg)), provider.WithReprovideInterval(0),
		provider.WithMaxWorkers(sweepWorkers), provider.WithDedicatedBurstWorkers(1), provider.WithDedicatedPeriodicWorkers(0),
		provider.WithMaxProvideConnsPerWorker(sweepPeers),
	)
	if err != nil {
		return sent, fmt.Errorf("announce %d keys: %w", len(keys), err)
	}
	err = runSweep(ctx, p, hashes)
	err = errors.Join(err, p.Close())
	for i, h := range hashes {
		sent[i] = s.count(h)
	}
	if err != nil {
		return sent, fmt.Errorf("announce %d keys: %w", len(keys), err)
	}
	return sent, nil
}

// runSweep announces keys with p and waits for the end.
func runSweep(ctx context.Context, p *provider.SweepingProvider, keys []multihash.Multihash) error {
	for deadline := time.Now().Add(sweepStart); ; { // until it has met the network, keys are dropped
		st, err := p.Stats(ctx)
		if err != nil {
			return err
		}
		if st.Connectivity.Status == "online" && st.Schedule.AvgPrefixLength >= 0 {
			break
		}
		if time.Now().After(deadline) {
			return errors.New("no server of the network answers: join first")
		}
		if !pause.For(ctx, sweepPoll) {
			return context.Cause(ctx)
		}
	}
	if err := p.ProvideOnce(keys...); err != nil {
		return err
	}
	for {
		st, err := p.Stats(ctx)
		if err != nil {
			return err
		}
		// A worker is taken before the queue is read. What is in the queue while the network is lost stays there.
		if st.Workers.Active == 0 && (st.Queues.PendingKeyProvides == 0 || st.Connectivity.Status != "online") {
			return nil
		}
		if !pause.For(ctx, sweepPoll) {
			return context.Cause(ctx)
		}
	}
}

// sweep sends the records of one AnnounceAll, each server's at a bounded rate, and counts them.
type sweep struct {
	pb.MessageSender

	mu    sync.Mutex
	sent  map[string]int            // by key; guarded by mu
	rates map[peer.ID]*rate.Limiter // guarded by mu
}

// SendMessage implements pb.MessageSender.
func (s *sweep) SendMessage(ctx context.Context, to peer.ID, m *pb.Message) error {
	if err := s.rate(to).Wait(ctx); err != nil {
		return err
	}
	if err := s.MessageSender.SendMessage(ctx, to, m); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent[string(m.GetKey())]++
	return nil
}

func (s *sweep) rate(of peer.ID) *rate.Limiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.rates[of]
	if l == nil {
		l = rate.NewLimiter(sweepRate, sweepBurst)
		s.rates[of] = l
	}
	return l
}

func (s *sweep) count(key multihash.Multihash) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent[string(key)]
}

// Place returns where a key lies in the key space. Keys with nearby places have the same servers, so that they cost
// least if they are announced together.
func Place(key [32]byte) (uint16, error) {
	c, err := recordKey(key)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint16(kbucket.ConvertKey(string(c.Hash()))), nil
}
