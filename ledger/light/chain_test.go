package light

import (
	"bytes"
	"context"
	stded25519 "crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/crypto"
	"github.com/cometbft/cometbft/crypto/ed25519"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmtversion "github.com/cometbft/cometbft/proto/tendermint/version"
	"github.com/cometbft/cometbft/types"
	"github.com/cometbft/cometbft/version"
	libp2pcrypto "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/ledger"
	"walrus/ledger/merkle"
)

// chain is a Source: a ledger in memory with real headers and signatures and without rules. Tests say what each block
// changes.
type chain struct {
	genesis *ledger.Genesis
	keys    map[string]ed25519.PrivKey // the validators', by address

	mu      sync.Mutex
	grown   chan struct{} // closed when a block is added
	blocks  []*record     // by height; the genesis at 0
	values  map[string][]byte
	trouble string
	oldest  uint64
}

// record is a block and the state after it.
type record struct {
	light    *types.LightBlock
	block    *types.Block
	results  []*abci.ExecTxResult
	receipts []ledger.Receipt
	tree     *merkle.Tree
	values   map[string][]byte
	next     *types.ValidatorSet // from the next block on
}

// happening is a transaction with its result in a block.
type happening struct {
	tx     *ledger.Tx
	result ledger.Result
}

func newKeys(t testing.TB, seed byte, count int) []ed25519.PrivKey {
	t.Helper()
	r := rand.NewChaCha8([32]byte{seed, 9})
	keys := make([]ed25519.PrivKey, count)
	for i := range keys {
		var raw [stded25519.SeedSize]byte
		_, _ = r.Read(raw[:])
		keys[i] = ed25519.PrivKey(stded25519.NewKeyFromSeed(raw[:]))
	}
	return keys
}

// newGenesis makes a network of nodes with the given consensus keys. The first members get the peer IDs first.
func newGenesis(t testing.TB, network string, n int, keys []ed25519.PrivKey, first ...peer.ID) *ledger.Genesis {
	t.Helper()
	r := rand.NewChaCha8([32]byte{7})
	var members []ledger.GenesisMember
	for i, key := range keys {
		var raw [stded25519.SeedSize]byte
		_, _ = r.Read(raw[:])
		identity, err := libp2pcrypto.UnmarshalEd25519PrivateKey(stded25519.NewKeyFromSeed(raw[:]))
		if err != nil {
			t.Fatal(err)
		}
		node, err := peer.IDFromPrivateKey(identity)
		if err != nil {
			t.Fatal(err)
		}
		if i < len(first) {
			node = first[i]
		}
		sk, err := certs.NewSecretKey(r)
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, ledger.GenesisMember{
			Node: node, Name: fmt.Sprintf("node-%d", i), Key: sk.Public(), Proof: sk.ProvePossession(network, node),
			Consensus: ledger.PublicKey(key.PubKey().Bytes()),
		})
	}
	g, err := ledger.NewGenesis(network, n, members)
	if err != nil {
		t.Fatal(err)
	}
	g.Time = time.Now().UTC().Truncate(time.Second).Add(-time.Hour)
	return g
}

// newChain makes a chain of three blocks, with the genesis state and an epoch that has just begun.
func newChain(t testing.TB, g *ledger.Genesis, keys []ed25519.PrivKey) *chain {
	t.Helper()
	set, err := votersOf(g)
	if err != nil {
		t.Fatal(err)
	}
	root := &types.LightBlock{ValidatorSet: set, SignedHeader: &types.SignedHeader{
		Header: &types.Header{Time: g.Time.Add(-1), NextValidatorsHash: set.Hash()}}}
	c := &chain{genesis: g, keys: make(map[string]ed25519.PrivKey), grown: make(chan struct{}),
		values: map[string][]byte{}}
	for _, k := range keys {
		c.keys[string(k.PubKey().Address())] = k
	}
	params := g.Params()
	changes := []merkle.Change{
		{Key: ledger.KeyParams(), Value: params.Marshal()},
		{Key: ledger.KeyEpoch(), Value: ledger.EpochInfo{Epoch: ledger.FirstEpoch, Start: time.Now().UnixNano()}.Marshal()},
	}
	for i, m := range g.Members {
		changes = append(changes, merkle.Change{Key: ledger.KeyMember(uint16(i)), Value: m.Marshal()})
	}
	tree := merkle.Build(changes)
	for _, ch := range changes {
		c.values[string(ch.Key)] = ch.Value
	}
	c.blocks = []*record{{light: root, tree: tree, values: clone(c.values), next: set}}
	for range 3 {
		c.grow(t)
	}
	return c
}

func clone(m map[string][]byte) map[string][]byte {
	c := make(map[string][]byte, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

// set adds a block that changes the state, and one that proves it.
func (c *chain) set(t testing.TB, changes ...merkle.Change) {
	t.Helper()
	c.add(t, blockOf{changes: changes})
	c.grow(t)
}

// grow adds an empty block.
func (c *chain) grow(t testing.TB) { t.Helper(); c.add(t, blockOf{}) }

// blockOf describes how a block differs from an empty one.
type blockOf struct {
	changes []merkle.Change
	txs     []happening
	time    time.Time                     // zero: now, or just after the block before
	next    *types.ValidatorSet           // of the next block; nil: the same
	signs   func(v *types.Validator) bool // nil: all
	header  func(h *types.Header)         // changes the header before it is signed
}

func (c *chain) add(t testing.TB, b blockOf) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.make(t, b)
	for _, ch := range b.changes {
		if c.values[string(ch.Key)] = ch.Value; ch.Value == nil {
			delete(c.values, string(ch.Key))
		}
	}
	r.values = clone(c.values)
	c.blocks = append(c.blocks, r)
	close(c.grown)
	c.grown = make(chan struct{})
}

// must returns the result of a tree in memory, which never fails.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// make makes the next block without adding it.
func (c *chain) make(t testing.TB, b blockOf) *record {
	t.Helper()
	last := c.blocks[len(c.blocks)-1]
	r := &record{tree: must(last.tree.Apply(b.changes, 1)), next: b.next}
	set := last.next
	if r.next == nil {
		r.next = set
	}
	height := last.light.Height + 1
	at := b.time
	if at.IsZero() {
		at = time.Now()
	}
	if !at.After(last.light.Time) {
		at = last.light.Time.Add(time.Millisecond)
	}
	var txs types.Txs
	for i, h := range b.txs {
		txs = append(txs, h.tx.Marshal())
		r.results = append(r.results, ResultOf(&h.result))
		r.receipts = append(r.receipts, ledger.Receipt{
			ID: h.tx.ID(), Height: uint64(height), Index: uint32(i), Time: at.UnixNano(), Result: h.result,
		})
	}
	appHash := last.tree.Root()
	header := types.Header{
		Version: cmtversion.Consensus{Block: version.BlockProtocol}, ChainID: c.genesis.ChainID(), Height: height, Time: at,
		LastBlockID: last.id(), LastCommitHash: crypto.Sha256([]byte("commit")), DataHash: txs.Hash(),
		ValidatorsHash: set.Hash(), NextValidatorsHash: r.next.Hash(), ConsensusHash: crypto.Sha256([]byte("params")),
		AppHash: appHash[:], LastResultsHash: types.NewResults(last.results).Hash(),
		EvidenceHash: crypto.Sha256([]byte("evidence")), ProposerAddress: set.Validators[0].Address,
	}
	if b.header != nil {
		b.header(&header)
	}
	r.block = &types.Block{Header: header, Data: types.Data{Txs: txs}}
	r.light = c.sign(t, &header, set, b.signs)
	return r
}

func (r *record) id() types.BlockID {
	if r.light.Height == 0 {
		return types.BlockID{}
	}
	return r.light.Commit.BlockID
}

// sign makes the light block of a header, signed by the validators that signs selects.
func (c *chain) sign(t testing.TB, header *types.Header, set *types.ValidatorSet,
	signs func(*types.Validator) bool) *types.LightBlock {
	t.Helper()
	id := types.BlockID{Hash: header.Hash(),
		PartSetHeader: types.PartSetHeader{Total: 1, Hash: crypto.Sha256(header.Hash())}}
	commit := &types.Commit{Height: header.Height, BlockID: id}
	for i, v := range set.Validators {
		if signs != nil && !signs(v) {
			commit.Signatures = append(commit.Signatures, types.NewCommitSigAbsent())
			continue
		}
		vote := &types.Vote{
			Type: cmtproto.PrecommitType, Height: header.Height, BlockID: id, Timestamp: header.Time,
			ValidatorAddress: v.Address, ValidatorIndex: int32(i),
		}
		sig, err := c.keys[string(v.Address)].Sign(types.VoteSignBytes(header.ChainID, vote.ToProto()))
		if err != nil {
			t.Fatal(err)
		}
		vote.Signature = sig
		commit.Signatures = append(commit.Signatures, vote.CommitSig())
	}
	return &types.LightBlock{SignedHeader: &types.SignedHeader{Header: header, Commit: commit}, ValidatorSet: set}
}

func (c *chain) height() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return uint64(len(c.blocks) - 1)
}

func (c *chain) LightBlock(_ context.Context, height uint64) (*types.LightBlock, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if height == 0 {
		height = uint64(len(c.blocks) - 1)
	}
	if height >= uint64(len(c.blocks)) {
		return nil, ErrBehind
	}
	return c.blocks[height].light, nil
}

func (c *chain) Handovers(_ context.Context, after uint64, limit int) (list []*types.LightBlock, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for h := int(after) + 1; h < len(c.blocks) && len(list) < limit; h++ {
		if b := c.blocks[h].light; !bytes.Equal(b.ValidatorsHash, b.NextValidatorsHash) {
			list = append(list, b)
		}
	}
	return list, nil
}

// wait returns once good, called with mu held, returns true, or with the error of ctx.
func (c *chain) wait(ctx context.Context, good func() bool) error {
	for {
		c.mu.Lock()
		done, grown := good(), c.grown
		c.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grown:
		}
	}
}

func (c *chain) Read(ctx context.Context, at At, keys [][]byte) (*Reading, error) {
	if err := c.wait(ctx, func() bool { return uint64(len(c.blocks)) >= at.Height+2 }); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	h := len(c.blocks) - 2
	if at.Exact {
		if uint64(h) > at.Height+keptStates {
			return nil, ErrPruned
		}
		h = int(at.Height)
	}
	state := c.blocks[h]
	r := &Reading{Height: uint64(h), Block: c.blocks[h+1].light}
	for _, k := range keys {
		r.Items = append(r.Items, Item{state.values[string(k)], must(state.tree.Prove(k))})
	}
	if at.Top > 0 {
		r.Top, _ = state.tree.Top(int(at.Top))
	}
	return r, nil
}

func (c *chain) Submit(context.Context, []byte) error { return nil }

func (c *chain) Receipt(ctx context.Context, id ledger.TxID) (i *Inclusion, err error) {
	var failed error
	err = c.wait(ctx, func() bool { i, failed = c.find(id); return i != nil || failed != nil })
	if err == nil {
		err = failed
	}
	return i, err
}

// find finds a transaction. Hold mu.
func (c *chain) find(id ledger.TxID) (*Inclusion, error) {
	for h := 1; h < len(c.blocks)-1; h++ {
		for _, r := range c.blocks[h].receipts {
			if r.ID == id {
				return c.include(r)
			}
		}
	}
	return nil, nil
}

func (c *chain) include(r ledger.Receipt) (*Inclusion, error) {
	b, i := c.blocks[r.Height], int(r.Index)
	return &Inclusion{
		Tx: b.block.Txs[i], Receipt: r, Header: &b.block.Header, Next: c.blocks[r.Height+1].light,
		Total:  int64(len(b.results)),
		InData: b.block.Txs.Proof(i).Proof.Aunts, InNext: types.NewResults(b.results).ProveResult(i).Aunts,
	}, nil
}

func (c *chain) History(_ context.Context, a ledger.Subject, before Position, limit int) ([]Inclusion, uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var page []Inclusion
	for h := len(c.blocks) - 2; h > int(c.oldest); h-- {
		for i, r := range slices.Backward(c.blocks[h].receipts) {
			p := Position{uint64(h), uint32(i)}
			if before != (Position{}) && (p.Height > before.Height || p.Height == before.Height && p.Index >= before.Index) {
				continue
			}
			tx, err := ledger.UnmarshalTx(c.blocks[h].block.Txs[i])
			if err != nil {
				return nil, 0, err
			}
			if !r.Subjects(tx.Sender.Address())[a] || len(page) == limit {
				continue
			}
			in, err := c.include(r)
			if err != nil {
				return nil, 0, err
			}
			page = append(page, *in)
		}
	}
	return page, c.oldest + 1, nil
}

// keptStates is the number of heights below the newest whose states are kept.
const keptStates = 5

func (c *chain) Objects(_ context.Context, l Listing, after ledger.ObjectID, limit int) ([]Object, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := len(c.blocks) - 2
	if l.Height > 0 {
		if uint64(h) > l.Height+keptStates {
			return nil, ErrPruned
		}
		h = int(l.Height)
	}
	var list []Object
	for k, v := range c.blocks[h].values {
		o := Object{Blob: k[0] == 'B'}
		if k[0] != 'B' && k[0] != 'S' && k[0] != 'O' || bytes.Compare([]byte(k[1:]), after[:]) <= 0 {
			continue
		}
		copy(o.ID[:], k[1:])
		if b, err := ledger.UnmarshalBlob(v); o.Blob && err == nil && b.Owner == l.Account && !l.Offers {
			list = append(list, o)
		}
		if given, err := ledger.UnmarshalOffer(v); k[0] == 'O' && err == nil && given.To == l.Account && l.Offers {
			list = append(list, o)
		}
		if s, err := ledger.UnmarshalStorage(v); k[0] == 'S' && err == nil && s.Owner == l.Account && !l.Offers {
			list = append(list, o)
		}
	}
	slices.SortFunc(list, func(a, b Object) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return list[:min(limit, len(list))], nil
}

func (c *chain) Snapshots(context.Context) ([]uint64, error) { return []uint64{2}, nil }

func (c *chain) Range(_ context.Context, height uint64, first, last merkle.Hash, limit int) (*Range, error) {
	if height != 2 {
		return nil, fmt.Errorf("height %d: %w", height, ledger.ErrNotFound)
	}
	c.mu.Lock()
	at := c.blocks[height]
	c.mu.Unlock()
	keys := slices.SortedFunc(maps.Keys(at.values), func(a, b string) int {
		return merkle.Hash(sha256.Sum256([]byte(a))).Compare(sha256.Sum256([]byte(b)))
	})
	var r Range
	for _, key := range keys {
		path := merkle.Hash(sha256.Sum256([]byte(key)))
		if path.Compare(first) < 0 || path.Compare(last) > 0 {
			continue
		}
		if len(r.Pairs) > 0 && len(r.Pairs)+PairSize([]byte(key), at.values[key]) > limit {
			r.More = true
			break
		}
		r.Pairs = AppendPair(r.Pairs, []byte(key), at.values[key])
	}
	if r.More {
		var key []byte
		for b := r.Pairs; len(b) > 0; {
			key, _, b, _ = NextPair(b)
		}
		last = sha256.Sum256(key)
	}
	low, err := at.tree.ProvePath(first)
	if err != nil {
		return nil, err
	}
	high, err := at.tree.ProvePath(last)
	r.Proof = merkle.NewRangeProof(first, last, low, high)
	return &r, err
}

func (c *chain) Trouble() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trouble
}
