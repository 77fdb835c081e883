package app

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/ledger"
	"walrus/ledger/engine/badgerdb"
	"walrus/ledger/machine"
	"walrus/ledger/merkle"
	"walrus/shards"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var testMembers = sync.OnceValue(func() []ledger.GenesisMember {
	r := rand.NewChaCha8([32]byte{3})
	var members []ledger.GenesisMember
	for i := range 4 {
		_, identity, err := ed25519.GenerateKey(r)
		if err != nil {
			panic(err)
		}
		key, err := crypto.UnmarshalEd25519PrivateKey(identity)
		if err != nil {
			panic(err)
		}
		node, err := peer.IDFromPrivateKey(key)
		if err != nil {
			panic(err)
		}
		sk, err := certs.NewSecretKey(r)
		if err != nil {
			panic(err)
		}
		members = append(members, ledger.GenesisMember{
			Node: node, Name: fmt.Sprint("node-", i), Key: sk.Public(), Proof: sk.ProvePossession("test", node),
		})
	}
	return members
})

type wallet struct {
	key     ed25519.PrivateKey
	address ledger.Address
}

var wallets = sync.OnceValue(func() []wallet {
	all := make([]wallet, 8)
	for i := range all {
		seed := sha256.Sum256([]byte{byte(i)})
		all[i].key = ed25519.NewKeyFromSeed(seed[:])
		var public ledger.PublicKey
		copy(public[:], all[i].key[ed25519.SeedSize:])
		all[i].address = public.Address()
	}
	return all
})

func testGenesis(t testing.TB) *ledger.Genesis {
	t.Helper()
	g, err := ledger.NewGenesis("test", 10, testMembers())
	check(t, err)
	g.EpochDuration = 30 * time.Second
	for _, w := range wallets() {
		g.Accounts = append(g.Accounts, ledger.GenesisAccount{Address: w.address, Amount: 1000 * ledger.WAL})
	}
	check(t, g.Validate())
	return g
}

// memory is a state in memory.
type memory map[string][]byte

func (m memory) Get(key []byte) ([]byte, error) { return m[string(key)], nil }

// chain holds a chain of blocks and their expected results, by the rules alone.
type chain struct {
	genesis *ledger.Genesis
	rand    *rand.Rand
	state   machine.State
	values  memory
	height  uint64
	time    int64
	states  []memory      // by height
	roots   []merkle.Hash // by height
	blocks  []*abci.RequestFinalizeBlock
	log     []Block // of height i+1
	senders map[ledger.TxID]ledger.Address
}

func newChain(t testing.TB, seed uint64) *chain {
	t.Helper()
	g := testGenesis(t)
	changes, tree, err := machine.Genesis(g)
	check(t, err)
	committees, err := g.Committees()
	check(t, err)
	c := &chain{genesis: g, rand: rand.New(rand.NewPCG(seed, 1)), values: memory{}, time: g.Params().GenesisTime,
		senders: make(map[ledger.TxID]ledger.Address)}
	c.state = machine.State{Tree: tree, Values: c.values, Network: g.NetworkID(), Committees: committees}
	c.apply(changes)
	return c
}

func (c *chain) apply(changes []machine.Change) {
	for _, x := range changes {
		if x.Value == nil {
			delete(c.values, string(x.Key))
		} else {
			c.values[string(x.Key)] = x.Value
		}
	}
	c.states = append(c.states, maps.Clone(c.values))
	c.roots = append(c.roots, c.state.Tree.Root())
}

// add appends a block of transactions.
func (c *chain) add(t testing.TB, txs ...[]byte) *abci.RequestFinalizeBlock {
	t.Helper()
	c.height++
	c.time += int64(c.rand.IntN(3)) * int64(time.Second)
	out, err := c.state.Apply(machine.Block{Height: c.height, Time: c.time, Txs: txs}, machine.Options{Workers: 1})
	check(t, err)
	c.state.Tree = out.Tree
	c.apply(out.Changes)
	b := Block{Height: c.height, Time: c.time, Events: out.Events}
	for i, r := range out.Results {
		b.Receipts = append(b.Receipts, ledger.Receipt{ID: ledger.HashTx(txs[i]), Height: c.height, Index: uint32(i),
			Time: c.time, Result: r})
		if tx, err := ledger.UnmarshalTx(txs[i]); err == nil {
			c.senders[ledger.HashTx(txs[i])] = tx.Sender.Address()
		}
	}
	c.log = append(c.log, b)
	hash := sha256.Sum256(binary.BigEndian.AppendUint64(c.roots[c.height][:], c.height))
	request := &abci.RequestFinalizeBlock{Height: int64(c.height), Time: time.Unix(0, c.time), Txs: txs, Hash: hash[:]}
	c.blocks = append(c.blocks, request)
	return request
}

func (c *chain) sign(w wallet, nonce uint64, ops ...ledger.Op) []byte {
	tx := &ledger.Tx{Network: c.state.Network, Nonce: nonce, Expiry: c.height + 1000, Ops: ops}
	params := c.genesis.Params()
	tx.Fee = params.MinFee(len(tx.Marshal()), tx.Ops)
	tx.Sign(w.key)
	return tx.Marshal()
}

func (c *chain) nonce(t testing.TB, w wallet) uint64 {
	t.Helper()
	a, err := ledger.ReadAccount(c.values, w.address)
	check(t, err)
	return a.Nonce
}

// objects of an account, or offered to it, by looking at every record.
func (m memory) objects(t testing.TB, list byte, a ledger.Address) []Object {
	t.Helper()
	var all []Object
	for key, value := range m {
		entry, err := listed([]byte(key), value)
		check(t, err)
		if bytes.HasPrefix(entry, listKey(list, a)) {
			all = append(all, Object{ID: ledger.ObjectID([]byte(key[1:])), Blob: key[0] == letterBlob})
		}
	}
	slices.SortFunc(all, func(a, b Object) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return all
}

// random makes a block of ordinary and of failing transactions.
func (c *chain) random(t testing.TB) *abci.RequestFinalizeBlock {
	t.Helper()
	nonces := make(map[ledger.Address]uint64)
	var txs [][]byte
	for range c.rand.IntN(12) {
		w := wallets()[c.rand.IntN(len(wallets()))]
		if _, ok := nonces[w.address]; !ok {
			nonces[w.address] = c.nonce(t, w)
		}
		nonce := nonces[w.address]
		nonces[w.address]++
		switch c.rand.IntN(15) {
		case 0:
			nonce, nonces[w.address] = nonce+7, nonce // no effect
		case 1:
			txs = append(txs, []byte("no transaction"))
		case 2:
			if len(txs) > 0 {
				txs = append(txs, txs[c.rand.IntN(len(txs))]) // again
			}
		}
		txs = append(txs, c.sign(w, nonce, c.operations(t, w, nonce)...))
	}
	return c.add(t, txs...)
}

func (c *chain) operations(t testing.TB, w wallet, nonce uint64) []ledger.Op {
	epoch, err := ledger.ReadEpoch(c.values)
	check(t, err)
	buy := ledger.BuyStorage{Bytes: 1 << 30, Start: epoch.Epoch, End: epoch.Epoch + 1 + uint32(c.rand.IntN(9))}
	other := wallets()[c.rand.IntN(len(wallets()))].address
	mine := c.values.objects(t, listObjects, w.address)
	if len(mine) == 0 || c.rand.IntN(3) == 0 {
		root := [32]byte{byte(c.rand.IntN(20))}
		register := ledger.RegisterBlob{Storage: ledger.NewObjectID(w.address, nonce, 0), Root: root, Size: 1000,
			BlobID: shards.DeriveBlobID(1000, root), Deletable: c.rand.IntN(4) > 0}
		return [][]ledger.Op{
			{buy}, {buy, register}, {ledger.Transfer{To: other, Amount: ledger.Amount(c.rand.IntN(1000))}},
			{ledger.Transfer{To: other, Amount: 1 << 60}},
		}[c.rand.IntN(4)]
	}
	for _, offer := range c.values.objects(t, listOffers, w.address) {
		if o, err := ledger.ReadOffer(c.values, offer.ID); err == nil && c.rand.IntN(4) == 0 {
			return []ledger.Op{ledger.AcceptOffer{Object: offer.ID, From: o.From}}
		}
	}
	o := mine[c.rand.IntN(len(mine))]
	if !o.Blob {
		return []ledger.Op{[]ledger.Op{
			ledger.OfferStorage{Storage: o.ID, To: other, Until: epoch.Epoch + 1}, ledger.SplitStorage{Storage: o.ID, Bytes: 1 << 10},
			ledger.Sweep{Objects: []ledger.ObjectID{o.ID}},
		}[c.rand.IntN(3)]}
	}
	return []ledger.Op{[]ledger.Op{
		ledger.DeleteBlob{Object: o.ID}, ledger.OfferBlob{Object: o.ID, To: other, Until: epoch.Epoch + 1},
		ledger.ShareBlob{Object: o.ID, Amount: 5},
		ledger.Sweep{Objects: []ledger.ObjectID{o.ID}},
		ledger.SetAttributes{Object: o.ID, Set: []ledger.Attribute{{Key: "a", Value: fmt.Sprint(nonce)}}},
	}[c.rand.IntN(5)]}
}

func openDB(t testing.TB, dir string) *badgerdb.DB {
	t.Helper()
	db, err := badgerdb.Open(badgerdb.Options{Dir: dir})
	check(t, err)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// openApp opens an app, in memory if dir is empty. adjust may be nil.
func openApp(t testing.TB, dir string, g *ledger.Genesis, adjust func(*Config)) *App {
	t.Helper()
	cfg := Config{DB: openDB(t, dir), Genesis: g, Workers: 2}
	if adjust != nil {
		adjust(&cfg)
	}
	a, err := Open(cfg)
	check(t, err)
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// run passes a block through the app as CometBFT does.
func run(t testing.TB, a *App, r *abci.RequestFinalizeBlock) *abci.ResponseFinalizeBlock {
	t.Helper()
	response, err := a.FinalizeBlock(t.Context(), r)
	check(t, err)
	_, err = a.Commit(t.Context(), new(abci.RequestCommit))
	check(t, err)
	return response
}
