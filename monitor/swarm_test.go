package monitor

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mrand "math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/crypto/blake2b"

	"walrus/certs"
	"walrus/dht"
	"walrus/internal/swarmtest"
	"walrus/ledger"
	"walrus/monitor/round"
	"walrus/monitor/score"
	"walrus/p2p"
	"walrus/shards"
)

// town is a network in virtual time: hosts of package p2p with their DHT and gossip, each member with a Watch and a
// Prober. Only what nodes store and what the ledger says is the test's own.
type town struct {
	t       *testing.T
	net     *swarmtest.Network
	genesis *ledger.Genesis
	com     *certs.Committee
	metas   []*shards.Metadata
	pairs   [][]shards.Pair
	hosts   []*townHost
}

// townHost is one host of a town, a member or a monitor without weight.
type townHost struct {
	*p2p.Host
	dht    *dht.DHT
	watch  *Watch
	prober *Prober
	shelf  *townShelf // nil for a monitor without weight
	rest   func()     // ends the Prober
	stop   func()
}

// townChain is the ledger as all see it.
type townChain struct{ *town }

func (c townChain) Committees(context.Context) (uint32, certs.Committees, error) {
	all, err := c.genesis.Committees()
	return ledger.FirstEpoch, all, err
}

func (townChain) Bonds(context.Context) (ledger.Bonds, error) { return nil, nil }

func (townChain) AppHash(_ context.Context, at time.Time) ([32]byte, error) {
	return blake2b.Sum256(binary.BigEndian.AppendUint64(nil, uint64(at.Unix()))), nil
}

func (townChain) Height(context.Context) (uint64, error) { return 1000, nil }

func (townChain) BlobInfo(context.Context, shards.BlobID) (ledger.BlobInfo, error) {
	return ledger.BlobInfo{PermanentEnd: 100, PermanentCertifiedEnd: 100}, nil
}

func (townChain) Ahead(context.Context) time.Duration { return 0 }

// townShelf serves the slivers of one node out of memory.
type townShelf struct {
	p2p.Backend // nil: monitors ask for nothing else
	*town
	member int

	mu   sync.Mutex
	lost bool // guarded by mu, as the next: every sliver
	lies bool // it changes a bit of every symbol
	deny bool // it signs that nothing is its own
}

func (s *townShelf) set(change func(*townShelf)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *townShelf) Stamp() (certs.NetworkID, int, uint64) {
	return s.genesis.NetworkID(), s.com.Params().Shards(), 1000
}

func (s *townShelf) blob(id shards.BlobID) int {
	return slices.IndexFunc(s.metas, func(m *shards.Metadata) bool { return m.ID() == id })
}

func (s *townShelf) Metadata(_ context.Context, id shards.BlobID) ([]byte, error) {
	at := s.blob(id)
	if at < 0 {
		return nil, p2p.ErrNotFound
	}
	return s.metas[at].Marshal(), nil
}

func (s *townShelf) Certificates(_ context.Context, after shards.BlobID, limit int) (list [][]byte, more bool, err error) {
	var ids []shards.BlobID
	for _, m := range s.metas {
		if id := m.ID(); bytes.Compare(id[:], after[:]) > 0 {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b shards.BlobID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range ids[:min(limit, len(ids))] {
		c := certs.Certificate{Epoch: ledger.FirstEpoch, Blob: id, Signers: []uint16{0, 1, 2, 3, 4, 5, 6, 7}}
		list = append(list, c.Marshal())
	}
	return list, len(ids) > limit, nil
}

func (s *townShelf) Symbols(_ context.Context, r p2p.SymbolRequest, w io.Writer) error {
	s.mu.Lock()
	lost, lies, deny := s.lost, s.lies, s.deny
	s.mu.Unlock()
	at, params := s.blob(r.Blob), s.com.Params()
	if at < 0 {
		return p2p.ErrNotFound
	}
	var out bytes.Buffer
	for _, index := range r.Slivers {
		pair := params.PairOfSliver(r.Axis, index)
		switch shard := params.ShardOfPair(r.Blob, pair); {
		case deny, !slices.Contains(s.com.Members()[s.member].Shards, shard):
			return &p2p.Lack{Sliver: index, Err: p2p.ErrNotOwner}
		case lost:
			return &p2p.Lack{Sliver: index, Err: p2p.ErrNotFound}
		}
		sliver := s.pairs[at][pair].Primary
		if r.Axis == shards.Secondary {
			sliver = s.pairs[at][pair].Secondary
		}
		symbols, err := s.metas[at].ExtractSymbols(r.Axis, index, bytes.NewReader(sliver), r.Targets)
		if err != nil {
			return err
		}
		for _, sym := range symbols {
			data := bytes.Clone(sym.Data[r.Offset : r.Offset+r.Length])
			if lies && len(data) > 0 {
				data[0] ^= 1
			}
			out.Write(data)
			for _, h := range sym.Proof[:r.ProofLen] {
				out.Write(h[:])
			}
		}
	}
	_, err := w.Write(out.Bytes())
	return err
}

// newTown makes members of 2 shards each, with blobs of the given sizes. No host runs yet.
func newTown(t *testing.T, count int, sizes ...int) *town {
	t.Helper()
	tn := &town{t: t, net: swarmtest.NewNetwork(13)}
	var members []ledger.GenesisMember
	for i := range count {
		id := keyOf(tn.net.Key(i)).Peer()
		bls, err := certs.NewSecretKey(rand.Reader)
		tn.must(err)
		members = append(members, ledger.GenesisMember{Node: id, Name: fmt.Sprint("node-", i), Key: bls.Public(),
			Proof: bls.ProvePossession("town", id)})
	}
	var err error
	tn.genesis, err = ledger.NewGenesis("town", 2*count, members)
	tn.must(err)
	tn.genesis.EpochDuration = 2 * time.Hour // rounds of 50 s
	tn.com, err = tn.genesis.Committee()
	tn.must(err)
	r := mrand.New(mrand.NewPCG(1, 1))
	for _, size := range sizes {
		blob := make([]byte, size)
		for i := range blob {
			blob[i] = byte(r.Uint32())
		}
		meta, pairs, err := shards.Encode(tn.com.Params(), blob)
		tn.must(err)
		tn.metas, tn.pairs = append(tn.metas, meta), append(tn.pairs, pairs)
	}
	return tn
}

func keyOf(sk ed25519.PrivateKey) (k round.Key) {
	copy(k[:], sk.Public().(ed25519.PublicKey))
	return k
}

func (tn *town) must(err error) {
	if err != nil {
		tn.t.Helper()
		tn.t.Fatal(err)
	}
}

// start runs host i: a member, or a monitor without weight behind them.
func (tn *town) start(i int) *townHost {
	tn.t.Helper()
	alive, kill := context.WithCancel(tn.t.Context())
	quiet := slog.New(slog.DiscardHandler)
	cfg := p2p.Config{Network: "town", Key: tn.net.Key(i), Libp2p: tn.net.Options(i), TestTransport: true, Logger: quiet}
	member, isMember := tn.com.Member(keyOf(tn.net.Key(i)).Peer())
	if isMember {
		cfg.Role, cfg.Listen = p2p.StorageNode, []string{tn.net.ListenAddr(i)}
	}
	host, err := p2p.New(cfg)
	tn.must(err)
	find := dht.Config{Network: "town", Server: isMember, Light: true}
	if i > 0 {
		find.Bootstrap = []string{tn.net.Addr(0, keyOf(tn.net.Key(0)).Peer())}
	}
	table, err := dht.New(host.Libp2p(), find)
	tn.must(err)
	h := &townHost{Host: host, dht: table}
	var ids []peer.ID
	for _, m := range tn.com.Members() {
		ids = append(ids, m.Node)
	}
	host.SetProtected(p2p.TagCommittee, ids)
	if isMember {
		h.shelf = &townShelf{town: tn, member: member}
		tn.must(host.Serve(alive, h.shelf))
	}
	h.watch, err = Open(Config{Genesis: tn.genesis, Self: host.ID(), Chain: townChain{tn}, Logger: quiet,
		Network: func(id peer.ID) netip.Prefix { return p2p.NetworkOf(host, id) }, Ask: p2p.RoundsOf(host).Receipts})
	tn.must(err)
	topics, err := host.Join(alive, h.watch.Topic())
	tn.must(err)
	tn.must(p2p.RoundsOf(host).Serve(alive, h.watch.Backend()))
	h.prober, err = NewProber(h.watch, ProberConfig{Key: cfg.Key, Swarm: townSwarm{host, p2p.RoundsOf(host), table}, Logger: quiet})
	tn.must(err)
	var running sync.WaitGroup
	running.Go(func() { _ = table.Run(alive) })
	running.Go(func() { _ = h.watch.Run(alive, topics[0]) })
	probing, rest := context.WithCancel(alive)
	h.rest = rest
	running.Go(func() { _ = h.prober.Run(probing) })
	h.stop = sync.OnceFunc(func() {
		kill()
		running.Wait()
		if err := errors.Join(h.watch.Close(), table.Close(), host.Close()); err != nil {
			tn.t.Errorf("host %d: %v", i, err)
		}
	})
	tn.hosts = append(tn.hosts, h)
	return h
}

// townSwarm is the Swarm of a monitor's process.
type townSwarm struct {
	*p2p.Host
	p2p.Rounds
	dht *dht.DHT
}

func (s townSwarm) Connect(ctx context.Context, id peer.ID) error { return s.dht.Connect(ctx, id) }

func (tn *town) stop() {
	for _, h := range tn.hosts {
		h.stop()
	}
}

// rounds waits for so many to pass, and stands 70 % into one: all attestations of the one before are out.
func (tn *town) rounds(n int) {
	w := tn.hosts[0].watch
	at := w.start(round.Number(time.Now(), w.length) + uint64(n)).Add(w.length * 7 / 10)
	time.Sleep(time.Until(at))
}

// scoresOf returns what host i says of the members, by committee index.
func (tn *town) scoresOf(i int) []NodeScore {
	all := map[peer.ID]NodeScore{}
	for _, s := range tn.hosts[i].watch.Scores() {
		all[s.Node] = s
	}
	var list []NodeScore
	for _, m := range tn.com.Members() {
		list = append(list, all[m.Node])
	}
	return list
}

// TestTown lives through rounds with nine hosts: all are well; three of eight members are cut off; one loses all
// slivers, one lies, one denies, one dies; and all monitors stop. The ninth host is a monitor without weight.
func TestTown(t *testing.T) {
	if testing.Short() {
		t.Skip("20 s of CPU")
	}
	synctest.Test(t, func(t *testing.T) {
		const members = 8
		tn := newTown(t, members, 300_000, 40_000, 2_000)
		defer tn.stop()
		for i := range members + 1 {
			tn.start(i)
		}
		tn.rounds(4)
		tn.checkCosts(members, 4)
		tn.checkWell()

		for i := range members + 1 {
			for j := range i {
				if i >= 5 != (j >= 5) {
					tn.net.Cut(i, j)
				}
			}
		}
		tn.rounds(8)
		tn.checkCut(0, 5)

		tn.net.Heal()
		tn.hosts[1].shelf.set(func(s *townShelf) { s.lost = true })
		tn.hosts[2].shelf.set(func(s *townShelf) { s.lies = true })
		tn.hosts[4].shelf.set(func(s *townShelf) { s.deny = true })
		tn.net.Kill(3)
		tn.rounds(5)
		tn.checkFaults(map[int]round.Outcome{0: round.OK, 1: round.Missing, 2: round.Wrong, 3: round.Unreachable,
			4: round.Missing, 5: round.OK})

		for _, h := range tn.hosts {
			h.rest()
		}
		tn.rounds(10)
		for i, s := range tn.scoresOf(0) {
			if s.Level != score.NoData {
				t.Errorf("the monitors have stopped, and node %d is %+v", i, s)
			}
		}
	})
}

// checkCosts measures what the members send to a monitor without weight in some rounds, and counts what a thousand of
// them cost each of a hundred nodes.
func (tn *town) checkCosts(stranger, rounds int) {
	before, asked := tn.net.Received(stranger), tn.hosts[stranger].prober.Status().Questions
	tn.rounds(rounds)
	each := (tn.net.Received(stranger) - before) / int64(rounds)
	questions := int(tn.hosts[stranger].prober.Status().Questions - asked)
	if questions == 0 || questions > (rounds+1)*round.StrangerNodes {
		tn.t.Errorf("the monitor without weight put %d questions in %d rounds", questions, rounds)
	}
	const connect = 4300 // bytes that a node sends on a new connection, measured here
	node := (each + round.StrangerNodes*connect) * 1000 / 100
	const budget = 10_000_000 / 8 / 1000 * int64(round.MaxLength/time.Second)
	tn.t.Logf("a monitor without weight costs all nodes together %d bytes a round; a thousand cost one of a hundred "+
		"nodes %d, %.3f %% of 10 Mbit/s", each, node, 0.1*float64(node)/float64(budget))
	if node >= budget {
		tn.t.Errorf("a thousand monitors without weight cost a node %d bytes a round, more than 0.1 %% of 10 Mbit/s", node)
	}
}

// checkWell: all is well, and all observers say the same.
func (tn *town) checkWell() {
	for i, s := range tn.scoresOf(0) {
		if s.Level != score.Good || s.Durability != 100 || s.Reachability != 100 {
			tn.t.Errorf("node %d is %+v", i, s)
		}
	}
	for i := range tn.hosts {
		if got, want := fmt.Sprint(tn.scoresOf(i)), fmt.Sprint(tn.scoresOf(0)); got != want {
			tn.t.Errorf("host %d says %v, host 0 %v", i, got, want)
		}
	}
	for _, m := range tn.hosts[0].watch.Monitors() {
		if m.Weight > 0 != (m.Kind == Member) || m.Void || m.Counts.worst() > round.Slow {
			tn.t.Errorf("monitor %+v", m)
		}
	}
}

// checkCut: the greater part believes its own monitors, and finds the others unreachable. The lesser part has no data:
// all its rounds are void.
func (tn *town) checkCut(greater, lesser int) {
	for _, m := range tn.hosts[greater].watch.Monitors() {
		if void := m.Void && m.Kind == Member; void {
			tn.t.Errorf("in the greater part, %+v", m)
		}
	}
	for i := range 8 {
		at, _ := tn.com.Member(keyOf(tn.net.Key(i)).Peer())
		s := tn.scoresOf(greater)[at]
		if cut := i >= 5; cut != (s.Outcome == round.Unreachable) || cut == (s.Level == score.Good) {
			tn.t.Errorf("in the greater part, node %d is %+v", i, s)
		}
		if s := tn.scoresOf(lesser)[at]; s.Level != score.NoData {
			tn.t.Errorf("in the lesser part, node %d is %+v", i, s)
		}
	}
	own := tn.hosts[lesser].watch.monitor(tn.hosts[lesser].ID())
	if !own.Void {
		tn.t.Errorf("in the lesser part, %+v", own)
	}
}

// checkFaults compares the newest verdicts, and asks for evidence where it can be had.
func (tn *town) checkFaults(want map[int]round.Outcome) {
	for i, o := range want {
		at, _ := tn.com.Member(keyOf(tn.net.Key(i)).Peer())
		got := tn.scoresOf(0)[at]
		if got.Outcome != o && (o != round.OK || got.Outcome != round.Slow) {
			tn.t.Errorf("node %d: %+v, want %v", i, got, o)
		}
		list, err := tn.hosts[0].watch.Evidence(got.Node, 1)
		if err != nil || len(list) > 0 != (i == 1 || i == 2) { // 4 signs nothing that convicts it
			tn.t.Errorf("node %d: evidence %v, %v", i, list, err)
		}
	}
}
