package monitor

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"flag"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	libp2pcrypto "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"walrus/certs"
	"walrus/internal/badgerdisk"
	"walrus/ledger"
	"walrus/monitor/round"
	"walrus/monitor/score"
	"walrus/shards"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// The size of TestMonth; make soak gives it a month of 1,000 nodes.
var (
	monthRounds = flag.Int("month.rounds", 300, "rounds that TestMonth makes")
	monthNodes  = flag.Int("month.nodes", 40, "nodes that TestMonth has")
)

// still is a ledger in which nothing happens.
type still struct {
	all   certs.Committees
	bonds ledger.Bonds
	infos map[shards.BlobID]ledger.BlobInfo
}

func (s *still) Committees(context.Context) (uint32, certs.Committees, error) {
	return ledger.FirstEpoch, s.all, nil
}
func (s *still) Bonds(context.Context) (ledger.Bonds, error) { return s.bonds, nil }
func (s *still) AppHash(_ context.Context, at time.Time) (h [32]byte, err error) {
	binary.BigEndian.PutUint64(h[:], uint64(at.Unix()))
	return h, nil
}
func (s *still) Height(context.Context) (uint64, error) { return 1000, nil }
func (s *still) BlobInfo(_ context.Context, id shards.BlobID) (ledger.BlobInfo, error) {
	return s.infos[id], nil
}
func (s *still) Ahead(context.Context) time.Duration { return 0 }

// crowd is a network of members with their keys.
type crowd struct {
	genesis *ledger.Genesis
	keys    []ed25519.PrivateKey // by index in the committee
	chain   *still
}

// newCrowd makes a network of count nodes with a shard each and epochs that last as given.
func newCrowd(t testing.TB, count int, epoch time.Duration) *crowd {
	t.Helper()
	rnd := rand.NewChaCha8([32]byte{1})
	c := &crowd{}
	var members []ledger.GenesisMember
	for i := range count {
		var seed [ed25519.SeedSize]byte
		_, _ = rnd.Read(seed[:])
		key := ed25519.NewKeyFromSeed(seed[:])
		identity, err := libp2pcrypto.UnmarshalEd25519PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		id, err := peer.IDFromPrivateKey(identity)
		if err != nil {
			t.Fatal(err)
		}
		sk, err := certs.NewSecretKey(rnd)
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, ledger.GenesisMember{
			Node: id, Name: "node-" + string(rune('a'+i%26)), Key: sk.Public(), Proof: sk.ProvePossession("test", id),
		})
		c.keys = append(c.keys, key)
	}
	g, err := ledger.NewGenesis("test", count, members)
	if err != nil {
		t.Fatal(err)
	}
	g.EpochDuration = epoch
	all, err := g.Committees()
	if err != nil {
		t.Fatal(err)
	}
	c.genesis, c.chain = g, &still{all: all, infos: map[shards.BlobID]ledger.BlobInfo{}}
	return c
}

// open opens the Watch of member i, in memory if dir is empty, and lets it read the ledger.
func (c *crowd) open(t testing.TB, i int, dir string, tell func(Event)) *Watch {
	t.Helper()
	w, err := Open(Config{Dir: dir, Genesis: c.genesis, Self: c.genesis.Members[i].Node, Chain: c.chain, Tell: tell, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// setClock sets the clock of w to a time.
func setClock(w *Watch, t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead = time.Since(t)
}

// TestMonth keeps rounds in which each node is probed by 31 monitors, and reads them as a page does. A month of 1,000
// nodes takes less than 200 MB, and what is older goes.
func TestMonth(t *testing.T) {
	c := newCrowd(t, *monthNodes, 24*time.Hour)
	dir := t.TempDir()
	w := c.open(t, 0, dir, nil)
	length := w.length // ten minutes, with 1,000 nodes
	rnd := rand.New(rand.NewPCG(1, 2))
	begin := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	first := round.Number(begin, length)
	begin = w.start(first)
	n := len(c.keys)
	var largest int64
	for k := range *monthRounds {
		number := first + uint64(k)
		setClock(w, w.start(number).Add(length-time.Second))
		w.mu.Lock()
		for _, key := range c.keys {
			a := &round.Attestation{Round: number, Epoch: ledger.FirstEpoch, Results: make([]round.Result, n)}
			copy(a.Monitor[:], key[32:])
			for range min(round.Probers, n/2) {
				a.Results[rnd.IntN(n)] = round.Result{Outcome: round.OK, RTT: round.Code(100 + rnd.IntN(60)), Rate: round.Code(80 + rnd.IntN(60))}
			}
			_, _ = rand.NewChaCha8([32]byte{byte(k), byte(k >> 8), key[32], key[33]}).Read(a.Signature[:])
			a.Receipts = [32]byte(a.Signature[:32])
			raw, err := a.Encode()
			if err != nil {
				t.Fatal(err)
			}
			w.take(&round.Decision{Verdict: round.Accept, Keep: a}, raw)
		}
		r := w.recent[number]
		r.of, r.verdicts = w.view, make([]score.Verdict, n)
		for i := range r.verdicts {
			v := score.Verdict{
				Assigned: 31, Reported: 31, Reports: 31, Outcome: round.OK, RTT: round.Code(100 + rnd.IntN(60)), Rate: 90,
				Durability: score.Datum{Value: score.Whole, Known: true}, Reachability: score.Datum{Value: score.Whole, Known: true},
			}
			if rnd.IntN(50) == 0 {
				v.Outcome, v.Reachability.Value = round.Timeout, 0
			}
			r.verdicts[i] = v
		}
		w.mu.Unlock()
		setClock(w, w.start(number+foldAfter).Add(time.Second))
		if err := w.fold(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := w.flush(); err != nil {
			t.Fatal(err)
		}
		if k%144 == 143 {
			if err := w.age(); err != nil {
				t.Fatal(err)
			}
			if used, err := badgerdisk.Used(dir); err == nil {
				largest = max(largest, used)
			}
		}
	}
	end := begin.Add(time.Duration(*monthRounds) * length)
	asked := time.Now()
	grid, err := w.Grid(begin, end)
	took := time.Since(asked)
	if err != nil || len(grid) != n {
		t.Fatalf("%d nodes, %v", len(grid), err)
	}
	for i := range grid {
		rounds := 0
		for _, h := range grid[i].Hours {
			rounds += h.Rounds
		}
		if rounds != *monthRounds {
			t.Fatalf("node %d: %d rounds in %d hours, want %d", i, rounds, len(grid[i].Hours), *monthRounds)
		}
	}
	asked = time.Now()
	hours, err := w.Hours(grid[n-1].Node, begin, end)
	single := time.Since(asked)
	if err != nil || len(hours) != int(end.Add(-time.Second).Sub(begin.Truncate(time.Hour))/time.Hour)+1 {
		t.Errorf("%d hours of one node, %v", len(hours), err)
	}
	asked = time.Now()
	scores := w.Scores()
	now := time.Since(asked)
	if len(scores) != n || scores[3].Durability < 99 || scores[3].Reachability > 99.9 {
		t.Errorf("scores %+v", scores[3])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	used, err := badgerdisk.Used(dir)
	if err != nil {
		t.Fatal(err)
	}
	largest = max(largest, used)
	// Each round of a node may take 40 bytes in its month, and two days have signed messages, beside the fixed files.
	bound := int64(*monthRounds)*int64(n)*12 + 2*rawPerDay + 64<<20
	t.Logf("%d rounds of %d nodes: %.1f MB on disk, %.1f at most; grid of all %v, one node's hours %v, scores %v", *monthRounds, n,
		float64(used)/1e6, float64(largest)/1e6, took, single, now)
	if largest > bound {
		t.Errorf("%d bytes on disk, want at most %d", largest, bound)
	}
	w = c.open(t, 0, dir, nil)
	setClock(w, end.Add(40*24*time.Hour))
	if err := w.age(); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []byte{keyMessage, keyFolded} {
		if day, found, err := w.db.firstDay(kind); found || err != nil {
			t.Errorf("after 40 days: %c of day %d is still there, %v", kind, day, err)
		}
	}
	if s := w.Scores(); s[3].Level != score.NoData || s[3].Durability != Unknown {
		t.Errorf("40 days after the last monitor stopped: %+v", s[3])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
