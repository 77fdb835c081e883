package light

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/types"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"go.uber.org/goleak"

	"walrus/ledger"
	"walrus/ledger/merkle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

func newHost(t testing.TB) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay(), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// meet gives a the addresses of b.
func meet(a, b host.Host) { a.Peerstore().AddAddrs(b.ID(), b.Addrs(), peerstore.PermanentAddrTTL) }

// source is a Source whose methods tests replace.
type source struct {
	Source
	block   func(ctx context.Context, height uint64) (*types.LightBlock, error)
	changes func(ctx context.Context, after uint64, limit int) ([]*types.LightBlock, error)
	read    func(ctx context.Context, at At, keys [][]byte) (*Reading, error)
	submit  func(ctx context.Context, tx []byte) error
	receipt func(ctx context.Context, id ledger.TxID) (*Inclusion, error)
	history func(ctx context.Context, a ledger.Subject, before Position, limit int) ([]Inclusion, uint64, error)
	objects func(ctx context.Context, l Listing, after ledger.ObjectID, limit int) ([]Object, error)
	ranges  func(ctx context.Context, height uint64, first, last merkle.Hash, limit int) (*Range, error)
}

func (s *source) LightBlock(ctx context.Context, height uint64) (*types.LightBlock, error) {
	if s.block != nil {
		return s.block(ctx, height)
	}
	return s.Source.LightBlock(ctx, height)
}

func (s *source) Handovers(ctx context.Context, after uint64, limit int) ([]*types.LightBlock, error) {
	if s.changes != nil {
		return s.changes(ctx, after, limit)
	}
	return s.Source.Handovers(ctx, after, limit)
}

func (s *source) Read(ctx context.Context, at At, keys [][]byte) (*Reading, error) {
	if s.read != nil {
		return s.read(ctx, at, keys)
	}
	return s.Source.Read(ctx, at, keys)
}

func (s *source) Submit(ctx context.Context, tx []byte) error {
	if s.submit != nil {
		return s.submit(ctx, tx)
	}
	return s.Source.Submit(ctx, tx)
}

func (s *source) Receipt(ctx context.Context, id ledger.TxID) (*Inclusion, error) {
	if s.receipt != nil {
		return s.receipt(ctx, id)
	}
	return s.Source.Receipt(ctx, id)
}

func (s *source) History(ctx context.Context, a ledger.Subject, before Position,
	limit int) ([]Inclusion, uint64, error) {
	if s.history != nil {
		return s.history(ctx, a, before, limit)
	}
	return s.Source.History(ctx, a, before, limit)
}

func (s *source) Objects(ctx context.Context, list Listing, after ledger.ObjectID,
	limit int) ([]Object, error) {
	if s.objects != nil {
		return s.objects(ctx, list, after, limit)
	}
	return s.Source.Objects(ctx, list, after, limit)
}

func (s *source) Range(ctx context.Context, height uint64, first, last merkle.Hash, limit int) (*Range, error) {
	if s.ranges != nil {
		return s.ranges(ctx, height, first, last, limit)
	}
	return s.Source.Range(ctx, height, first, last, limit)
}

// world has a chain, a host that serves it, one that may lie, and one for clients.
type world struct {
	*chain
	keys   []ed25519.PrivKey
	honest host.Host // member 1 of the genesis, with 3 of 10 shards
	liar   host.Host // member 0, likewise
	client host.Host
	tale   atomic.Pointer[source] // served by the liar
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOf(t, 10, newKeys(t, 1, 4))
}

// newWorldOf spreads n shards over members with the given consensus keys.
func newWorldOf(t testing.TB, n int, keys []ed25519.PrivKey) *world {
	t.Helper()
	w := &world{keys: keys, honest: newHost(t), liar: newHost(t), client: newHost(t)}
	w.chain = newChain(t, newGenesis(t, "test", n, w.keys, w.liar.ID(), w.honest.ID()), w.keys)
	meet(w.client, w.honest)
	meet(w.client, w.liar)
	w.tale.Store(&source{Source: w.chain})
	serve(t, w.honest, w.genesis, w.chain)
	serve(t, w.liar, w.genesis, &teller{&w.tale})
	return w
}

// teller serves the current source.
type teller struct{ *atomic.Pointer[source] }

func (s *teller) LightBlock(ctx context.Context, h uint64) (*types.LightBlock, error) {
	return s.Load().LightBlock(ctx, h)
}
func (s *teller) Handovers(ctx context.Context, h uint64, n int) ([]*types.LightBlock, error) {
	return s.Load().Handovers(ctx, h, n)
}
func (s *teller) Read(ctx context.Context, h At, keys [][]byte) (*Reading, error) {
	return s.Load().Read(ctx, h, keys)
}
func (s *teller) Submit(ctx context.Context, tx []byte) error { return s.Load().Submit(ctx, tx) }
func (s *teller) Receipt(ctx context.Context, id ledger.TxID) (*Inclusion, error) {
	return s.Load().Receipt(ctx, id)
}
func (s *teller) History(ctx context.Context, a ledger.Subject, p Position, n int) ([]Inclusion, uint64, error) {
	return s.Load().History(ctx, a, p, n)
}
func (s *teller) Objects(ctx context.Context, a Listing, o ledger.ObjectID, n int) ([]Object, error) {
	return s.Load().Objects(ctx, a, o, n)
}
func (s *teller) Snapshots(ctx context.Context) ([]uint64, error) { return s.Load().Snapshots(ctx) }
func (s *teller) Range(ctx context.Context, h uint64, a, b merkle.Hash, n int) (*Range, error) {
	return s.Load().Range(ctx, h, a, b, n)
}
func (s *teller) Trouble() string { return s.Load().Trouble() }

func serve(t testing.TB, h host.Host, g *ledger.Genesis, s Source) *Server {
	t.Helper()
	server, err := Serve(t.Context(), h, g, s, DefaultLimits(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

// asking makes a client that asks these hosts in this order.
func (w *world) asking(t testing.TB, hosts ...host.Host) *Client {
	t.Helper()
	return w.with(t, nil, hosts...)
}

func (w *world) with(t testing.TB, trust *Checkpoint, hosts ...host.Host) *Client {
	t.Helper()
	var ids []peer.ID
	for _, h := range hosts {
		ids = append(ids, h.ID())
	}
	c, err := New(Config{
		Genesis: w.genesis, Host: w.client, Trust: trust, Logger: quiet, Hasty: true,
		Peers: func(context.Context) []peer.ID { return ids },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// patience bounds what must end by itself: the machine may be busy with other tests.
const patience = 2 * time.Minute

func limited(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
