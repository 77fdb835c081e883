package keeper

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/internal/swarmtest"
	"walrus/ledger"
	"walrus/p2p"
	"walrus/probe"
	"walrus/shards"
	"walrus/store"
)

var large = flag.Bool("large", false, "also measure the traffic of repairs of a large blob, which takes 2 GiB of memory")

// holder serves symbols of one blob from memory.
type holder struct {
	p2p.Backend // nil: an unexpected request panics, which p2p recovers
	meta        *shards.Metadata
	pairs       []shards.Pair
	lies        bool         // gives wrong symbols, and right proofs
	leaves      atomic.Int64 // if positive: after so many requests it answers none
}

// Stamp lets the holder sign what a repair asks for.
func (h *holder) Stamp() (certs.NetworkID, int, uint64) {
	return certs.NetworkID{}, h.meta.Params().Shards(), 7
}

func (h *holder) sliver(axis shards.Axis, index int) []byte {
	pair := &h.pairs[h.meta.Params().PairOfSliver(axis, index)]
	if axis == shards.Primary {
		return pair.Primary
	}
	return pair.Secondary
}

func (h *holder) Symbols(_ context.Context, r p2p.SymbolRequest, w io.Writer) error {
	if r.Nonce == (probe.Nonce{}) {
		return fmt.Errorf("%w: no nonce: a repair asks in the form of a monitor", p2p.ErrBadRequest)
	}
	if h.leaves.Load() > 0 && h.leaves.Add(-1) == 0 {
		h.leaves.Add(1)
		return p2p.ErrUnavailable
	}
	for _, index := range r.Slivers {
		sliver := h.sliver(r.Axis, index)
		symbols, expansion := make([][]byte, len(r.Targets)), (*shards.Expansion)(nil)
		if r.Length > 0 {
			err := h.meta.ReadSymbols(r.Axis, index, bytes.NewReader(sliver), r.Targets, r.Offset, r.Length,
				func(parts [][]byte) error {
					for i := range parts {
						symbols[i] = append(symbols[i], parts[i]...)
					}
					return nil
				})
			if err != nil {
				return err
			}
		}
		if r.ProofLen > 0 {
			var err error
			if expansion, _, err = h.meta.Expand(r.Axis, index, bytes.NewReader(sliver), nil); err != nil {
				return err
			}
		}
		for i, target := range r.Targets {
			if h.lies && r.Length > 0 {
				symbols[i][0] ^= 1
			}
			if _, err := w.Write(symbols[i]); err != nil {
				return err
			}
			if r.ProofLen > 0 {
				if err := writeProof(w, expansion.Proof(target)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// dialler finds the hosts of a swarm.
type dialler struct {
	Network
	*p2p.Host
	addrs map[peer.ID]peer.AddrInfo
}

func (d dialler) Connect(ctx context.Context, id peer.ID) error {
	return d.Host.Connect(ctx, d.addrs[id])
}

// island is a keeper with real hosts around it, on a network in memory that counts the bytes on the wire.
type island struct {
	*Keeper
	t       *testing.T
	net     *swarmtest.Network
	meta    *shards.Metadata
	holders []*holder // by member; ours only to compare
	at      seat
}

// newIsland makes nodes with equal parts of n shards; the first is the keeper, which has all its slivers. Call it in a
// bubble of synctest. wrong makes the metadata of a writer who is wrong.
func newIsland(t *testing.T, n, nodes int, data []byte, wrong ...func(*shards.Metadata)) *island {
	t.Helper()
	params, err := shards.NewParams(n)
	must(t, err)
	is := &island{t: t, net: swarmtest.NewNetwork(1)}
	meta, pairs, err := shards.Encode(params, data)
	must(t, err)
	for _, change := range wrong {
		change(meta)
	}
	is.meta = meta
	var hosts []*p2p.Host
	var members []member
	held, addrs := make([][]int, nodes), map[peer.ID]peer.AddrInfo{}
	for i := range nodes {
		h, err := p2p.New(p2p.Config{
			Network: "test", Key: is.net.Key(i), Role: p2p.StorageNode, Limits: p2p.DefaultLimits(),
			Logger: slog.New(slog.DiscardHandler),
			Listen: []string{is.net.ListenAddr(i)}, Libp2p: is.net.Options(i), TestTransport: true,
		})
		must(t, err)
		t.Cleanup(func() { must(t, h.Close()) })
		hosts, members = append(hosts, h), append(members, member{h.ID(), newMember(t).key})
		addrs[h.ID()] = peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}
		is.holders = append(is.holders, &holder{meta: meta, pairs: pairs})
		must(t, h.Serve(t.Context(), is.holders[i]))
	}
	for shard := range n {
		held[shard%nodes] = append(held[shard%nodes], shard)
	}
	known := committees{0: seated(t, 0, members, held...), 1: seated(t, 1, members, held...)}
	scfg := store.Default(t.TempDir())
	scfg.Logger = slog.New(slog.DiscardHandler)
	st, err := store.Open(scfg)
	must(t, err)
	t.Cleanup(func() { must(t, st.Close()) })
	chain := &state{ready: make(chan struct{}), values: map[string][]byte{
		string(ledger.KeyEpoch()): ledger.EpochInfo{Epoch: 1}.Marshal(),
		string(ledger.KeyBlobInfo(meta.ID())): ledger.BlobInfo{InitialCertified: 1, PermanentEnd: 9,
			PermanentCertifiedEnd: 9}.Marshal(),
	}}
	close(chain.ready)
	cfg := Default()
	cfg.Genesis, cfg.Key, cfg.Logger = &ledger.Genesis{Network: "test", Shards: n}, members[0].key, slog.New(
		slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	is.Keeper, err = New(cfg, Parts{Self: hosts[0].ID(), Committees: known, Store: st, Peers: hosts[0],
		Checks: hosts[0].Checks(), Network: dialler{Host: hosts[0], addrs: addrs}, Ledger: chain})
	must(t, err)
	is.at, err = is.shelf.seats.now()
	must(t, err)
	must(t, st.PutBlob(meta.ID(), meta.Marshal(), 9))
	must(t, st.PutCertificate(meta.ID(), 1, []byte("a certificate")))
	for _, ref := range is.at.slivers(meta.ID()) {
		b := is.sliver(ref)
		w, err := st.Create(ref, int64(len(b)))
		must(t, err)
		_, err = w.Write(b)
		must(t, err)
		must(t, w.Commit())
	}
	for _, h := range hosts[1:] { // connections are there anyway
		must(t, hosts[0].Connect(t.Context(), addrs[h.ID()]))
	}
	time.Sleep(time.Minute)
	return is
}

// sliver returns the right bytes of one of our slivers.
func (is *island) sliver(ref store.Ref) []byte {
	return is.holders[0].sliver(ref.Axis, is.shelf.params.SliverOfPair(ref.Axis,
		is.shelf.params.PairOnShard(ref.Blob, ref.Shard)))
}

// lose drops slivers, repairs them, and compares them. It returns the bytes lost and those that crossed the wire, both
// ways.
func (is *island) lose(lost func(store.Ref) bool) (bytesLost, wire int64) {
	is.t.Helper()
	refs := is.at.slivers(is.meta.ID())
	for _, ref := range refs {
		if lost(ref) {
			bytesLost += int64(len(is.sliver(ref)))
			must(is.t, is.shelf.DeleteSliver(ref))
		}
	}
	must(is.t, is.book.recount(is.meta.ID(), 0))
	before := is.net.Received(0) + is.net.Sent(0)
	is.repairer.repairNext(is.t.Context())
	wire = is.net.Received(0) + is.net.Sent(0) - before
	if owed := is.debts.total(); owed > 0 {
		is.t.Fatalf("%d slivers are still owed", owed)
	}
	for _, ref := range refs {
		if lost(ref) {
			r, err := is.shelf.OpenSliver(ref)
			must(is.t, err)
			got := make([]byte, r.Size())
			_, err = r.ReadAt(got, 0)
			if err != nil && err != io.EOF || !bytes.Equal(got, is.sliver(ref)) {
				is.t.Fatalf("%s is not right: %v", ref, err)
			}
		}
	}
	return bytesLost, wire
}

// TestRepairTraffic measures on the wire what repairs cost in the public network, headers and framing included: for one
// sliver, for a node that lost everything, and among liars.
func TestRepairTraffic(t *testing.T) {
	const n, nodes = 1000, 20
	for _, tt := range []struct {
		size     int
		one, all float64 // bytes on the wire at most, for each byte lost; all also in relation to the blob
		large    bool
	}{{1 << 10, 3, 1.2, false}, {1 << 20, 5, 1.2, false}, {32 << 20, 1.25, 1.05, false}, {256 << 20, 1.25, 1.02, true}} {
		if tt.large && !*large || testing.Short() && tt.size > 1<<20 {
			continue
		}
		t.Run(fmt.Sprint(tt.size>>10, "KiB"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				data := make([]byte, tt.size)
				for i := range data {
					data[i] = byte(rand.Uint32())
				}
				is := newIsland(t, n, nodes, data)
				shard := is.at.shards[7]
				for _, axis := range axes {
					lost, wire := is.lose(func(ref store.Ref) bool { return ref.Shard == shard && ref.Axis == axis })
					t.Logf("one %s sliver of %d bytes: %d bytes on the wire, %.2f ×", axis, lost, wire, float64(wire)/float64(lost))
					if float64(wire) > tt.one*float64(lost) {
						t.Errorf("want at most %.2f ×", tt.one)
					}
				}
				lost, wire := is.lose(func(store.Ref) bool { return true })
				t.Logf("all %d bytes of a node: %d bytes on the wire, %.2f × the loss, %.2f × the blob", lost, wire,
					float64(wire)/float64(lost), float64(wire)/float64(tt.size))
				if float64(wire) > tt.all*float64(min(lost, int64(tt.size)))+4_000 {
					t.Errorf("want at most %.2f × the smaller of the loss and the blob", tt.all)
				}
			})
		})
	}
}

// TestRepairAmongLiars: liars that can prove nothing they sent are found by the proofs of one sliver, whatever they
// sent, cost a bounded number of bytes, and are asked last from then on.
func TestRepairAmongLiars(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, nodes, liars = 100, 20, 6 // the others have just enough
		is := newIsland(t, n, nodes, bytes.Repeat([]byte("a blob with large symbols"), 200_000))
		one := func(ref store.Ref) bool { return ref.Shard == is.at.shards[1] && ref.Axis == shards.Primary }
		_, honest := is.lose(one)
		for i := range liars {
			is.holders[2+3*i].lies = true
		}
		paths := int64(is.shelf.params.Columns() * is.shelf.params.ProofSize() * shards.HashSize)
		for round := 0; len(is.repairer.doubts.until) < liars; round++ {
			lost, wire := is.lose(one)
			t.Logf("%d bytes lost: %d on the wire with honest holders, %d among liars, %d of them known", lost, honest, wire,
				len(is.repairer.doubts.until))
			if most := 3*honest + 2*paths; wire > most {
				t.Errorf("want at most %d: each liar costs what it sends, and one round of proofs", most)
			}
			if round == 20 {
				t.Fatal("not all liars were found")
			}
		}
		if _, again := is.lose(one); again > honest*11/10 {
			t.Errorf("%d bytes although all liars are known: want no more than the %d of honest holders", again, honest)
		}
	})
}

// TestRepairInParts: slivers that do not fit in memory are rebuilt part by part, also among liars, and from holders of
// which some go away in the middle.
func TestRepairInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := newIsland(t, 10, 10, bytes.Repeat([]byte("a blob with large symbols"), 400_000))
		is.repairer.cfg.Memory = 400 << 10
		z := is.meta.Layout(shards.Primary).SymbolSize
		if plan := planRepair(lack{params: is.shelf.params, length: is.meta.Length, primaries: 1, others: 9},
			is.at.slivers(is.meta.ID()), 400<<10); plan[0].part*3 > z {
			t.Fatalf("parts of %d bytes of symbols of %d", plan[0].part, z)
		}
		all := func(store.Ref) bool { return true }
		_, honest := is.lose(all)
		for _, i := range []int{2, 4, 6} {
			is.holders[i].lies = true
		}
		for round := 0; len(is.repairer.doubts.until) == 0; round++ {
			if _, wire := is.lose(all); wire > 5*honest {
				t.Errorf("%d bytes among three liars: want at most five times %d", wire, honest)
			}
			if round == 20 {
				t.Fatal("nobody was found to lie")
			}
		}
		clear(is.repairer.doubts.until)
		is.holders[6].lies = false
		is.holders[5].leaves.Store(3)
		is.lose(all)
	})
}

// TestRepairByRowsAmongLiars: a small blob is fetched as a whole. If it does not match, the liars are found among the
// holders of symbols.
func TestRepairByRowsAmongLiars(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := newIsland(t, 100, 20, bytes.Repeat([]byte("small"), 200))
		all := func(store.Ref) bool { return true }
		b := is.repairer.newRebuilding(is.meta, is.at.slivers(is.meta.ID()), is.at)
		if plan := planRepair(b.lack, is.at.slivers(is.meta.ID()), is.repairer.cfg.Memory); plan[len(plan)-1].way != byRows {
			t.Fatalf("the plan is to repair by %s", plan[len(plan)-1].way)
		}
		is.lose(all)
		for i := range 5 {
			is.holders[2+3*i].lies = true
		}
		for round := 0; len(is.repairer.doubts.until) == 0; round++ {
			if is.lose(all); round == 50 {
				t.Fatal("nobody was found to lie")
			}
		}
	})
}

// TestRepairInconsistent: a column that contradicts rows which are all proven convicts the writer, not a holder, and
// says which line it is.
func TestRepairInconsistent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := newIsland(t, 20, 5, bytes.Repeat([]byte("a blob of a wrong writer"), 1000), func(m *shards.Metadata) {
			for i := range m.Pairs {
				m.Pairs[i].Secondary[0] ^= 1
			}
		})
		lost := is.at.slivers(is.meta.ID())[1:2]
		must(t, is.shelf.DeleteSliver(lost[0]))
		b := is.repairer.newRebuilding(is.meta, lost, is.at)
		err := b.do(t.Context(), planRepair(b.lack, lost, is.repairer.cfg.Memory))
		var line *contradiction
		if !errors.Is(err, shards.ErrInconsistent) || !errors.As(err, &line) || len(is.repairer.doubts.until) > 0 {
			t.Fatalf("repair ends with %v; %d members are said to lie", err, len(is.repairer.doubts.until))
		}
		params := is.shelf.params
		if want := params.SliverOfPair(shards.Secondary,
			params.PairOnShard(lost[0].Blob, lost[0].Shard)); line.axis != shards.Secondary || line.index != want {
			t.Errorf("%s sliver %d contradicts, want secondary %d", line.axis, line.index, want)
		}
	})
}
