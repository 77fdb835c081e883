package p2p

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"walrus/certs"
	"walrus/p2p/internal/wire"
	"walrus/shards"
)

// memory is a Backend that keeps everything it gets. Its methods first call hook, if it is set.
type memory struct {
	mu     sync.Mutex
	hook   func(ctx context.Context, op string) error
	meta   map[shards.BlobID][]byte
	stored map[shards.BlobID][]byte // the bodies of StorePairs, one after the other
	pairs  map[shards.BlobID][]int
	certs  [][]byte
	sliver []byte
}

func newMemory() *memory {
	return &memory{
		meta: map[shards.BlobID][]byte{}, stored: map[shards.BlobID][]byte{}, pairs: map[shards.BlobID][]int{},
		sliver: mebibyte,
	}
}

// anybody is the origin of all peers in tests of a single gate.
func anybody(peer.ID) origin { return origin{} }

// mebibyte is read only.
var mebibyte = pattern(1 << 20)

// pattern returns n bytes that do not repeat early.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 ^ i>>8 ^ i>>16)
	}
	return b
}

func (m *memory) do(ctx context.Context, op string) error {
	m.mu.Lock()
	hook := m.hook
	m.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(ctx, op)
}

// on makes every method call hook first.
func (m *memory) on(hook func(ctx context.Context, op string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = hook
}

func (m *memory) PutMetadata(ctx context.Context, from peer.ID, id shards.BlobID, token []byte, size int64,
	read func() ([]byte, error)) ([]int, error) {
	if err := m.do(ctx, "PutMetadata"); err != nil {
		return nil, err
	}
	metadata, err := read()
	if err != nil || int64(len(metadata)) != size {
		return nil, fmt.Errorf("%w: %d bytes of metadata, %d announced: %w", ErrBadRequest, len(metadata), size, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.meta[id] = metadata
	return m.pairs[id], nil
}

func (m *memory) StorePairs(ctx context.Context, from peer.ID, id shards.BlobID, token []byte, pairs []int, body Body, size int64) error {
	if err := m.do(ctx, "StorePairs"); err != nil {
		return err
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(body, b); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stored[id] = append(m.stored[id], b...)
	m.pairs[id] = append(m.pairs[id], pairs...)
	return nil
}

func (m *memory) Confirm(ctx context.Context, id shards.BlobID, p certs.Persistence) ([]byte, error) {
	if p != testPersistence && p != (certs.Persistence{}) {
		return nil, fmt.Errorf("%w: %+v", ErrNotRegistered, p)
	}
	return append([]byte("confirmed "), id[:]...), m.do(ctx, "Confirm")
}

func (m *memory) Metadata(ctx context.Context, id shards.BlobID) ([]byte, error) {
	if err := m.do(ctx, "Metadata"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if b, ok := m.meta[id]; ok {
		return b, nil
	}
	return nil, fmt.Errorf("metadata of %s: %w", id, ErrNotFound)
}

type openSliver struct{ *bytes.Reader }

func (openSliver) Close() error { return nil }

func (m *memory) OpenSliver(ctx context.Context, id shards.BlobID, axis shards.Axis, index int) (SliverReader, error) {
	return openSliver{bytes.NewReader(m.sliver)}, m.do(ctx, "OpenSliver")
}

const testSymbol, testProof = 100, 3

func (m *memory) Symbols(ctx context.Context, r SymbolRequest, w io.Writer) error {
	if err := m.do(ctx, "Symbols"); err != nil {
		return err
	}
	return writeSymbols(r, w)
}

func writeSymbols(r SymbolRequest, w io.Writer) error {
	if r.SymbolSize != testSymbol || r.ProofLen != testProof && r.ProofLen != 0 {
		return fmt.Errorf("%w: other sizes", ErrBadRequest)
	}
	for range r.Slivers {
		for _, sym := range testSymbols(r.Targets) {
			if _, err := w.Write(sym.Data[r.Offset:][:r.Length]); err != nil {
				return err
			}
			for i := range sym.Proof[:r.ProofLen] {
				if _, err := w.Write(sym.Proof[i][:]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// testSymbols makes symbols of which each byte says where it stands.
func testSymbols(targets []int) []shards.Symbol {
	var out []shards.Symbol
	for _, t := range targets {
		sym := shards.Symbol{Data: make([]byte, testSymbol), Proof: []shards.Hash{{1, byte(t)}, {2}, {3}}}
		for i := range sym.Data {
			sym.Data[i] = byte(t + i)
		}
		out = append(out, sym)
	}
	return out
}

var testBlobStatus = BlobStatus{
	Metadata: true, Certificate: []byte("certificate"),
	Slivers: []ShardState{{Shard: 0, Primary: true}, {Shard: 7, Secondary: true, Corrupt: true}, {Shard: 65534, Primary: true, Secondary: true, Repairing: true}},
}

func (m *memory) BlobStatus(ctx context.Context, id shards.BlobID) (BlobStatus, error) {
	return testBlobStatus, m.do(ctx, "BlobStatus")
}

var testNodeStatus = NodeStatus{
	Version: "1.2.3", State: "serving", Epoch: 4, Shards: []int{1, 2, 65534}, Blobs: 5, Slivers: 6, RepairState: RepairState{Owed: 7, Corrupt: 8, RepairRate: 12, RepairLeft: 13 * time.Second},
	DiskBytes: 1 << 40, Uptime: 90 * time.Second, Peers: 9, Incidents: []string{"disk was slow", "größer"},
	Refuses: "disk is full", Invalid: 12, DiskLimit: 1 << 41, DiskFree: 10, DiskReserve: 11,
	Presence: Presence{Addresses: []string{"/ip4/192.0.2.1/tcp/4001"}, Reach: "mapped, tcp mapped", Seen: "ok by 3 monitors"}, Height: 1 << 40, ClockAhead: -61 * time.Second, Ledger: "stalled for 14 s at height 812",
}

func (m *memory) NodeStatus(ctx context.Context, from peer.ID) (NodeStatus, error) {
	return testNodeStatus, m.do(ctx, "NodeStatus")
}

var testHistory = []HistoryPoint{
	{End: time.Unix(1_800_000_000, 0).UTC(), Length: 300 * time.Second, Up: 200 * time.Second, Disk: 1, Owed: 2, Received: 3, Sent: 4, Repaired: 5},
	{End: time.Unix(1_800_000_300, 0).UTC(), Length: 300 * time.Second, Disk: 1 << 53},
}

func (m *memory) NodeHistory(ctx context.Context) ([]HistoryPoint, error) {
	return testHistory, m.do(ctx, "NodeHistory")
}

func (m *memory) Certificate(ctx context.Context, id shards.BlobID) ([]byte, error) {
	return append([]byte("certificate "), id[:]...), m.do(ctx, "Certificate")
}

func (m *memory) PutCertificate(ctx context.Context, certificate []byte) error {
	if err := m.do(ctx, "PutCertificate"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.certs = append(m.certs, certificate)
	return nil
}

// Certificates has one certificate for each first byte of a blob ID.
func (m *memory) Certificates(ctx context.Context, after shards.BlobID, limit int) ([][]byte, bool, error) {
	if err := m.do(ctx, "Certificates"); err != nil {
		return nil, false, err
	}
	var page [][]byte
	for i := int(after[0]) + 1; i < 256; i++ {
		if len(page) == limit {
			return page, true, nil
		}
		page = append(page, bytes.Repeat([]byte{byte(i)}, i))
	}
	return page, false, nil
}

var quiet = slog.New(slog.DiscardHandler)

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newHost opens a host on loopback; change may alter its configuration.
func newHost(t testing.TB, change func(*Config)) *Host {
	t.Helper()
	cfg := Config{
		Network: "test", Key: newKey(t), Role: StorageNode, Limits: DefaultLimits(), Logger: quiet,
		Listen: []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"},
	}
	if change != nil {
		change(&cfg)
	}
	h, err := New(cfg)
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

// serving opens a host that serves b, and a client connected to it.
func serving(t testing.TB, b Backend, changeServer, changeClient func(*Config)) (client, server *Host) {
	t.Helper()
	server = newHost(t, changeServer)
	if err := server.Serve(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	client = newHost(t, changeClient)
	connect(t, client, server)
	return client, server
}

func connect(t testing.TB, from, to *Host) {
	t.Helper()
	if err := from.Connect(t.Context(), peer.AddrInfo{ID: to.ID(), Addrs: to.Addrs()}); err != nil {
		t.Fatal(err)
	}
}

var testID = shards.BlobID{1, 2, 3}

// testToken is passed on as it is.
var testToken = bytes.Repeat([]byte{7}, UploadTokenSize)

var testPersistence = certs.Persistence{Deletable: true, Object: certs.ObjectID{31: 9}}

// everyOperation calls each request once. The names are those of the Backend's methods.
var everyOperation = []struct {
	name string
	call func(ctx context.Context, h *Host, to peer.ID) (any, error)
}{
	{"PutMetadata", func(ctx context.Context, h *Host, to peer.ID) (any, error) {
		return h.PutMetadata(ctx, to, testID, testToken, []byte("metadata"))
	}},
	{"StorePairs", func(ctx context.Context, h *Host, to peer.ID) (any, error) {
		return nil, h.StorePairs(ctx, to, testID, testToken, []int{3, 1}, 300_000, func(w io.Writer) error {
			_, err := w.Write(mebibyte[:300_000])
			return err
		})
	}},
	{"Confirm", func(ctx context.Context, h *Host, to peer.ID) (any, error) {
		return h.Confirm(ctx, to, testID, testPersistence)
	}},
	{"Metadata", func(ctx context.Context, h *Host, to peer.ID) (any, error) { return h.Metadata(ctx, to, testID, 100) }},
	{"OpenSliver", func(ctx context.Context, h *Host, to peer.ID) (any, error) {
		r, err := h.FetchSliver(ctx, to, testID, shards.Secondary, 5, 1000, 500_000)
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(r)
		return b, errors.Join(err, r.Close())
	}},
	{"Symbols", func(ctx context.Context, h *Host, to peer.ID) (any, error) {
		return h.Symbols(ctx, to, testID, shards.Primary, 5, []int{9, 65534, 0}, testSymbol, testProof)
	}},
	{"Leaves", func(ctx context.Context, h *Host, to peer.ID) (any, error) {
		return h.Checks().Leaves(ctx, to, testID, shards.Secondary, 5, []int{9, 65534, 0}, testProof)
	}},
	{"Leaves", func(ctx context.Context, h *Host, to peer.ID) (any, error) {
		return h.Checks().AllLeaves(ctx, to, testID, shards.Secondary, 5, 7)
	}},
	{"PutProof", func(ctx context.Context, h *Host, to peer.ID) (any, error) {
		return nil, h.Checks().PutProof(ctx, to, testID, []byte("certificate"))
	}},
	{"LineProof", func(ctx context.Context, h *Host, to peer.ID) (any, error) {
		r, err := h.Checks().FetchLineProof(ctx, to, testID, shards.Secondary, 5, 1<<20)
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(r)
		return b, errors.Join(err, r.Close())
	}},
	{"Refute", func(ctx context.Context, h *Host, to peer.ID) (any, error) {
		return h.Checks().Refute(ctx, to, testID, shards.Secondary, 5)
	}},
	{"BlobStatus", func(ctx context.Context, h *Host, to peer.ID) (any, error) { return h.BlobStatus(ctx, to, testID) }},
	{"NodeStatus", func(ctx context.Context, h *Host, to peer.ID) (any, error) { return h.NodeStatus(ctx, to) }},
	{"NodeHistory", func(ctx context.Context, h *Host, to peer.ID) (any, error) { return h.NodeHistory(ctx, to) }},
	{"Certificate", func(ctx context.Context, h *Host, to peer.ID) (any, error) { return h.Certificate(ctx, to, testID) }},
	{"PutCertificate", func(ctx context.Context, h *Host, to peer.ID) (any, error) {
		return nil, h.PutCertificate(ctx, to, []byte("certificate"))
	}},
	{"Certificates", func(ctx context.Context, h *Host, to peer.ID) (any, error) {
		list, more, err := h.Certificates(ctx, to, shards.BlobID{250}, 3)
		return pageOf{list, more}, err
	}},
}

type pageOf struct {
	list [][]byte
	more bool
}

// everyResult lists the results of everyOperation with a fresh memory, in order.
func everyResult(m *memory) []any {
	return []any{
		[]int{}, nil, append([]byte("confirmed "), testID[:]...), []byte("metadata"), m.sliver[1000:501_000],
		testSymbols([]int{9, 65534, 0}),
		testLeaves([]int{9, 65534, 0}), []shards.Hash{{0}, {1}, {2}, {3}, {4}, {5}, {6}}, nil, m.sliver, []byte("secondary 5"), testBlobStatus, testNodeStatus, testHistory, append([]byte("certificate "), testID[:]...), nil,
		pageOf{[][]byte{bytes.Repeat([]byte{251}, 251), bytes.Repeat([]byte{252}, 252), bytes.Repeat([]byte{253}, 253)}, true},
	}
}

// testLeaves returns the leaves that memory has at targets of sliver 5.
func testLeaves(targets []int) (leaves []shards.Opening) {
	for _, target := range targets {
		l := shards.Opening{Leaf: shards.Hash{byte(target)}, Path: make([]shards.Hash, testProof)}
		l.Path[testProof-1] = shards.Hash{1, byte(target)}
		leaves = append(leaves, l)
	}
	return leaves
}

func (m *memory) Leaves(ctx context.Context, r LeafRequest) (leaves []shards.Opening, err error) {
	if len(r.Targets) == 0 {
		for i := range 7 {
			leaves = append(leaves, shards.Opening{Leaf: shards.Hash{byte(i)}})
		}
		return leaves, m.do(ctx, "Leaves")
	}
	return testLeaves(r.Targets), m.do(ctx, "Leaves")
}

func (m *memory) PutProof(ctx context.Context, from peer.ID, id shards.BlobID, proof []byte) error {
	if string(proof) != "certificate" {
		return fmt.Errorf("%w: proof %q", ErrBadRequest, proof)
	}
	return m.do(ctx, "PutProof")
}

func (m *memory) LineProof(ctx context.Context, _ peer.ID, _ shards.BlobID, _ shards.Axis, _ int) (SliverReader, error) {
	return openSliver{bytes.NewReader(m.sliver)}, m.do(ctx, "LineProof")
}

func (m *memory) Refute(ctx context.Context, _ peer.ID, _ shards.BlobID, axis shards.Axis, index int) ([]byte, error) {
	return fmt.Append(nil, axis, index), m.do(ctx, "Refute")
}

// discard is a Backend that takes pairs and forgets them.
type discard struct{ Backend }

func (discard) StorePairs(ctx context.Context, from peer.ID, id shards.BlobID, token []byte, pairs []int, body Body, size int64) error {
	_, err := io.Copy(io.Discard, body)
	return err
}

// whoamiFor asks to dial another peer.
func whoamiFor(addr multiaddr.Multiaddr, id peer.ID) *wire.Whoami {
	return &wire.Whoami{Address: addr.Bytes(), Peer: []byte(id)}
}
