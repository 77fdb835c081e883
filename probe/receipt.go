package probe

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/crypto/blake2b"

	"walrus/shards"
)

// Code of a signed answer. They are codes of the stream protocol.
type Code uint8

const (
	// Answered: all symbols and proofs followed.
	Answered Code = 0
	// Missing: the node owes the sliver Lacks by its own ledger, and does not have it.
	Missing Code = 1
	// NotOwner: the node does not hold the shard of the sliver Lacks. It convicts nobody.
	NotOwner Code = 4
	// Corrupt: the node owes the sliver Lacks, and what it stored of it is damaged.
	Corrupt Code = 6
)

// String returns one word.
func (c Code) String() string {
	switch c {
	case Answered:
		return "answered"
	case Missing:
		return "missing"
	case NotOwner:
		return "not-owner"
	case Corrupt:
		return "corrupt"
	}
	return fmt.Sprintf("code-%d", uint8(c))
}

// SignatureSize is the size of a signature, in bytes: Ed25519.
const SignatureSize = ed25519.SignatureSize

// Cell is the signed form of one symbol of an answer.
type Cell struct {
	Leaf  shards.Hash   // H(0x00 ‖ the bytes asked for); zero if none were
	Proof []shards.Hash // Question.ProofLen hashes
}

// Receipt proves what a node answered to a question.
type Receipt struct {
	Question  Question
	Node      peer.ID
	Code      Code
	Lacks     int    // index of the sliver that the node lacks, one of Question.Slivers; 0 with code Answered
	Cells     []Cell // Question.Cells, sliver after sliver; none with other codes
	Signature [SignatureSize]byte
}

// Errors of receipts.
var (
	// ErrReceipt reports a receipt that is malformed.
	ErrReceipt = errors.New("invalid receipt")
	// ErrSignature reports a receipt that its node has not signed.
	ErrSignature = errors.New("the node did not sign this answer")
)

// domain begins the signed bytes. Nothing else that the key of a peer signs begins like that.
const domain = "walrus probe receipt 1\x00"

// message returns the bytes to sign: domain ‖ H(question) ‖ code ‖ H(answer). answer hashes either the cells, for each
// its leaf if symbols were asked for, then its proof; or the lacking sliver, u16 LE.
func message(q *Question, code Code, answer shards.Hash) []byte {
	question := hashOf(q.appendForm(nil))
	b := append([]byte(domain), question[:]...)
	b = append(b, byte(code))
	return append(b, answer[:]...)
}

// Sign signs an answer for which the node keeps only the sum of its cells, see Answer.
func Sign(key ed25519.PrivateKey, q *Question, answer shards.Hash) (s [SignatureSize]byte) {
	copy(s[:], ed25519.Sign(key, message(q, Answered, answer)))
	return s
}

// Refuse signs that the node lacks a sliver of the question. code must not be Answered.
func Refuse(key ed25519.PrivateKey, q *Question, code Code, lacks int) (s [SignatureSize]byte) {
	copy(s[:], ed25519.Sign(key, message(q, code, refusalSum(lacks))))
	return s
}

func refusalSum(lacks int) shards.Hash {
	return hashOf(binary.LittleEndian.AppendUint16(nil, uint16(lacks)))
}

func hashOf(b []byte) shards.Hash { return blake2b.Sum256(b) }

// Verify checks the receipt's form and its signature. Errors wrap ErrReceipt, ErrQuestion or ErrSignature. It says
// nothing about whether the answer is right.
func (r *Receipt) Verify() error {
	key, err := r.check()
	if err != nil {
		return err
	}
	answer := refusalSum(r.Lacks)
	if r.Code == Answered {
		answer = hashOf(r.appendCells(nil))
	}
	if !ed25519.Verify(key, message(&r.Question, r.Code, answer), r.Signature[:]) {
		return fmt.Errorf("%w: peer %s, %s", ErrSignature, r.Node, r.Code)
	}
	return nil
}

// check checks everything but the signature.
func (r *Receipt) check() (key ed25519.PublicKey, err error) {
	if err := r.Question.Validate(); err != nil {
		return nil, err
	}
	key, ok := nodeKey(r.Node)
	if !ok {
		return nil, fmt.Errorf("%w: %q is no peer ID with an Ed25519 key", ErrReceipt, string(r.Node))
	}
	switch r.Code {
	case Answered:
		if r.Lacks != 0 || len(r.Cells) != r.Question.Cells() {
			return nil, fmt.Errorf("%w: %d symbols: the question is for %d", ErrReceipt, len(r.Cells), r.Question.Cells())
		}
		for _, c := range r.Cells {
			if len(c.Proof) != r.Question.ProofLen || r.Question.Length == 0 && c.Leaf != (shards.Hash{}) {
				return nil, fmt.Errorf("%w: a proof of %d hashes: the question is for %d", ErrReceipt, len(c.Proof), r.Question.ProofLen)
			}
		}
	case Missing, NotOwner, Corrupt:
		if len(r.Cells) != 0 || !contains(r.Question.Slivers, r.Lacks) {
			return nil, fmt.Errorf("%w: sliver %d with %d symbols: the question has no such sliver", ErrReceipt, r.Lacks, len(r.Cells))
		}
	default:
		return nil, fmt.Errorf("%w: code %d: no node signs it", ErrReceipt, r.Code)
	}
	return key, nil
}

func contains(list []int, i int) bool {
	for _, k := range list {
		if k == i {
			return true
		}
	}
	return false
}

// peerPrefix begins the peer ID of an Ed25519 key; the key follows. It is an identity multihash of 36 bytes of
// protobuf: key type 1, and data of 32 bytes.
const peerPrefix = "\x00\x24\x08\x01\x12\x20"

// nodeKey extracts the key from a peer ID.
func nodeKey(node peer.ID) (ed25519.PublicKey, bool) {
	raw, ok := strings.CutPrefix(string(node), peerPrefix)
	return ed25519.PublicKey(raw), ok && len(raw) == ed25519.PublicKeySize
}

// Answer turns the payload of an answer into its signed form while it streams by: write the payload to it, in pieces of
// any size. The zero Answer is not usable; see NewAnswer.
type Answer struct {
	q    *Question
	keep bool
	sum  hash.Hash // of the cells
	leaf hash.Hash // of the symbol that is passing

	at    int64 // bytes of the present cell that have passed
	done  int   // cells that have passed
	cells []Cell
	proof []byte
}

// NewAnswer begins the answer to q. With keep it keeps the cells for a receipt: 32 bytes for each hash.
func NewAnswer(q *Question, keep bool) *Answer {
	a := &Answer{q: q, keep: keep, sum: newHash()}
	if q.Length > 0 {
		a.leaf = newHash()
	}
	return a
}

func newHash() hash.Hash {
	h, _ := blake2b.New256(nil) // fails for long keys only
	return h
}

// Write takes the next bytes of the payload. It fails if they are more than the question is for.
func (a *Answer) Write(b []byte) (n int, err error) {
	n = len(b)
	for len(b) > 0 {
		if a.done == a.q.Cells() {
			return n - len(b), fmt.Errorf("%w: %d bytes after the last symbol", ErrReceipt, len(b))
		}
		var k int64
		if a.at < a.q.Length {
			k = min(a.q.Length-a.at, int64(len(b)))
			a.symbol(b[:k])
		} else {
			k = min(a.q.CellBytes()-a.at, int64(len(b)))
			a.proof = append(a.proof, b[:k]...)
		}
		b = b[k:]
		if a.at += k; a.at == a.q.CellBytes() {
			a.end()
		}
	}
	return n, nil
}

// symbol hashes a piece of a symbol.
func (a *Answer) symbol(b []byte) {
	if a.at == 0 {
		a.leaf.Reset()
		_, _ = a.leaf.Write([]byte{0}) // hashes do not fail
	}
	_, _ = a.leaf.Write(b)
}

// end ends a cell.
func (a *Answer) end() {
	var c Cell
	if a.q.Length > 0 {
		a.leaf.Sum(c.Leaf[:0])
		_, _ = a.sum.Write(c.Leaf[:])
	}
	_, _ = a.sum.Write(a.proof)
	if a.keep {
		for p := a.proof; len(p) > 0; p = p[shards.HashSize:] {
			c.Proof = append(c.Proof, shards.Hash(p[:shards.HashSize]))
		}
		a.cells = append(a.cells, c)
	}
	a.at, a.proof = 0, a.proof[:0]
	a.done++
}

// Sum returns the sum to sign, once the whole payload has passed; ok is false before that.
func (a *Answer) Sum() (sum shards.Hash, ok bool) {
	a.sum.Sum(sum[:0])
	return sum, a.done == a.q.Cells()
}

// Cells returns the signed form of the symbols, if they were kept.
func (a *Answer) Cells() []Cell { return a.cells }
