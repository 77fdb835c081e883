// Package probe holds the question that tests whether a storage node keeps its slivers, and the proof of what it
// answered. A Question asks for a few symbols of a blob's expansion. The node signs its answer with the key of its peer
// ID, which makes a Receipt: good answers cannot be made without that key, and a wrong one convicts its signer.
// Evidence is one or two receipts about one cell, with the Merkle path that leads to the blob ID; Judge convicts or
// finds nothing, offline. Draw chooses the cells. The package is pure: it does no I/O and knows no clock.
//
// The words: a cell is one symbol of the expansion of one sliver. An answer is signed as the hashes of its symbols, so
// a receipt is small and holds no content. docs/protocol.md has every form to the last byte.
package probe

import (
	"encoding/hex"
	"errors"
	"fmt"

	"walrus/certs"
	"walrus/shards"
)

// Limits of a question.
const (
	// MaxSlivers bounds the slivers of one question: each is read and expanded.
	MaxSlivers = 64
	// MaxTargets bounds the positions of one question, so that their list fits a header.
	MaxTargets = 16 << 10
	// MaxSymbols bounds all symbols and proofs of one answer, in bytes. The asker holds them in memory.
	MaxSymbols = 256 << 20
	// MaxProof bounds the hashes in the Merkle path of a symbol, among 2^16 leaves.
	MaxProof = 16
	// Window: a node signs an answer only to a question whose height is one of the newest Window+1 of its own ledger,
	// so an old question is useless.
	Window = 600
	// Lag: an asker names a height this far behind its own ledger's, so that nodes a few blocks behind it sign, too.
	Lag = 10
)

// NonceSize is the size of a nonce, in bytes.
const NonceSize = 16

// Nonce makes a question unique: 16 random bytes. The zero Nonce asks for no signature.
type Nonce [NonceSize]byte

// Question asks for the bytes [Offset, Offset+Length) of symbols of several slivers' expansions, and for their proofs.
// All of it together has at most MaxSymbols bytes.
type Question struct {
	Network certs.NetworkID // signed, but not sent: each side fills in its own
	Shards  int             // n of the network; as Network

	Blob           shards.BlobID
	Axis           shards.Axis
	Slivers        []int // each once; at most MaxSlivers
	Targets        []int // positions in each expansion, each once; at most MaxTargets
	SymbolSize     int64 // bytes
	Offset, Length int64 // a multiple of the strips' width, or up to the end; a Length of 0 asks for proofs alone
	ProofLen       int   // hashes; 0 without proofs, which are for whole symbols only

	Nonce  Nonce
	Height uint64 // of the ledger, see Window and Lag
}

// ErrQuestion reports a question that no node answers.
var ErrQuestion = errors.New("invalid question")

// Cells returns the number of symbols asked for.
func (q *Question) Cells() int { return len(q.Slivers) * len(q.Targets) }

// CellBytes returns the bytes of the answer for each symbol: its part and its proof.
func (q *Question) CellBytes() int64 { return q.Length + int64(q.ProofLen)*shards.HashSize }

// Bytes returns the bytes of the whole answer, without its signature.
func (q *Question) Bytes() int64 { return int64(q.Cells()) * q.CellBytes() }

// Whole reports whether whole symbols are asked for. Only their hashes are leaves of the sliver's tree.
func (q *Question) Whole() bool { return q.Offset == 0 && q.Length == q.SymbolSize }

// Proofs returns the question for the proofs alone of the same symbols, with the same nonce: what a repair asks when
// the line it rebuilt does not match its root.
func (q *Question) Proofs() Question {
	p := *q
	p.Offset, p.Length, p.ProofLen = q.SymbolSize, 0, 0
	if params, err := shards.NewParams(q.Shards); err == nil {
		p.ProofLen = params.ProofSize()
	}
	return p
}

// Validate checks a question that is to be signed or judged. Errors wrap ErrQuestion.
func (q *Question) Validate() error {
	params, err := shards.NewParams(q.Shards)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrQuestion, err)
	case !q.Axis.Valid():
		return fmt.Errorf("%w: %s: want 0 or 1", ErrQuestion, q.Axis)
	case q.Nonce == Nonce{}:
		return fmt.Errorf("%w: no nonce", ErrQuestion)
	case q.SymbolSize < 1 || q.SymbolSize > shards.MaxLength:
		return fmt.Errorf("%w: symbols of %d bytes: want 1 to %d", ErrQuestion, q.SymbolSize, int64(shards.MaxLength))
	case q.Offset < 0 || q.Length < 0 || q.Offset > q.SymbolSize || q.Length > q.SymbolSize-q.Offset:
		return fmt.Errorf("%w: %d bytes at %d of symbols of %d", ErrQuestion, q.Length, q.Offset, q.SymbolSize)
	case q.Length == 0 && q.Offset != q.SymbolSize:
		return fmt.Errorf("%w: proofs alone at offset %d: want %d", ErrQuestion, q.Offset, q.SymbolSize)
	case q.ProofLen != 0 && q.ProofLen != params.ProofSize():
		return fmt.Errorf("%w: proofs of %d hashes: want 0 or %d", ErrQuestion, q.ProofLen, params.ProofSize())
	case q.ProofLen > 0 && q.Length > 0 && !q.Whole():
		return fmt.Errorf("%w: proofs of parts of symbols", ErrQuestion)
	case q.CellBytes() == 0:
		return fmt.Errorf("%w: neither symbols nor proofs", ErrQuestion)
	}
	if err := q.validList("slivers", q.Slivers, MaxSlivers); err != nil {
		return err
	}
	if err := q.validList("targets", q.Targets, MaxTargets); err != nil {
		return err
	}
	if q.CellBytes() > MaxSymbols || q.Bytes() > MaxSymbols {
		return fmt.Errorf("%w: %d symbols of %d bytes each: the limit is %d bytes together", ErrQuestion, q.Cells(), q.CellBytes(), MaxSymbols)
	}
	return nil
}

// validList checks that a list is not empty, not too long, and has indices below n, each once.
func (q *Question) validList(what string, list []int, most int) error {
	if len(list) == 0 || len(list) > most {
		return fmt.Errorf("%w: %d %s: want 1 to %d", ErrQuestion, len(list), what, most)
	}
	seen := make([]uint64, (q.Shards+63)/64)
	for _, i := range list {
		if i < 0 || i >= q.Shards {
			return fmt.Errorf("%w: %s: index %d: must be below %d", ErrQuestion, what, i, q.Shards)
		}
		if seen[i/64]&(1<<(i%64)) != 0 {
			return fmt.Errorf("%w: %s: %d twice", ErrQuestion, what, i)
		}
		seen[i/64] |= 1 << (i % 64)
	}
	return nil
}

// String returns the text form, 32 hexadecimal digits.
func (n Nonce) String() string { return hex.EncodeToString(n[:]) }
