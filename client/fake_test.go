package client

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/internal/ledgertest"
	"walrus/ledger"
	"walrus/p2p"
	"walrus/shards"
)

// mood selects the behavior of a fake node.
type mood int

const (
	well     mood = iota
	down          // cannot be reached
	silent        // never answers
	lying         // right length, wrong bytes
	cutting       // sends half of the data, then the end
	lacking       // does not have it
	busyOnce      // busy at the first request, then well
	slow          // a byte now and then
	refusing      // takes metadata, refuses pairs
	forging       // confirms with a signature of other data
	mute          // takes everything and never confirms
	full          // refuses metadata for good
	refuting      // says that every blob is invalid
	served        // gets the pairs from somebody else meanwhile, and says so
)

// fakeSwarm is a network of nodes that keep blobs in memory.
type fakeSwarm struct {
	t       testing.TB
	all     *ledger.Committees
	com     *certs.Committee // of the first epoch
	chain   *ledgertest.Chain
	genesis *ledger.Genesis
	wallet  ed25519.PrivateKey
	keys    []*certs.SecretKey
	moods   []mood
	ahead   map[int]uint32               // epochs by which a node is ahead of the ledger
	busy    func(i int, pairs bool) bool // whether a node is too busy for an offer, or for pairs; may be nil
	confirm func(i int)                  // called for each confirmation
	pace    map[int]time.Duration        // time a node takes for each write of pairs
	clocks  map[int]time.Duration        // how far nodes report their clock to be ahead

	mu           sync.Mutex
	nodes        []fakeNode
	rowsAsked    map[int]int // how often each primary sliver was asked for
	latency      time.Duration
	cut          int               // fetches of slivers that were cancelled
	sliversAsked map[sliverKey]int // how often a sliver was asked for; nil: not counted
	proofs       []*shards.CellProof
	deny         func(ledger.ObjectID) bool // tells whether a token's record is another's; nil for never
}

type fakeNode struct {
	metadata map[shards.BlobID][]byte
	slivers  map[sliverKey][]byte
	certs    map[shards.BlobID][]byte
	asked    int
	received int64
}

type sliverKey struct {
	blob  shards.BlobID
	axis  shards.Axis
	index int
}

// newFake makes a network of nodes over n shards, assigned round-robin.
func newFake(t testing.TB, nodes, n int) (*fakeSwarm, *Client) {
	t.Helper()
	f := &fakeSwarm{t: t, moods: make([]mood, nodes), nodes: make([]fakeNode, nodes), ahead: map[int]uint32{}, rowsAsked: map[int]int{}}
	var members []ledger.GenesisMember
	for i := range nodes {
		key, err := certs.NewSecretKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		id := peer.ID(fmt.Sprintf("fake peer %02d", i))
		f.keys = append(f.keys, key)
		members = append(members, ledger.GenesisMember{
			Node: id, Name: fmt.Sprint("node-", i), Key: key.Public(), Proof: key.ProvePossession("fake", id),
			Consensus: ledger.PublicKey(newKey(t).Public().(ed25519.PublicKey)), Reward: ledger.Address{byte(i + 1)},
		})
		f.nodes[i] = fakeNode{metadata: map[shards.BlobID][]byte{}, slivers: map[sliverKey][]byte{}, certs: map[shards.BlobID][]byte{}}
	}
	var err error
	if f.genesis, err = ledger.NewGenesis("fake", n, members); err != nil {
		t.Fatal(err)
	}
	f.wallet = newKey(t)
	f.genesis.Accounts = []ledger.GenesisAccount{{Address: addressOf(f.wallet), Amount: 1000 * ledger.WAL}}
	if f.all, err = f.genesis.Committees(); err != nil {
		t.Fatal(err)
	}
	f.com = f.committee(ledger.FirstEpoch)
	if f.chain, err = ledgertest.New(f.genesis); err != nil {
		t.Fatal(err)
	}
	return f, f.client(f.wallet)
}

// client returns a client of the swarm that pays with key.
func (f *fakeSwarm) client(key ed25519.PrivateKey) *Client {
	cfg := Default()
	cfg.TempDir = f.t.TempDir()
	return New(cfg, Swarm{f, f, f, f, nil, nil}, f.chain, f.chain.Payer(key), slog.New(slog.DiscardHandler))
}

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func addressOf(key ed25519.PrivateKey) ledger.Address {
	return ledger.PublicKey(key.Public().(ed25519.PublicKey)).Address()
}

// committee returns the committee of an epoch.
func (f *fakeSwarm) committee(epoch uint32) *certs.Committee {
	com, err := f.all.At(epoch)
	if err != nil {
		f.t.Fatal(err)
	}
	return com
}

// enter finds a node and lets its mood act on a question.
func (f *fakeSwarm) enter(ctx context.Context, to peer.ID) (i int, n *fakeNode, m mood, err error) {
	i, ok := f.com.Member(to)
	if !ok {
		f.t.Errorf("asked %s, who is not in the committee", to)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n = &f.nodes[i]
	n.asked++
	m = f.moods[i]
	switch {
	case m == down:
		return i, n, m, fmt.Errorf("fake: %w", p2p.ErrUnavailable)
	case m == refuting:
		return i, n, m, fmt.Errorf("fake: %w", p2p.ErrInvalid)
	case m == silent:
		f.mu.Unlock()
		<-ctx.Done()
		f.mu.Lock()
		return i, n, m, ctx.Err()
	case m == busyOnce && n.asked%2 == 1:
		return i, n, m, fmt.Errorf("fake: %w", p2p.ErrBusy)
	}
	return i, n, m, nil
}

// ID implements Uploader.
func (f *fakeSwarm) ID() peer.ID { return "the client" }

// check checks an upload token as a node does. The record may not be on the ledger yet. If deny says so, it is
// another's.
func (f *fakeSwarm) check(id shards.BlobID, raw []byte) error {
	token, err := ledger.UnmarshalUploadToken(f.genesis.NetworkID(), id, f.ID(), raw)
	if err == nil {
		err = token.Verify()
	}
	if err == nil && token.Object != (ledger.ObjectID{}) {
		b, lost := ledger.ReadBlob(f.chain.Head(), token.Object)
		// at the end of a store it may be shared
		if lost == nil && (b.BlobID != id || b.Owner != token.Account.Address() && !b.Shared) {
			err = fmt.Errorf("record %+v", b)
		}
	}
	if err != nil {
		f.t.Errorf("upload token: %v", err)
	}
	if f.deny != nil && f.deny(token.Object) {
		return fmt.Errorf("fake: %w", p2p.ErrDenied)
	}
	return nil
}

// set changes the mood of a node during a test.
func (f *fakeSwarm) set(i int, m mood) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.moods[i] = m
}

func (f *fakeSwarm) Connect(ctx context.Context, to peer.ID) error {
	i, _ := f.com.Member(to)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.moods[i] == down {
		return fmt.Errorf("fake: %w", p2p.ErrUnavailable)
	}
	return ctx.Err()
}

func (f *fakeSwarm) PutMetadata(ctx context.Context, to peer.ID, id shards.BlobID, token, metadata []byte) ([]int, error) {
	i, n, m, err := f.enter(ctx, to)
	if err != nil {
		return nil, err
	}
	if err := f.check(id, token); err != nil {
		return nil, err
	}
	if m == full {
		return nil, fmt.Errorf("fake: %w: the disk is full", p2p.ErrUnavailable)
	}
	if f.busy != nil && f.busy(i, false) {
		return nil, fmt.Errorf("fake: %w", p2p.ErrBusy)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n.metadata[id] = metadata
	var held []int
	p := f.com.Params()
	for _, s := range f.com.Members()[i].Shards {
		pair := p.PairOnShard(id, s)
		if n.slivers[sliverKey{id, shards.Primary, pair}] != nil {
			held = append(held, pair)
		}
	}
	return held, nil
}

func (f *fakeSwarm) StorePairs(ctx context.Context, to peer.ID, id shards.BlobID, token []byte, pairs []int, size int64, body func(io.Writer) error) error {
	i, n, m, err := f.enter(ctx, to)
	if err != nil {
		return err
	}
	if err := f.check(id, token); err != nil {
		return err
	}
	if f.busy != nil && f.busy(i, true) {
		if size <= p2p.InlinePairs { // sent with the request
			_ = body(io.Discard)
		}
		return fmt.Errorf("fake: %w", p2p.ErrBusy)
	}
	if m == refusing {
		return fmt.Errorf("fake: %w", p2p.ErrInternal)
	}
	var all bytes.Buffer
	if m == slow {
		err = body(slowWriter{ctx, &all, time.Minute})
	} else if pace := f.pace[i]; pace > 0 {
		err = body(slowWriter{ctx, &all, pace})
	} else {
		err = body(&all)
	}
	if err != nil {
		return err
	}
	if int64(all.Len()) != size {
		f.t.Errorf("announced %d bytes, sent %d", size, all.Len())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n.received += size
	p := f.com.Params()
	meta, err := shards.UnmarshalMetadata(p, id, n.metadata[id])
	if err != nil {
		return err
	}
	for t := range meta.Layout(shards.Primary).Strips() {
		for _, pair := range pairs {
			if o := f.com.Owner(p.ShardOfPair(id, pair)).Node; o != f.com.Members()[i].Node {
				f.t.Errorf("pair %d was sent to the wrong node", pair)
			}
			for _, axis := range []shards.Axis{shards.Primary, shards.Secondary} {
				_, strip := meta.Layout(axis).Strip(t)
				k := sliverKey{id, axis, p.SliverOfPair(axis, pair)}
				n.slivers[k] = append(n.slivers[k], all.Next(strip)...)
			}
		}
	}
	if m == served {
		return fmt.Errorf("fake: %w", p2p.ErrHave)
	}
	return nil
}

// slowWriter delays each strip.
type slowWriter struct {
	ctx  context.Context
	w    io.Writer
	pace time.Duration
}

func (s slowWriter) Write(p []byte) (int, error) {
	select {
	case <-time.After(s.pace):
		return s.w.Write(p)
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	}
}

func (f *fakeSwarm) Confirm(ctx context.Context, to peer.ID, id shards.BlobID, persistence certs.Persistence) ([]byte, error) {
	i, n, m, err := f.enter(ctx, to)
	if err != nil {
		return nil, err
	}
	if f.confirm != nil {
		f.confirm(i)
	}
	if m == mute {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if f.latency > 0 {
		select {
		case <-time.After(f.latency):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	for changed := f.chain.Changed(); f.registered(id, persistence) != nil; changed = f.chain.Changed() {
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", p2p.ErrNotRegistered, ctx.Err())
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.com.Params()
	meta, err := shards.UnmarshalMetadata(p, id, n.metadata[id])
	if err != nil {
		return nil, err
	}
	for _, s := range f.com.Members()[i].Shards {
		pair := p.PairOnShard(id, s)
		for _, axis := range []shards.Axis{shards.Primary, shards.Secondary} {
			index := p.SliverOfPair(axis, pair)
			if err := meta.VerifySliver(axis, index, n.slivers[sliverKey{id, axis, index}]); err != nil {
				f.t.Errorf("%s sliver %d arrived wrong: %v", axis, index, err)
			}
		}
	}
	com := f.committee(f.chain.Epoch() + f.ahead[i])
	conf := com.Sign(f.keys[i], to, id, persistence)
	if m == forging {
		conf = com.Sign(f.keys[i], to, shards.BlobID{1}, persistence)
		conf.Blob = id
	}
	return conf.Marshal(), nil
}

// registered makes a node's checks before it confirms.
func (f *fakeSwarm) registered(id shards.BlobID, p certs.Persistence) error {
	head := f.chain.Head()
	if !p.Deletable {
		info, err := ledger.ReadBlobInfo(head, id)
		if err == nil && info.PermanentEnd <= f.chain.Epoch() {
			err = errors.New("no permanent registration")
		}
		return err
	}
	b, err := ledger.ReadBlob(head, p.Object)
	if err == nil && (b.BlobID != id || !b.Deletable || b.End <= f.chain.Epoch()) {
		err = fmt.Errorf("record %+v", b)
	}
	return err
}

func (f *fakeSwarm) PutCertificate(ctx context.Context, to peer.ID, raw []byte) error {
	_, n, _, err := f.enter(ctx, to)
	if err != nil {
		return err
	}
	cert, err := certs.UnmarshalCertificate(raw)
	if err == nil {
		err = f.committee(cert.Epoch).Verify(cert)
	}
	if err != nil {
		f.t.Errorf("certificate: %v", err)
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n.certs[cert.Blob] = raw
	return nil
}

func (f *fakeSwarm) Metadata(ctx context.Context, to peer.ID, id shards.BlobID, limit int) ([]byte, error) {
	_, n, m, err := f.enter(ctx, to)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	b := n.metadata[id]
	if b == nil || m == lacking {
		return nil, fmt.Errorf("fake: %w", p2p.ErrNotFound)
	}
	if m == lying {
		b = bytes.Clone(b)
		b[20] ^= 1
	}
	return b[:min(len(b), limit)], nil
}

func (f *fakeSwarm) FetchSliver(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index int, offset, length int64) (io.ReadCloser, error) {
	_, n, m, err := f.enter(ctx, to)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if axis == shards.Primary {
		f.rowsAsked[index]++
	}
	b := n.slivers[sliverKey{id, axis, index}]
	if f.sliversAsked != nil {
		f.sliversAsked[sliverKey{id, axis, index}]++
	}
	if b == nil || m == lacking {
		return nil, fmt.Errorf("fake: %w", p2p.ErrNotFound)
	}
	if f.latency > 0 {
		f.mu.Unlock()
		select {
		case <-time.After(f.latency):
			f.mu.Lock()
		case <-ctx.Done():
			f.mu.Lock()
			f.cut++
			return nil, ctx.Err()
		}
	}
	b = slices.Clone(b[offset : offset+length])
	switch m {
	case lying:
		b[len(b)/2] ^= 0x80
	case cutting:
		return io.NopCloser(io.MultiReader(bytes.NewReader(b[:len(b)/2]), errReader{io.ErrUnexpectedEOF})), nil
	case slow:
		return io.NopCloser(slowReader{ctx, bytes.NewReader(b)}), nil
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (f *fakeSwarm) SymbolParts(ctx context.Context, to peer.ID, q p2p.SymbolQuery) (all []shards.Symbol, err error) {
	_, n, m, err := f.enter(ctx, to)
	if err != nil {
		return nil, err
	}
	for _, index := range q.Slivers {
		f.mu.Lock()
		b, raw := n.slivers[sliverKey{q.Blob, q.Axis, index}], n.metadata[q.Blob]
		f.mu.Unlock()
		if b == nil || m == lacking {
			return nil, fmt.Errorf("fake: %w", p2p.ErrNotFound)
		}
		meta, err := shards.UnmarshalMetadata(f.com.Params(), q.Blob, raw)
		if err != nil {
			return nil, err
		}
		symbols, err := meta.ExtractSymbols(q.Axis, index, bytes.NewReader(b), q.Targets)
		if err != nil {
			return nil, err
		}
		if m == lying {
			symbols[len(symbols)/2].Data[0] ^= 1
		}
		all = append(all, symbols...)
	}
	return all, nil
}

// tree returns the Merkle tree of a node's sliver.
func (f *fakeSwarm) tree(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index int) (*shards.Expansion, error) {
	_, n, m, err := f.enter(ctx, to)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	b, raw := n.slivers[sliverKey{id, axis, index}], n.metadata[id]
	f.mu.Unlock()
	if b == nil || m == lacking {
		return nil, fmt.Errorf("fake: %w", p2p.ErrNotFound)
	}
	meta, err := shards.UnmarshalMetadata(f.com.Params(), id, raw)
	if err != nil {
		return nil, err
	}
	tree, _, err := meta.Expand(axis, index, bytes.NewReader(b), nil)
	if err == nil && m == lying {
		tree.Leaves()[0][0] ^= 1
	}
	return tree, err
}

func (f *fakeSwarm) Leaves(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index int, targets []int, _ int) (openings []shards.Opening, err error) {
	tree, err := f.tree(ctx, to, id, axis, index)
	if err != nil {
		return nil, err
	}
	for _, target := range targets {
		openings = append(openings, tree.Opening(target))
	}
	return openings, nil
}

func (f *fakeSwarm) AllLeaves(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index, _ int) ([]shards.Hash, error) {
	tree, err := f.tree(ctx, to, id, axis, index)
	if err != nil {
		return nil, err
	}
	return tree.Leaves(), nil
}

func (f *fakeSwarm) PutProof(_ context.Context, _ peer.ID, id shards.BlobID, raw []byte) error {
	proof, err := shards.UnmarshalCellProof(f.com.Params(), raw)
	if err == nil {
		err = proof.Verify(f.com.Params(), id)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.proofs = append(f.proofs, proof)
	}
	return err
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

type slowReader struct {
	ctx context.Context
	r   io.Reader
}

func (s slowReader) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		return s.r.Read(p[:1])
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	}
}

func (f *fakeSwarm) BlobStatus(ctx context.Context, to peer.ID, id shards.BlobID) (st p2p.BlobStatus, err error) {
	i, n, _, err := f.enter(ctx, to)
	if err != nil {
		return st, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	st.Metadata, st.Certificate = n.metadata[id] != nil, n.certs[id]
	p := f.com.Params()
	for _, s := range f.com.Members()[i].Shards {
		held := n.slivers[sliverKey{id, shards.Primary, p.PairOnShard(id, s)}] != nil
		st.Slivers = append(st.Slivers, p2p.ShardState{Shard: s, Primary: held, Secondary: held})
	}
	return st, nil
}

func (f *fakeSwarm) NodeHistory(ctx context.Context, to peer.ID) ([]p2p.HistoryPoint, error) {
	_, _, _, err := f.enter(ctx, to)
	return nil, err
}

func (f *fakeSwarm) NodeStatus(ctx context.Context, to peer.ID) (p2p.NodeStatus, error) {
	i, n, _, err := f.enter(ctx, to)
	if err != nil {
		return p2p.NodeStatus{}, err
	}
	return p2p.NodeStatus{Version: "fake", State: serving, Epoch: f.chain.Epoch(), Shards: f.com.Members()[i].Shards, Blobs: uint64(len(n.certs)), ClockAhead: f.clocks[i]}, nil
}

// lose makes node i forget all its slivers.
func (f *fakeSwarm) lose(i int) { f.nodes[i].slivers = map[sliverKey][]byte{} }

var errWriter = errors.New("the writer is full")

// limitedWriter fails after some bytes.
type limitedWriter struct{ left int }

func (l *limitedWriter) Write(p []byte) (int, error) {
	if len(p) > l.left {
		return 0, errWriter
	}
	l.left -= len(p)
	return len(p), nil
}

// layoutsOf returns the size of one sliver pair of a blob of size bytes.
func layoutsOf(f *fakeSwarm, size int) int64 {
	p := f.com.Params()
	return p.Layout(shards.Primary, uint64(size)).Size() + p.Layout(shards.Secondary, uint64(size)).Size()
}
