package engine

import (
	"context"
	stded25519 "crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/internal/swarmtest"
	"walrus/ledger"
	"walrus/ledger/light"
	"walrus/ledger/mempool"
	"walrus/p2p"
)

const testUsers = 64

// fleet is a network of Nodes: over loopback, or in virtual time if net is set.
type fleet struct {
	t       testing.TB
	net     *swarmtest.Network
	dir     string
	genesis *ledger.Genesis
	timing  Timing
	retain  time.Duration // Retain
	every   uint64        // SnapshotEvery
	far     uint64        // Node.far; 0: the default
	room    int64         // Node.room; 0: the default
	waiting mempool.Limits
	adjust  func(node int, c *Config)
	nodes   []*fleetNode
	users   []stded25519.PrivateKey // each with 1000 WAL
	nonces  []uint64
}

type fleetNode struct {
	*Node
	id     peer.ID
	host   *p2p.Host
	cancel context.CancelFunc
	ended  chan error
}

// newFleet makes a network of count members. No node runs yet.
func newFleet(t testing.TB, net *swarmtest.Network, count int, adjust func(*ledger.Genesis)) *fleet {
	t.Helper()
	s := &fleet{t: t, net: net, dir: t.TempDir(), timing: DevnetTiming()}
	if net != nil {
		net.SetLatency(func(a, b int) time.Duration { return time.Millisecond })
	}
	r := rand.NewChaCha8([32]byte{9})
	var members []ledger.GenesisMember
	for i := range count {
		pub, err := crypto.UnmarshalEd25519PublicKey(s.identity(i).Public().(stded25519.PublicKey))
		if err != nil {
			t.Fatal(err)
		}
		id, err := peer.IDFromPublicKey(pub)
		if err != nil {
			t.Fatal(err)
		}
		sk, err := certs.NewSecretKey(r)
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, ledger.GenesisMember{
			Node: id, Name: fmt.Sprintf("node-%d", i), Key: sk.Public(), Proof: sk.ProvePossession("sim", id),
			Consensus: ledger.PublicKey(seed("consensus", i).Public().(stded25519.PublicKey)),
		})
		s.nodes = append(s.nodes, &fleetNode{id: id})
	}
	g, err := ledger.NewGenesis("sim", 10*count, members)
	if err != nil {
		t.Fatal(err)
	}
	g.Time = time.Now().UTC().Truncate(time.Second)
	for i := range testUsers {
		s.users = append(s.users, seed("user", i))
		g.Accounts = append(g.Accounts, ledger.GenesisAccount{Address: s.address(i), Amount: 1000 * ledger.WAL})
	}
	s.nonces = make([]uint64, testUsers)
	if adjust != nil {
		adjust(g)
	}
	if err := g.Validate(); err != nil {
		t.Fatal(err)
	}
	s.genesis = g
	return s
}

func (s *fleet) identity(i int) stded25519.PrivateKey {
	if s.net != nil {
		return s.net.Key(i)
	}
	return seed("identity", i)
}

func (s *fleet) address(user int) ledger.Address {
	return ledger.PublicKey(s.users[user].Public().(stded25519.PublicKey)).Address()
}

// newHost makes host i, of a member or a client.
func (s *fleet) newHost(i int) *p2p.Host {
	s.t.Helper()
	cfg := p2p.Config{
		Network: "sim", Key: s.identity(i), Role: p2p.StorageNode, Listen: []string{"/ip4/127.0.0.1/tcp/0"},
		Logger: slog.New(slog.DiscardHandler),
	}
	if s.net != nil {
		cfg.Libp2p, cfg.TestTransport, cfg.Listen = s.net.Options(i), true, []string{s.net.ListenAddr(i)}
	}
	h, err := p2p.New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

// connect dials members at their current addresses.
func (s *fleet) connect(h *p2p.Host) func(context.Context, peer.ID) error {
	return func(ctx context.Context, id peer.ID) error {
		for i, n := range s.nodes {
			switch {
			case n.id != id:
			case s.net != nil:
				info, err := peer.AddrInfoFromString(s.net.Addr(i, id))
				if err != nil {
					return err
				}
				return h.Connect(ctx, *info)
			case n.host != nil:
				return h.Connect(ctx, peer.AddrInfo{ID: id, Addrs: n.host.Addrs()})
			}
		}
		return errors.New("no such member, or it is down")
	}
}

func (s *fleet) config(i int, h *p2p.Host) Config {
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("ENGINE_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo})).With("node", i)
	}
	c := Config{
		Dir: filepath.Join(s.dir, fmt.Sprint(i), "ledger"), Genesis: s.genesis, Host: h.Libp2p(), Connect: s.connect(h),
		ConsensusKey: seed("consensus", i), StateFile: filepath.Join(s.dir, fmt.Sprint(i), "last-signature"), NewState: true,
		Timing: s.timing, Retain: s.retain, SnapshotEvery: s.every, Waiting: s.waiting, Logger: log,
	}
	if s.adjust != nil {
		s.adjust(i, &c)
	}
	return c
}

// open creates all hosts first, so that all know each other's addresses, and then runs the nodes.
func (s *fleet) open(which ...int) {
	s.t.Helper()
	for _, i := range which {
		s.nodes[i].host = s.newHost(i)
	}
	for _, i := range which {
		s.run(i)
	}
}

func (s *fleet) run(i int) {
	s.t.Helper()
	n := s.nodes[i]
	cfg := s.config(i, n.host)
	if err := os.MkdirAll(filepath.Dir(cfg.Dir), 0o700); err != nil {
		s.t.Fatal(err)
	}
	node, err := New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.far != 0 {
		node.far = s.far
	}
	if s.room != 0 {
		node.room = s.room
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.Node, n.cancel, n.ended = node, cancel, make(chan error, 1)
	go func() {
		err := node.Run(ctx)
		n.ended <- errors.Join(err, node.Close())
	}()
}

func (s *fleet) close(which ...int) {
	var all sync.WaitGroup
	for _, i := range which {
		n := s.nodes[i]
		if n.Node == nil {
			continue
		}
		all.Go(func() {
			n.cancel()
			if err := <-n.ended; err != nil {
				s.t.Errorf("node %d: %v", i, err)
			}
			if err := n.host.Close(); err != nil {
				s.t.Errorf("host %d: %v", i, err)
			}
			n.Node, n.host = nil, nil
		})
	}
	all.Wait()
}

func (s *fleet) all() (all []int) {
	for i := range s.nodes {
		all = append(all, i)
	}
	return all
}

// closeAll ends everything. In virtual time it also waits for CometBFT's sleeping goroutines.
func (s *fleet) closeAll() {
	s.close(s.all()...)
	if s.net != nil {
		time.Sleep(5 * time.Second)
	}
}

// transfer makes the next transaction of a user: 1 FROST to another user.
func (s *fleet) transfer(from, to int) *ledger.Tx {
	tx := &ledger.Tx{
		Network: s.genesis.NetworkID(), Nonce: s.nonces[from], Expiry: 90_000, Fee: 20_000,
		Ops: []ledger.Op{ledger.Transfer{To: s.address(to), Amount: 1}},
	}
	tx.Sign(s.users[from])
	s.nonces[from]++
	return tx
}

// pay submits a transfer to node i and waits for its receipt there.
func (s *fleet) pay(i, from, to int) ledger.Receipt {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	tx := s.transfer(from, to)
	if err := s.nodes[i].Submit(ctx, tx.Marshal()); err != nil {
		s.t.Fatalf("submit to node %d: %v", i, err)
	}
	r, err := s.nodes[i].Wait(ctx, tx.ID())
	if err != nil {
		s.t.Fatal(err)
	}
	if r.Code != ledger.CodeOK {
		s.t.Fatalf("transfer: code %v: %s", r.Code, r.Log)
	}
	return r
}

// reach waits until node i is at a height.
func (s *fleet) reach(i int, height uint64, within time.Duration) {
	s.t.Helper()
	end := time.After(within)
	for {
		a, moved := s.nodes[i].state()
		changed := a.Changed()
		if a.View().Height >= height {
			return
		}
		select {
		case <-changed:
		case <-moved:
		case err := <-s.nodes[i].ended:
			s.t.Fatalf("node %d ended: %v", i, err)
		case <-end:
			s.t.Fatalf("node %d is at height %d after %v: want %d; %+v", i, a.View().Height, within, height, s.nodes[i].Status())
		}
	}
}

// client makes a light client with its own host.
func (s *fleet) client(i int) (*light.Client, *p2p.Host) {
	s.t.Helper()
	h := s.newHost(i)
	c, err := light.New(light.Config{Genesis: s.genesis, Host: h.Libp2p(), Connect: s.connect(h),
		Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		s.t.Fatal(err)
	}
	return c, h
}
