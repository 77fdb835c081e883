package keeper

import (
	"bytes"
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
	"github.com/libp2p/go-libp2p/core/test"

	"walrus/certs"
	"walrus/ledger"
	"walrus/p2p"
	"walrus/shards"
	"walrus/store"
)

// committees holds a committee for some epochs.
type committees map[uint32]*certs.Committee

func (c committees) At(epoch uint32) (*certs.Committee, error) {
	if com := c[epoch]; com != nil {
		return com, nil
	}
	return nil, fmt.Errorf("epoch %d: %w", epoch, certs.ErrUnknownEpoch)
}

// member is a storage node with its keys.
type member struct {
	id  peer.ID
	key *certs.SecretKey
}

func newMember(t *testing.T) member {
	t.Helper()
	id, err := test.RandPeerID()
	if err != nil {
		t.Fatal(err)
	}
	key, err := certs.NewSecretKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return member{id, key}
}

// seated returns the committee of an epoch in which each member holds its shards.
func seated(t *testing.T, epoch uint32, members []member, held ...[]int) *certs.Committee {
	t.Helper()
	n := 0
	list := make([]certs.Member, len(members))
	for i, m := range members {
		n += len(held[i])
		list[i] = certs.Member{Node: m.id, Key: m.key.Public(), Proof: m.key.ProvePossession("test", m.id), Shards: held[i]}
	}
	com, err := certs.NewCommittee("test", certs.NetworkID{1}, epoch, n, list)
	if err != nil {
		t.Fatal(err)
	}
	return com
}

// testKeeper makes a keeper that holds shard 0 of params in all epochs, without peers.
func testKeeper(t *testing.T, st *store.Store, l Ledger, params shards.Params) *Keeper {
	t.Helper()
	all := []member{newMember(t), newMember(t)}
	rest := make([]int, params.Shards()-1)
	for i := range rest {
		rest[i] = i + 1
	}
	known := committees{}
	for epoch := range uint32(10) {
		known[epoch] = seated(t, epoch, all, []int{0}, rest)
	}
	cfg := Default()
	cfg.Genesis, cfg.Key, cfg.Logger = &ledger.Genesis{Network: "test", Shards: params.Shards()}, all[0].key, slog.New(slog.DiscardHandler)
	k, err := New(cfg, Parts{Self: all[0].id, Committees: known, Store: st, Peers: &guarded{}, Ledger: l})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// guarded notes for whom room is kept.
type guarded struct {
	Peers
	ids    []peer.ID
	payers sync.Map // by peer
}

func (g *guarded) SetProtected(_ string, ids []peer.ID) { g.ids = ids }

func (g *guarded) Recognize(id peer.ID, account p2p.Account, _ time.Time) {
	g.payers.Store(id, account)
}

// payer returns the account for which a peer was recognized.
func (g *guarded) payer(id peer.ID) any {
	account, _ := g.payers.Load(id)
	return account
}

// owned returns the ID of the record of a blob in tests.
func owned(id shards.BlobID) ledger.ObjectID { return ledger.ObjectID(id) }

// ownerKey and otherKey are the keys of accounts.
var ownerKey, otherKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32)), ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32))

func addressOf(key ed25519.PrivateKey) ledger.Address { return ledger.PublicKey(key[32:]).Address() }

// ownedBlob returns the state in which the account of key owns a permanent record of a blob.
func ownedBlob(key ed25519.PrivateKey, id shards.BlobID, end uint32) map[string][]byte {
	return map[string][]byte{
		string(ledger.KeyBlobInfo(id)):    ledger.BlobInfo{PermanentEnd: end}.Marshal(),
		string(ledger.KeyBlob(owned(id))): ledger.Blob{Owner: addressOf(key), BlobID: id, Start: 1, End: end, Registered: 1}.Marshal(),
	}
}

// tokenOf returns a token of the account of key for a peer.
func tokenOf(key ed25519.PrivateKey, g *ledger.Genesis, id shards.BlobID, from peer.ID) []byte {
	t := ledger.UploadToken{Network: g.NetworkID(), Blob: id, Peer: from, Object: owned(id), Expiry: uint64(time.Now().Add(time.Minute).Unix())}
	t.Sign(key)
	return t.Marshal()
}

// wholeBody is an upload's payload in memory.
type wholeBody struct{ io.Reader }

func (wholeBody) End(error) {}

// TestSeats moves shards between three members over four epochs: what is ours follows the epoch asked for.
func TestSeats(t *testing.T) {
	us, b, c := newMember(t), newMember(t), newMember(t)
	known := committees{
		1: seated(t, 1, []member{us, b}, []int{0, 1}, []int{2, 3}),
		2: seated(t, 2, []member{b, us}, []int{0, 2}, []int{1, 3}),
		3: seated(t, 3, []member{b, c}, []int{0, 1, 2}, []int{3}),
	}
	l := &state{values: map[string][]byte{}}
	s := &seats{self: us.id, committees: known, chain: chain{l, nil}}
	if _, err := s.now(); !errors.Is(err, p2p.ErrUnavailable) {
		t.Errorf("a ledger without an epoch: %v", err)
	}
	peers := &guarded{}
	for _, tt := range []struct {
		epoch        uint32
		ours, recent []int
		others       int
		guarded      []peer.ID
	}{
		{1, []int{0, 1}, []int{0, 1}, 1, []peer.ID{us.id, b.id}},
		{2, []int{1, 3}, []int{0, 1, 3}, 1, []peer.ID{us.id, b.id}},
		{3, nil, []int{1, 3}, 2, []peer.ID{b.id, c.id}},
	} {
		l.values[string(ledger.KeyEpoch())] = ledger.EpochInfo{Epoch: tt.epoch}.Marshal()
		at, err := s.now()
		if err != nil || at.Epoch() != tt.epoch || !slices.Equal(at.shards, tt.ours) || len(at.others()) != tt.others || len(at.slivers(blob(1))) != 2*len(tt.ours) {
			t.Errorf("epoch %d: %+v, %v", tt.epoch, at, err)
		}
		for shard := -1; shard < 6; shard++ {
			if at.owns(shard) != slices.Contains(tt.ours, shard) {
				t.Errorf("epoch %d: shard %d is said to be ours, or not: wrongly", tt.epoch, shard)
			}
		}
		if recent, err := s.recent(); err != nil || !slices.Equal(recent, tt.recent) {
			t.Errorf("epoch %d: recent shards %v, %v, want %v", tt.epoch, recent, err, tt.recent)
		}
		if err := s.guard(peers, tt.epoch); err != nil || !slices.Equal(slices.Sorted(slices.Values(peers.ids)), slices.Sorted(slices.Values(tt.guarded))) {
			t.Errorf("epoch %d: %v, room is kept for %v", tt.epoch, err, peers.ids)
		}
	}
	l.values[string(ledger.KeyEpoch())] = ledger.EpochInfo{Epoch: 4}.Marshal()
	if _, err := s.now(); !errors.Is(err, certs.ErrUnknownEpoch) || !errors.Is(err, p2p.ErrUnavailable) {
		t.Errorf("an epoch whose committee is not known: %v", err)
	}
}

// TestConfirmSeats confirms in an epoch that gave us other shards than the one before, and in one without any.
func TestConfirmSeats(t *testing.T) {
	us, b := newMember(t), newMember(t)
	const n = 4
	known := committees{
		2: seated(t, 2, []member{us, b}, []int{0}, []int{1, 2, 3}),
		3: seated(t, 3, []member{us, b}, []int{1}, []int{0, 2, 3}),
		4: seated(t, 4, []member{b}, []int{0, 1, 2, 3}),
	}
	params, err := shards.NewParams(n)
	if err != nil {
		t.Fatal(err)
	}
	meta, pairs, err := shards.Encode(params, []byte("a blob"))
	if err != nil {
		t.Fatal(err)
	}
	id, log := meta.ID(), slog.New(slog.DiscardHandler)
	scfg := store.Default(t.TempDir())
	scfg.Logger = log
	st, err := store.Open(scfg)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	l := &state{ready: make(chan struct{}), values: ownedBlob(ownerKey, id, 9)}
	close(l.ready)
	cfg := Default()
	cfg.Genesis, cfg.Key, cfg.Logger = &ledger.Genesis{Network: "test", Shards: n}, us.key, log
	k, err := New(cfg, Parts{Self: us.id, Committees: known, Store: st, Peers: &guarded{}, Ledger: l})
	if err != nil {
		t.Fatal(err)
	}
	epoch := func(e uint32) { l.values[string(ledger.KeyEpoch())] = ledger.EpochInfo{Epoch: e}.Marshal() }
	epoch(2)
	token := tokenOf(ownerKey, cfg.Genesis, id, b.id)
	if _, err := k.receiver.PutMetadata(t.Context(), b.id, id, token, int64(params.MetadataSize()), func() ([]byte, error) { return meta.Marshal(), nil }); err != nil {
		t.Fatal(err)
	}
	put := func(shard int) error {
		pair := params.PairOnShard(id, shard)
		body := slices.Concat(pairs[pair].Primary, pairs[pair].Secondary)
		return k.receiver.StorePairs(t.Context(), b.id, id, token, []int{pair}, wholeBody{bytes.NewReader(body)}, int64(len(body)))
	}
	if err := put(0); err != nil {
		t.Fatal(err)
	}
	if err := put(1); !errors.Is(err, p2p.ErrNotOwner) {
		t.Errorf("took a pair of another's shard: %v", err)
	}
	for e, want := range map[uint32]error{2: nil, 3: p2p.ErrNotFound, 4: p2p.ErrNotOwner} {
		epoch(e)
		raw, err := k.confirmer.Confirm(t.Context(), id, certs.Persistence{})
		if !errors.Is(err, want) {
			t.Errorf("epoch %d: %v, want %v", e, err, want)
		}
		if want != nil {
			continue
		}
		conf, err := certs.UnmarshalConfirmation(us.id, raw)
		if err != nil || known[e].VerifyConfirmation(conf) != nil {
			t.Errorf("epoch %d: confirmation %+v, %v", e, conf, err)
		}
	}
	epoch(3)
	if err := put(1); err != nil {
		t.Fatal(err)
	}
	if _, err := k.confirmer.Confirm(t.Context(), id, certs.Persistence{}); err != nil {
		t.Error(err)
	}
}
