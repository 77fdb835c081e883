package p2p

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/probe"
)

// ErrUnsigned reports an answer without a signature, to a question with a nonce: the node's ledger is too far behind
// the question's height or ahead of it, its version signs nothing, or it does not want to. It proves nothing.
var ErrUnsigned = errors.New("the node did not sign its answer")

// Probe puts a question with a nonce to a storage node, and returns the node's signed answer, whose signature has been
// verified and whose symbols have not. The symbols are hashed and dropped. A refusal is a receipt, too, if the node
// signed it. Else errors are as of the other requests, and ErrUnsigned, which also wraps the error of an unsigned
// refusal.
func (h *Host) Probe(ctx context.Context, to peer.ID, q probe.Question) (r probe.Receipt, err error) {
	defer describe(&err, to, "probe %d %s slivers of %s", len(q.Slivers), q.Axis, q.Blob)
	if err := q.Validate(); err != nil {
		return r, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	a, signed, err := h.askSymbols(ctx, to, &q)
	if refused := (*signedRefusal)(nil); errors.As(err, &refused) {
		r = probe.Receipt{Question: q, Node: to, Code: probe.Code(refused.code), Lacks: refused.lacks, Signature: refused.signature}
		return r, verifyReceipt(&r)
	}
	if err != nil {
		return r, unsignedRefusal(err)
	}
	defer a.Close()
	answer := probe.NewAnswer(&q, true)
	if _, err := io.CopyN(answer, a, q.Bytes()); err != nil {
		return r, err
	}
	if !signed {
		return r, ErrUnsigned
	}
	r = probe.Receipt{Question: q, Node: to, Code: probe.Answered, Cells: answer.Cells()}
	if _, err := io.ReadFull(a, r.Signature[:]); err != nil {
		return r, err
	}
	return r, verifyReceipt(&r)
}

// unsignedRefusal marks a refusal that a node signs if it is honest.
func unsignedRefusal(err error) error {
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrNotOwner) || errors.Is(err, ErrCorrupt) {
		return fmt.Errorf("%w: %w", ErrUnsigned, err)
	}
	return err
}

// verifyReceipt checks what a node claims to have signed.
func verifyReceipt(r *probe.Receipt) error {
	if err := r.Verify(); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return nil
}

// signedRefusal is the error of a refusal with a signature, not verified yet.
type signedRefusal struct {
	error
	code      uint32
	lacks     int
	signature [probe.SignatureSize]byte
}

func (r *signedRefusal) Unwrap() error { return r.error }

// seal signs answers to one question. A nil seal signs nothing.
type seal struct {
	key      ed25519.PrivateKey
	question probe.Question
}

// seal returns the seal for a question with a nonce, unless the node must not sign an answer to it.
func (x *request) seal(q *SymbolQuery) *seal {
	if x.notary == nil || q.Nonce == (probe.Nonce{}) {
		return nil
	}
	network, n, height := x.notary.Stamp()
	if height == 0 || height-q.Height > probe.Window { // of a height beyond ours the difference is huge
		return nil
	}
	s := &seal{key: x.key, question: *q}
	s.question.Network, s.question.Shards = network, n
	if s.question.Validate() != nil { // the Backend will refuse it
		return nil
	}
	return s
}

// refuse signs a refusal, if err is one that is signed.
func (s *seal) refuse(err error) *signedRefusal {
	var lack *Lack
	if s == nil || !errors.As(err, &lack) || !slices.Contains(s.question.Slivers, lack.Sliver) {
		return nil
	}
	code, _ := encodeError(lack.Err)
	switch c := probe.Code(code); c {
	case probe.Missing, probe.NotOwner, probe.Corrupt:
		return &signedRefusal{lack, code, lack.Sliver, probe.Refuse(s.key, &s.question, c, lack.Sliver)}
	}
	return nil
}
