package machine

import (
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/ledger"
	"walrus/shards"
)

// memory is a state's values.
type memory map[string][]byte

// Get implements ledger.Reader.
func (m memory) Get(key []byte) ([]byte, error) { return m[string(key)], nil }

// with is m after changes.
func (m memory) apply(changes []Change) {
	for _, c := range changes {
		if c.Value == nil {
			delete(m, string(c.Key))
		} else {
			m[string(c.Key)] = c.Value
		}
	}
}

// testKeys are the BLS keys of the members of all test networks, and the members, made once.
// testIdentities are the keys of the members' peer IDs; testKeys makes them.
var testIdentities []ed25519.PrivateKey

var testKeys = sync.OnceValues(func() ([]*certs.SecretKey, []ledger.GenesisMember) {
	r := rand.NewChaCha8([32]byte{7})
	var keys []*certs.SecretKey
	var members []ledger.GenesisMember
	for i := range 4 {
		_, identity, err := ed25519.GenerateKey(r)
		if err != nil {
			panic(err)
		}
		testIdentities = append(testIdentities, identity)
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
		keys = append(keys, sk)
		members = append(members, ledger.GenesisMember{
			Node: node, Name: fmt.Sprintf("node-%d", i), Key: sk.Public(), Proof: sk.ProvePossession("test", node),
		})
	}
	return keys, members
})

// network is a state with the keys of its members: 10 shards, of which they have 3, 3, 2 and 2.
type network struct {
	State
	genesis *ledger.Genesis
	keys    []*certs.SecretKey
	values  memory
	height  uint64 // of the last block
	time    int64
}

// newNetwork is the state at genesis, after adjust has changed what it likes of the defaults.
func newNetwork(t testing.TB, adjust func(g *ledger.Genesis)) *network {
	t.Helper()
	keys, members := testKeys()
	g, err := ledger.NewGenesis("test", 10, members)
	if err != nil {
		t.Fatal(err)
	}
	if adjust != nil {
		adjust(g)
	}
	changes, tree, err := Genesis(g)
	if err != nil {
		t.Fatal(err)
	}
	committees, err := g.Committees()
	if err != nil {
		t.Fatal(err)
	}
	n := &network{genesis: g, keys: keys, values: memory{}, time: g.Time.UnixNano()}
	n.values.apply(changes)
	n.State = State{Tree: tree, Values: n.values, Network: g.NetworkID(), Committees: committees}
	return n
}

// commit applies a block of what is due and makes its outcome the state.
func (n *network) commit(t testing.TB, o Options, txs ...[]byte) *Outcome {
	t.Helper()
	out, err := n.Apply(Block{Height: n.height + 1, Time: n.time, Txs: txs}, o)
	if err != nil {
		t.Fatal(err)
	}
	n.values.apply(out.Changes)
	n.Tree = out.Tree
	n.height++
	return out
}

func (n *network) epoch(t testing.TB) uint32 {
	t.Helper()
	e, err := ledger.ReadEpoch(n.values)
	if err != nil {
		t.Fatal(err)
	}
	return e.Epoch
}

// wallet is an account's key.
type wallet struct {
	key     ed25519.PrivateKey
	address ledger.Address
}

func newWallet(seed string) wallet {
	raw := make([]byte, ed25519.SeedSize)
	copy(raw, seed)
	return walletOf(ed25519.NewKeyFromSeed(raw))
}

func walletOf(key ed25519.PrivateKey) wallet {
	var public ledger.PublicKey
	copy(public[:], key[ed25519.SeedSize:])
	return wallet{key, public.Address()}
}

// sign makes a transaction that pays the least fee and expires soon.
func (n *network) sign(w wallet, nonce uint64, ops ...ledger.Op) *ledger.Tx {
	tx := &ledger.Tx{Network: n.Network, Nonce: nonce, Expiry: n.height + 100, Ops: ops}
	params := n.genesis.Params()
	tx.Fee = params.MinFee(len(tx.Marshal()), ops)
	tx.Sign(w.key)
	return tx
}

// certificate is signed by members, whether they are a quorum or not.
func (n *network) certificate(t testing.TB, epoch uint32, blob shards.BlobID, p certs.Persistence,
	members ...int) *certs.Certificate {
	t.Helper()
	_, all := testKeys()
	// A committee of these alone, who have all shards: whatever they sign is a quorum.
	some := make([]certs.Member, len(members))
	for i, m := range members {
		some[i] = certs.Member{Node: all[m].Node, Key: all[m].Key, Proof: all[m].Proof}
	}
	for s := range 10 {
		some[s%len(some)].Shards = append(some[s%len(some)].Shards, s)
	}
	committee, err := certs.NewCommittee("test", n.Network, epoch, 10, some)
	if err != nil {
		t.Fatal(err)
	}
	var confs []certs.Confirmation
	for _, m := range members {
		confs = append(confs, committee.Sign(n.keys[m], all[m].Node, blob, p))
	}
	cert, _, err := committee.Aggregate(blob, p, confs)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range members {
		cert.Signers[i] = uint16(m)
	}
	return cert
}

// refutation is signed by members, whose shards must be enough.
func (n *network) refutation(t testing.TB, blob shards.BlobID, members ...int) *certs.RefutationCertificate {
	t.Helper()
	committee, err := n.Committees.At(n.epoch(t))
	if err != nil {
		t.Fatal(err)
	}
	var list []certs.Refutation
	for _, m := range members {
		list = append(list, committee.Refute(n.keys[m], committee.Members()[m].Node, blob))
	}
	cert, _, err := committee.AggregateRefutations(blob, list)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// testBlob is the root and the ID of an imaginary blob.
func testBlob(name string, size uint64) (root [32]byte, id shards.BlobID) {
	copy(root[:], name)
	return root, shards.DeriveBlobID(size, root)
}
