package monitor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"walrus/certs"
	"walrus/internal/pause"
	"walrus/internal/swarmtest"
	"walrus/ledger"
	"walrus/monitor/round"
	"walrus/p2p"
	"walrus/shards"
)

// shelf is a storage node's Backend with one blob, of which it has all slivers. It signs its answers.
type shelf struct {
	p2p.Backend
	network certs.NetworkID
	params  shards.Params
	meta    *shards.Metadata
	pairs   []shards.Pair
}

func (s *shelf) Stamp() (certs.NetworkID, int, uint64) { return s.network, s.params.Shards(), 1000 }

func (s *shelf) Metadata(context.Context, shards.BlobID) ([]byte, error) {
	return s.meta.Marshal(), nil
}

func (s *shelf) Certificates(_ context.Context, after shards.BlobID, _ int) ([][]byte, bool, error) {
	id := s.meta.ID()
	if bytes.Compare(after[:], id[:]) >= 0 {
		return nil, false, nil
	}
	cert := &certs.Certificate{Epoch: 1, Blob: id, Signers: []uint16{0}}
	return [][]byte{cert.Marshal()}, false, nil
}

func (s *shelf) Symbols(_ context.Context, r p2p.SymbolRequest, w io.Writer) error {
	for _, index := range r.Slivers {
		var sliver []byte
		for i, pair := range s.pairs {
			if s.params.SliverOfPair(r.Axis, i) == index {
				sliver = map[shards.Axis][]byte{shards.Primary: pair.Primary, shards.Secondary: pair.Secondary}[r.Axis]
			}
		}
		e, kept, err := s.meta.Expand(r.Axis, index, bytes.NewReader(sliver), r.Targets)
		if err != nil {
			return err
		}
		for i, target := range r.Targets {
			if _, err := w.Write(kept[i][r.Offset:][:r.Length]); err != nil {
				return err
			}
			if r.ProofLen == 0 {
				continue
			}
			for _, h := range e.Proof(target) {
				if _, err := w.Write(h[:]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// guildmate is a member that watches, probes and rebuts, on a simulated network.
type guildmate struct {
	*p2p.Host
	p2p.Rounds
	watch *Watch
	addrs map[peer.ID]multiaddr.Multiaddr
}

// Connect implements Swarm and Herald.
func (m *guildmate) Connect(ctx context.Context, id peer.ID) error {
	return m.Libp2p().Connect(ctx, peer.AddrInfo{ID: id, Addrs: []multiaddr.Multiaddr{m.addrs[id]}})
}

// guild starts members that all store one blob.
func guild(t *testing.T, ctx context.Context, net *swarmtest.Network, c *crowd, rebuts bool) (all []*guildmate) {
	t.Helper()
	params, err := shards.NewParams(len(c.keys))
	if err != nil {
		t.Fatal(err)
	}
	meta, pairs, err := shards.Encode(params, bytes.Repeat([]byte("symbols "), 1000))
	if err != nil {
		t.Fatal(err)
	}
	c.chain.infos = map[shards.BlobID]ledger.BlobInfo{meta.ID(): {InitialCertified: 1, PermanentEnd: 9, PermanentCertifiedEnd: 9}}
	shelf := &shelf{network: c.genesis.NetworkID(), params: params, meta: meta, pairs: pairs}
	addrs := map[peer.ID]multiaddr.Multiaddr{}
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	for i, key := range c.keys {
		h, err := p2p.New(p2p.Config{
			Network: "sim", Key: key, Libp2p: net.Options(i), TestTransport: true, Logger: quiet, Role: p2p.StorageNode,
			Listen: []string{net.ListenAddr(i)},
		})
		if err != nil {
			t.Fatal(err)
		}
		m := &guildmate{Host: h, Rounds: p2p.RoundsOf(h), addrs: addrs}
		all = append(all, m)
		if addrs[h.ID()], err = multiaddr.NewMultiaddr(net.ListenAddr(i)); err != nil {
			t.Fatal(err)
		}
		if m.watch, err = Open(Config{Genesis: c.genesis, Self: h.ID(), Chain: c.chain, Logger: quiet, Ask: m.Receipts}); err != nil {
			t.Fatal(err)
		}
		topics, err := h.Join(ctx, m.watch.Topic())
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(h.Serve(ctx, shelf), m.Rounds.Serve(ctx, m.watch.Backend())); err != nil {
			t.Fatal(err)
		}
		prober, err := NewProber(m.watch, ProberConfig{Key: key, Swarm: m, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		var parts sync.WaitGroup
		if rebuts {
			r, err := NewRebutter(m.watch, RebutterConfig{Key: key, Herald: m, Logger: quiet})
			if err != nil {
				t.Fatal(err)
			}
			parts.Go(func() { r.Run(ctx) })
		}
		parts.Go(func() {
			if err := prober.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		parts.Go(func() {
			if err := m.watch.Run(ctx, topics[0]); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
		running.Go(func() {
			parts.Wait()
			if err := errors.Join(m.watch.Close(), h.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	for i, m := range all {
		for _, other := range all[:i] {
			if err := m.Connect(ctx, other.ID()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return all
}

// TestRebuttal has monitors that cannot reach a node which others reach well: the node finds members who say so, all
// observers believe them, and an eighth of the weight turns into "slow from there".
func TestRebuttal(t *testing.T) {
	const count, accused = 10, 9
	for _, tt := range []struct {
		cut      int // monitors 0, 1, … that do not reach the node
		rebuts   bool
		rebutted int // accusations
		good     bool
	}{
		{1, false, 0, true},
		{1, true, 1, true},
		{5, false, 0, false}, // five of nine find it silent
		{5, true, 4, true},   // four find a member that does not accuse itself; one of these counts
		{6, true, 3, false},
	} {
		t.Run(fmt.Sprintf("%d cut, rebuts %t", tt.cut, tt.rebuts), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrowd(t, count, time.Hour) // rounds of 25 s
				ctx, cancel := context.WithCancel(t.Context())
				net := swarmtest.NewNetwork(1)
				all := guild(t, ctx, net, c, tt.rebuts)
				defer func() {
					cancel()
					net.Heal()
					synctest.Wait()
				}()
				for i := range tt.cut {
					net.Cut(i, accused)
				}
				number, ok := accusedRound(ctx, all, accused, tt.cut)
				if !ok {
					t.Fatal("nobody accuses the node")
				}
				end := all[0].watch.start(number + 3).Add(-time.Second) // before it is folded
				pause.For(ctx, time.Until(end))
				for i, m := range all {
					m.watch.mu.Lock()
					r := m.watch.recent[number]
					_, verdicts := m.watch.verdicts(r)
					verdict := verdicts[accused]
					rebutted := 0
					for _, x := range r.rebuttals {
						if x.Node.Peer() == all[accused].ID() {
							rebutted++
						}
					}
					if rebutted != tt.rebutted {
						t.Errorf("member %d knows %d rebuttals, want %d", i, rebutted, tt.rebutted)
					}
					if got := verdict.Reachability; !got.Known || got.Value > 5000 != tt.good {
						t.Errorf("member %d: reachability %+v of %+v", i, got, verdict)
					}
					m.watch.mu.Unlock()
				}
			})
		})
	}
}

// accusedRound waits until so many members attest for one round that a node was silent, and all know it.
func accusedRound(ctx context.Context, all []*guildmate, node, count int) (number uint64, ok bool) {
	w := all[0].watch
	for range 20 {
		pause.For(ctx, w.length)
		n := round.Number(time.Now(), w.length) - 1
		knowing := 0
		for _, m := range all {
			m.watch.mu.Lock()
			accusers := 0
			if r := m.watch.recent[n]; r != nil && len(r.attested) == len(all) {
				for _, a := range r.attested {
					if a.Results[node].Outcome.Silent() {
						accusers++
					}
				}
			}
			if accusers == count {
				knowing++
			}
			m.watch.mu.Unlock()
		}
		if knowing == len(all) {
			return n, true
		}
	}
	return 0, false
}
