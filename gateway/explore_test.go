package gateway

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/client"
	"walrus/gateway/guard"
	"walrus/gateway/pages"
	"walrus/ledger"
	"walrus/p2p"
	"walrus/shards"
)

// saying is a client with prepared answers. Read its counters only while nobody asks.
type saying struct {
	com     *certs.Committee
	info    *client.Info
	infoErr error
	health  *client.Health
	status  *client.BlobStatus
	history []p2p.HistoryPoint
	delay   time.Duration
	asked   atomic.Int32 // for health, or for a blob
	stored  client.StoreOptions
}

func (s *saying) Committee(context.Context) (*certs.Committee, error) { return s.com, nil }
func (s *saying) Info(context.Context) (*client.Info, error)          { return s.info, s.infoErr }

func (s *saying) Health(context.Context) (*client.Health, error) {
	s.asked.Add(1)
	time.Sleep(s.delay) // of the test's clock
	return s.health, nil
}

func (s *saying) NodeHistory(_ context.Context, id peer.ID) ([]p2p.HistoryPoint, error) {
	if s.history == nil {
		return nil, p2p.ErrBadRequest
	}
	return s.history, nil
}

func (s *saying) BlobStatus(_ context.Context, id shards.BlobID) (*client.BlobStatus, error) {
	s.asked.Add(1)
	if s.status == nil {
		return nil, fmt.Errorf("blob status %s: %w: its last registration ended with epoch 9", id, client.ErrNotFound)
	}
	return s.status, nil
}

func (s *saying) Record(_ context.Context, object ledger.ObjectID) (*ledger.Blob, error) {
	if object != (ledger.ObjectID{1}) {
		return nil, client.ErrNotFound
	}
	return &ledger.Blob{BlobID: shards.BlobID{5}}, nil
}

func (s *saying) Store(_ context.Context, _ io.ReaderAt, size uint64,
	opt client.StoreOptions) (*client.StoreResult, error) {
	s.stored = opt
	return &client.StoreResult{BlobID: shards.BlobID{6}, Size: size, Cost: client.Cost{Storage: 3, Fee: 1}}, nil
}

// newSaying makes a network of 4 nodes with 10 shards in epoch 3, in which node-3 is unreachable and node-2
// exaggerates.
func newSaying(t *testing.T) *saying {
	t.Helper()
	var members []ledger.GenesisMember
	for i := range 4 {
		key, err := certs.NewSecretKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		consensus, _, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		id := peer.ID(fmt.Sprintf("peer %02d", i))
		members = append(members, ledger.GenesisMember{
			Node: id, Name: fmt.Sprint("node-", i), Key: key.Public(), Proof: key.ProvePossession("said", id),
			Consensus: ledger.PublicKey(consensus), Reward: ledger.Address{byte(i + 1)},
		})
	}
	g, err := ledger.NewGenesis("said", 10, members)
	if err != nil {
		t.Fatal(err)
	}
	all, err := g.Committees()
	if err != nil {
		t.Fatal(err)
	}
	com, err := all.At(3)
	if err != nil {
		t.Fatal(err)
	}
	s := &saying{com: com, health: &client.Health{}}
	s.info = &client.Info{Params: g.Params(), Committee: com, Epoch: 3, EpochEnd: time.Unix(1_800_000_000, 0), Burned: 7,
		Sold: 8 << 20, Rewards: 10_000}
	s.info.Params.EpochDuration = time.Hour
	for i, m := range com.Members() {
		n := client.NodeHealth{Node: m.Node, Name: m.Name, Shards: m.Shards, Reachable: i != 3, OK: i < 2}
		if n.Reachable {
			n.Status = p2p.NodeStatus{State: "serving", Epoch: 3, Blobs: 20, Height: 100 + uint64(i), DiskBytes: 1000,
				RepairState: p2p.RepairState{Owed: uint64(i)}}
		} else {
			n.Why = "did not answer in time"
		}
		s.health.Nodes = append(s.health.Nodes, n)
	}
	s.health.Nodes[2].Status.Height, s.health.Nodes[2].Status.Blobs = 1<<60, 1<<60
	return s
}

func TestExplorerNetwork(t *testing.T) {
	s := newSaying(t)
	n, err := NewExplorer(ExploreConfig{}, s).Network(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n.OK || !n.Ledger.Live || n.Epoch.Number != 3 || n.Capacity.Sold != 8<<20 || n.Supply.Burned != 7 ||
		n.Prices.Storage != ledger.DefaultStoragePrice {
		t.Errorf("%+v", n)
	}
	if n.Committee != (pages.Committee{Members: 4, Shards: 10, Faulty: 3, Quorum: 7}) {
		t.Errorf("committee %+v", n.Committee)
	}
	// node-2, with 2 shards of 10, may report anything; node-0 has 3 shards and node-1 has 3
	if n.Ledger.Height != 101 || n.Storage.Blobs != 20 || n.Ledger.Reachable != 8 || n.Storage.DiskBytes != 3000 ||
		n.Storage.Owed != 3 {
		t.Errorf("ledger %+v, storage %+v", n.Ledger, n.Storage)
	}
	if len(n.Nodes) != 4 || n.Nodes[3].Why != "did not answer in time" || n.Nodes[3].Reachable ||
		n.Nodes[0].State != "serving" || n.Throughput == nil {
		t.Errorf("nodes %+v", n.Nodes)
	}
}

func TestExplorerLedgerAway(t *testing.T) {
	s := newSaying(t)
	s.infoErr, s.info = fmt.Errorf("info: %w at height 812", client.ErrStalled), nil
	e := NewExplorer(ExploreConfig{}, s)
	n, err := e.Network(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n.Ledger.Live || n.Ledger.Error != "the ledger is stalled at height 812" || n.Epoch != nil || len(n.Nodes) != 4 {
		t.Errorf("%+v", n)
	}
	if _, err := e.Price(t.Context(), 1, 1); !errors.Is(err, client.ErrStalled) {
		t.Errorf("price: %v", err)
	}
	node, err := e.Node(t.Context(), "node-0")
	if err != nil || node.Earnings != nil {
		t.Errorf("node %+v: %v", node, err)
	}
	s.status = &client.BlobStatus{LedgerErr: s.infoErr, EncodedSize: 5}
	b, err := e.Blob(t.Context(), shards.BlobID{1})
	if err != nil || b.Status != pages.StatusUnknown || b.Ledger.Error == "" || !b.Ledger.EndTime.IsZero() {
		t.Errorf("blob %+v: %v", b, err)
	}
}

func TestExplorerNode(t *testing.T) {
	s := newSaying(t)
	s.health.Nodes[1].Name = s.health.Nodes[0].Node.String() // must not answer requests for node-0
	e := NewExplorer(ExploreConfig{}, s)
	for _, key := range []string{"node-0", s.health.Nodes[0].Node.String()} {
		n, err := e.Node(t.Context(), key)
		if err != nil || n.Name != "node-0" {
			t.Errorf("%s: %+v, %v", key, n, err)
			continue
		}
		// of 10,000 FROST 3 % are burned, and 3 shards of 10 get their share of the rest
		if want := (pages.Earnings{Pot: 10_000, Burn: 300, Share: 2910, Epoch: 3,
			EpochEnd: s.info.EpochEnd}); *n.Earnings != want {
			t.Errorf("earnings %+v, want %+v", *n.Earnings, want)
		}
	}
	if _, err := e.Node(t.Context(), "nobody"); !errors.Is(err, pages.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	if d, err := e.Record(t.Context(), ledger.ObjectID{1}); err != nil || d.BlobID != (shards.BlobID{5}) ||
		d.Object != (ledger.ObjectID{1}) || d.Epoch != 3 {
		t.Errorf("record: %+v, %v", d, err)
	}
	if _, err := e.Record(t.Context(), ledger.ObjectID{2}); !errors.Is(err, pages.ErrNotFound) ||
		!errors.Is(err, client.ErrNotFound) {
		t.Errorf("no record: %v", err)
	}
}

func TestExplorerPrice(t *testing.T) {
	s := newSaying(t)
	e := NewExplorer(ExploreConfig{}, s)
	p, err := e.Price(t.Context(), 1<<20, 5)
	if err != nil {
		t.Fatal(err)
	}
	units := s.info.Params.Units(uint64(s.com.Params().EncodedSize(1 << 20)))
	if p.Storage != ledger.DefaultStoragePrice*ledger.Amount(units*5) ||
		p.Write != ledger.DefaultWritePrice*ledger.Amount(units) || p.Total != p.Storage+p.Write+p.Fees || p.Fees == 0 {
		t.Errorf("%+v of %d units", p, units)
	}
	if want := s.info.EpochEnd.Add(4 * time.Hour); !p.End.Equal(want) || p.Text != p.Total.String() {
		t.Errorf("ends %v, want %v; %s", p.End, want, p.Text)
	}
	for _, bad := range []struct {
		size   uint64
		epochs uint32
	}{{1, 0}, {1, ledger.DefaultMaxEpochsAhead + 1}, {1 << 63, 1}, {1<<64 - 1, 1}} {
		if _, err := e.Price(t.Context(), bad.size, bad.epochs); !errors.Is(err, pages.ErrRange) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestExplorerStore(t *testing.T) {
	s := newSaying(t)
	e := NewExplorer(ExploreConfig{}, s)
	for kind, attributes := range map[string]int{"image/png": 1, "": 0, "application/octet-stream": 0, "no type\r\n": 0,
		"text/" + strings.Repeat("x", 2000): 0} {
		done, err := e.Store(t.Context(), pages.Upload{File: strings.NewReader("x"), Size: 1, ContentType: kind,
			Epochs: 4, Permanent: true})
		if err != nil || done.ID != (shards.BlobID{6}) || done.Cost != 4 {
			t.Errorf("%q: %+v, %v", kind, done, err)
		}
		if len(s.stored.Attributes) != attributes || s.stored.Epochs != 4 || !s.stored.Permanent {
			t.Errorf("%q: stored with %+v", kind, s.stored)
		}
	}
}

// TestExplorerRefuses passes on the API's answer: a used-up quota is not the network's fault.
func TestExplorerRefuses(t *testing.T) {
	e := NewExplorer(ExploreConfig{Store: func(context.Context, io.ReaderAt, uint64,
		client.StoreOptions) (*client.StoreResult, error) {
		return nil, fmt.Errorf("store: %w", &guard.Refusal{Code: 429, Status: "RESOURCE_EXHAUSTED", Message: "spent",
			Retry: time.Minute})
	}}, newSaying(t))
	_, err := e.Store(t.Context(), pages.Upload{File: strings.NewReader("x"), Size: 1, Epochs: 1})
	var refused *pages.Refusal
	if !errors.As(err, &refused) || refused.Status != 429 || refused.Retry != 60 || refused.Message != "spent" {
		t.Errorf("%#v", err)
	}
}

// TestExplorerAsksOnce: many readers cause one question to the network, and nobody waits long for an old answer.
func TestExplorerAsksOnce(t *testing.T) {
	s := newSaying(t)
	s.delay = 5 * time.Second
	synctest.Test(t, func(t *testing.T) {
		e := NewExplorer(ExploreConfig{}, s)
		ask := func() (slowest time.Duration) {
			var wg sync.WaitGroup
			var mu sync.Mutex
			for range 50 {
				wg.Go(func() {
					start := time.Now()
					if _, err := e.Network(t.Context()); err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					slowest = max(slowest, time.Since(start))
				})
			}
			wg.Wait()
			return slowest
		}
		for i, step := range []struct {
			after, slowest time.Duration
			asked          int32
		}{
			{0, 5 * time.Second, 1},               // nothing is known: all wait for one answer
			{time.Second, 0, 1},                   // fresh
			{2 * time.Second, explorePatience, 2}, // old: shown while it is asked again
			{10 * time.Second, explorePatience, 3},
			{2 * exploreStale, 5 * time.Second, 4}, // too old
		} {
			time.Sleep(step.after)
			if took := ask(); took != step.slowest || s.asked.Load() != step.asked {
				t.Errorf("step %d: took %v and %d questions, want %v and %d", i, took, s.asked.Load(), step.slowest, step.asked)
			}
		}
		time.Sleep(2 * exploreStale)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // a reader who leaves does not end it for others
		defer cancel()
		if _, err := e.Network(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("left: %v", err)
		}
		if took := ask(); took != 4*time.Second {
			t.Errorf("the others waited %v, want the 4 s that were left", took)
		}
	})
}

func TestExplorerSamples(t *testing.T) {
	s := newSaying(t)
	synctest.Test(t, func(t *testing.T) {
		var stored, read atomic.Uint64
		e := NewExplorer(ExploreConfig{Stored: stored.Load, Read: read.Load}, s)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- e.Run(ctx) }()
		synctest.Wait()
		stored.Add(5000)
		time.Sleep(sampleEvery)
		synctest.Wait()
		read.Add(50)
		time.Sleep(sampleEvery)
		synctest.Wait()
		n, err := e.Network(t.Context())
		if err != nil || len(n.Throughput) != 2 {
			t.Fatalf("%+v, %v", n, err)
		}
		if a, b := n.Throughput[0], n.Throughput[1]; a.Stored != 1000 || a.Read != 0 || b.Stored != 0 || b.Read != 10 ||
			b.Height != 101 || b.Blobs != 20 || !b.Time.After(a.Time) {
			t.Errorf("%+v", n.Throughput)
		}
		time.Sleep(2 * sampleKeep * sampleEvery)
		synctest.Wait()
		if n, err := e.Network(t.Context()); err != nil || len(n.Throughput) != sampleKeep {
			t.Errorf("%d samples, %v", len(n.Throughput), err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
