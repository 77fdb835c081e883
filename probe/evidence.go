package probe

import (
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/shards"
)

// Evidence against one node. Either its only receipt says that the node lacks a sliver, and the other fields are zero;
// or its receipts claim something about one cell, and Line and perhaps Right show that it is wrong.
type Evidence struct {
	Receipts       []Receipt // one or two
	Sliver, Target int       // the cell; its axis is that of the questions
	// Line leads from the root of the sliver to the blob ID; nil with a lacking sliver.
	Line *shards.LineOpening
	// Right opens the cell in the sliver's tree, whoever computed that. It is needed if the node has not signed both
	// the symbol and its proof; else nil.
	Right *shards.Opening
}

// Kind of a verdict.
type Kind string

const (
	// KindMissing: the node owes a sliver and signed that it lacks it, or that it is damaged.
	KindMissing Kind = "missing"
	// KindWrong: the node signed a symbol or a proof that does not lead to the root of the sliver.
	KindWrong Kind = "wrong"
)

// Verdict convicts a node.
type Verdict struct {
	Kind    Kind
	Network certs.NetworkID
	Node    peer.ID
	Blob    shards.BlobID
	Axis    shards.Axis
	Sliver  int
	Target  int    // position in the sliver's expansion; -1 if the sliver is missing
	Height  uint64 // the node signed while this was one of the newest Window+1 heights of its ledger
	Reason  string // for people
}

// ErrNotConvicted reports evidence that convicts nobody: what was signed is right, or says too little.
var ErrNotConvicted = errors.New("the evidence convicts nobody")

// Judge decides about evidence by itself, offline. Errors wrap ErrNotConvicted, or those of Receipt.Verify for receipts
// that are worth nothing. No set of answers of an honest node makes evidence that convicts it, in whatever network,
// under whichever questions: it signs right symbols and proofs, and that it lacks a sliver only while it owes it.
func Judge(e *Evidence) (Verdict, error) {
	if len(e.Receipts) != 1 && len(e.Receipts) != 2 {
		return Verdict{}, fmt.Errorf("%w: %d receipts: want 1 or 2", ErrNotConvicted, len(e.Receipts))
	}
	for i := range e.Receipts {
		if err := e.Receipts[i].Verify(); err != nil {
			return Verdict{}, fmt.Errorf("receipt %d: %w", i+1, err)
		}
	}
	first := &e.Receipts[0]
	q := &first.Question
	v := Verdict{Network: q.Network, Node: first.Node, Blob: q.Blob, Axis: q.Axis, Height: q.Height}
	if first.Code != Answered {
		return v.lacking(e)
	}
	return v.wrong(e)
}

// lacking judges a refusal.
func (v Verdict) lacking(e *Evidence) (Verdict, error) {
	r := &e.Receipts[0]
	switch {
	case len(e.Receipts) != 1 || e.Line != nil || e.Right != nil || e.Sliver != 0 || e.Target != 0:
		return Verdict{}, fmt.Errorf("%w: a refusal is judged alone", ErrNotConvicted)
	case r.Code == Missing:
		v.Reason = "the node signed that it owes this sliver and does not have it"
	case r.Code == Corrupt:
		v.Reason = "the node signed that what it stored of this sliver is damaged"
	default:
		return Verdict{}, fmt.Errorf("%w: the node signed that the sliver is not its own: a committee may have changed", ErrNotConvicted)
	}
	v.Kind, v.Sliver, v.Target = KindMissing, r.Lacks, -1
	return v, nil
}

// claim collects what a node signed about one cell.
type claim struct {
	leaf  *shards.Hash
	proof []shards.Hash
}

// about adds the claim of a receipt.
func (c *claim) about(r *Receipt, sliver, target int) bool {
	q := &r.Question
	for i, s := range q.Slivers {
		for k, t := range q.Targets {
			if s != sliver || t != target {
				continue
			}
			cell := &r.Cells[i*len(q.Targets)+k]
			if q.Whole() {
				c.leaf = &cell.Leaf
			}
			if q.ProofLen > 0 {
				c.proof = cell.Proof
			}
			return true
		}
	}
	return false
}

// wrong judges what was signed about a cell.
func (v Verdict) wrong(e *Evidence) (Verdict, error) {
	first := &e.Receipts[0]
	v.Kind, v.Sliver, v.Target = KindWrong, e.Sliver, e.Target
	params, err := shards.NewParams(first.Question.Shards)
	if err != nil {
		return Verdict{}, fmt.Errorf("%w: %w", ErrNotConvicted, err)
	}
	if e.Line == nil {
		return Verdict{}, fmt.Errorf("%w: nothing leads from the sliver to the blob ID", ErrNotConvicted)
	}
	if err := e.Line.Verify(params, v.Blob, v.Axis, e.Sliver); err != nil {
		return Verdict{}, fmt.Errorf("%w: %w", ErrNotConvicted, err)
	}
	if e.Target < 0 || e.Target >= params.Shards() {
		return Verdict{}, fmt.Errorf("%w: no symbol %d among %d", ErrNotConvicted, e.Target, params.Shards())
	}
	var c claim
	for i := range e.Receipts {
		r := &e.Receipts[i]
		q, p := &r.Question, &first.Question
		if r.Node != first.Node || r.Code != Answered || q.Network != p.Network || q.Shards != p.Shards || q.Blob != p.Blob || q.Axis != p.Axis {
			return Verdict{}, fmt.Errorf("%w: the receipts are not of one node about one blob along one axis", ErrNotConvicted)
		}
		if !c.about(r, e.Sliver, e.Target) {
			return Verdict{}, fmt.Errorf("%w: receipt %d is not about the cell", ErrNotConvicted, i+1)
		}
		v.Height = max(v.Height, q.Height)
	}
	if v.Reason, err = c.compare(e); err != nil {
		return Verdict{}, err
	}
	return v, nil
}

// compare finds the lie in a claim. e.Line has been verified.
func (c *claim) compare(e *Evidence) (reason string, err error) {
	if c.leaf != nil && c.proof != nil {
		if e.Right != nil {
			return "", fmt.Errorf("%w: the node signed symbol and proof: no other opening may come with them", ErrNotConvicted)
		}
		if e.Line.Leads(e.Target, shards.Opening{Leaf: *c.leaf, Path: c.proof}) {
			return "", fmt.Errorf("%w: the symbol is right", ErrNotConvicted)
		}
		return "the symbol that the node signed does not lead to the root of the sliver by the proof that it signed", nil
	}
	if e.Right == nil || !e.Line.Leads(e.Target, *e.Right) {
		return "", fmt.Errorf("%w: the node signed no proof of the symbol, and no right one comes with the evidence", ErrNotConvicted)
	}
	switch {
	case c.leaf != nil && *c.leaf != e.Right.Leaf:
		return "the node signed a symbol other than the one in the sliver's tree", nil
	case c.proof != nil && !equal(c.proof, e.Right.Path):
		return "the node signed a proof other than the one in the sliver's tree", nil
	}
	return "", fmt.Errorf("%w: what the node signed is right, or of a part of the symbol only", ErrNotConvicted)
}

func equal(a, b []shards.Hash) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
