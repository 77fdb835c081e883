package probe

import (
	"crypto/ed25519"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/crypto/blake2b"
	"pgregory.net/rapid"

	"walrus/shards"
)

const testShards = 7

// testNode returns a key and its peer ID.
func testNode(seed byte) (ed25519.PrivateKey, peer.ID) {
	key := ed25519.NewKeyFromSeed(slices.Repeat([]byte{seed}, ed25519.SeedSize))
	return key, peer.ID(peerPrefix + string(key.Public().(ed25519.PublicKey)))
}

// testQuestion asks for two symbols of two slivers each, with their proofs.
func testQuestion() Question {
	return Question{
		Network: [32]byte{1}, Shards: testShards, Blob: shards.BlobID{2}, Slivers: []int{3, 0}, Targets: []int{6, 1},
		SymbolSize: 10, Length: 10, ProofLen: 3, Nonce: Nonce{4}, Height: 1000,
	}
}

// answered returns the receipt of a payload.
func answered(t rapid.TB, key ed25519.PrivateKey, node peer.ID, q Question, payload []byte) Receipt {
	t.Helper()
	server, asker := NewAnswer(&q, false), NewAnswer(&q, true)
	if _, err := server.Write(payload); err != nil {
		t.Fatal(err)
	}
	for rest := payload; len(rest) > 0; { // pieces of any size give the same sum
		k := 1 + rand.IntN(len(rest))
		if _, err := asker.Write(rest[:k]); err != nil {
			t.Fatal(err)
		}
		rest = rest[k:]
	}
	sum, complete := server.Sum()
	if !complete {
		t.Fatalf("a payload of %d bytes is not complete", len(payload))
	}
	return Receipt{Question: q, Node: node, Cells: asker.Cells(), Signature: Sign(key, &q, sum)}
}

func randomBytes(n int64) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

func TestReceipt(t *testing.T) {
	key, node := testNode(1)
	q := testQuestion()
	payload := randomBytes(q.Bytes())
	r := answered(t, key, node, q, payload)
	if err := r.Verify(); err != nil {
		t.Fatal(err)
	}
	if want := shards.Hash(blake2b.Sum256(append([]byte{0}, payload[:10]...))); r.Cells[0].Leaf != want {
		t.Errorf("leaf %x: want %x", r.Cells[0].Leaf, want)
	}
	over := NewAnswer(&q, false)
	if n, err := over.Write(append(payload, 0)); n != len(payload) || !errors.Is(err, ErrReceipt) {
		t.Errorf("a payload with a byte too many: %d bytes, %v", n, err)
	}
	refusal := Receipt{Question: q, Node: node, Code: Missing, Lacks: 3, Signature: Refuse(key, &q, Missing, 3)}
	if err := refusal.Verify(); err != nil {
		t.Error(err)
	}
	_, other := testNode(2)
	r.Node = other
	if err := r.Verify(); !errors.Is(err, ErrSignature) {
		t.Errorf("the receipt of another node: %v", err)
	}
}
