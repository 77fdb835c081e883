package client

import (
	"context"
	"errors"
	"fmt"

	"walrus/certs"
	"walrus/ledger"
	"walrus/shards"
)

// ErrInvalidBlob is returned for a blob that its writer encoded wrongly. Different slivers give different contents, so
// reads return none. The error is an *InvalidBlobError if it is known why.
var ErrInvalidBlob = errors.New("the blob is invalid: its writer encoded it wrongly, so it has no content")

// InvalidBlobError says how it is known that a blob is invalid: the ledger has marked it, or somebody has proved it
// before that, or the ledger does not answer and the nodes say so. Its proofs have been verified here.
type InvalidBlobError struct {
	BlobID shards.BlobID
	Mark   *ledger.InvalidBlob // on the ledger; nil: it does not say so yet
	Cell   *shards.CellProof   // may be nil, as the next two
	Line   *shards.LineProof   // not on the ledger itself: members verify it and sign
	Signed *certs.RefutationCertificate
	Said   int // shards whose nodes say so without a proof, more than may lie; 0: it was not needed
}

// Error returns the whole sentence for people.
func (e *InvalidBlobError) Error() string {
	text := ErrInvalidBlob.Error()
	if why := e.Why(); why != "" {
		text += ": " + why
	}
	if e.Mark != nil {
		return fmt.Sprintf("%s (on the ledger since epoch %d)", text, e.Mark.Epoch)
	}
	if e.Said > 0 {
		return text
	}
	return text + " (proved here; the ledger has not marked it yet)"
}

// Unwrap returns ErrInvalidBlob.
func (e *InvalidBlobError) Unwrap() error { return ErrInvalidBlob }

// Why explains the proof in one sentence; empty if there is none.
func (e *InvalidBlobError) Why() string {
	switch {
	case e.Cell != nil:
		return fmt.Sprintf("row %d and column %d have different symbols where they cross", e.Cell.Row, e.Cell.Column)
	case e.Line != nil:
		return fmt.Sprintf("%s sliver %d is not what %d crossing slivers give", e.Line.Axis, e.Line.Index,
			len(e.Line.Crossing))
	case e.Signed != nil:
		return fmt.Sprintf("%d nodes, with more shards than may lie, have verified a proof and signed", len(e.Signed.Signers))
	case e.Said > 0:
		return fmt.Sprintf("nodes with %d shards, more than may lie, say so", e.Said)
	}
	return ""
}

// Explain tells how the proof works, in lines for people who want to check it.
func (e *InvalidBlobError) Explain() (lines []string) {
	switch {
	case e.Cell != nil:
		c := e.Cell
		return []string{
			fmt.Sprintf("A blob ID fixes every row and every column of a blob. Row %d and column %d cross in one symbol.", c.Row,
				c.Column),
			fmt.Sprintf("The blob ID leads to row %d, and there to a symbol with the hash %x.", c.Row, c.InRow.Leaf),
			fmt.Sprintf("The blob ID leads to column %d, and there to a symbol with the hash %x.", c.Column, c.InColumn.Leaf),
			"A right encoding has the same symbol in both. So reading by rows and reading by columns would give different contents.",
		}
	case e.Line != nil:
		l := e.Line
		return []string{
			fmt.Sprintf("%d slivers that cross %s sliver %d have one symbol of it each. Together these fix the whole sliver.",
				len(l.Crossing), l.Axis, l.Index),
			"The sliver that they give is not the one that the blob ID has.",
		}
	case e.Signed != nil:
		return []string{
			fmt.Sprintf("In epoch %d, %d nodes verified a proof that is too large for the ledger, and signed.", e.Signed.Epoch,
				len(e.Signed.Signers)),
			"They have more shards than may lie, so at least one of them is honest.",
		}
	}
	return nil
}

// Event names the event of the ledger that marked the blob; ok is false if there is none.
func (e *InvalidBlobError) Event() (tx ledger.TxID, seq int, ok bool) {
	if e.Mark == nil {
		return tx, 0, false
	}
	return e.Mark.Tx, int(e.Mark.Event), true
}

// invalidBlob reads, from the parameters and the mark, why the ledger has marked a blob. It verifies a cell proof once
// more, which costs microseconds, and leaves it out if it is wrong: the ledger's word stands by itself.
func invalidBlob(r ledger.Reader, id shards.BlobID) error {
	mark, err := ledger.ReadInvalidBlob(r, id)
	if err != nil {
		return err
	}
	params, err := ledger.ReadParams(r)
	if err != nil {
		return err
	}
	encoding, err := shards.NewParams(int(params.Shards))
	if err != nil {
		return fmt.Errorf("read the parameters of the ledger: %w", err)
	}
	e := &InvalidBlobError{BlobID: id, Mark: &mark}
	if proof, err := shards.UnmarshalCellProof(encoding, mark.Proof); err == nil && proof.Verify(encoding, id) == nil {
		e.Cell = proof
	}
	if cert, err := certs.UnmarshalRefutationCertificate(mark.Certificate); err == nil && cert.Blob == id {
		e.Signed = cert
	}
	return e
}

// peekInvalid asks the ledger why it has marked a blob.
func (c *books) peekInvalid(ctx context.Context, id shards.BlobID) error {
	r, err := c.chain.Peek(ctx, ledger.KeyParams(), ledger.KeyInvalidBlob(id))
	if err != nil { // that it is marked is known already
		return &InvalidBlobError{BlobID: id, Mark: &ledger.InvalidBlob{}}
	}
	return invalidBlob(r, id)
}

// refusedAsInvalid turns the ledger's refusal of an operation on a marked blob into ErrInvalidBlob.
func refusedAsInvalid(err error) error {
	var refused *ledger.OpError
	if errors.As(err, &refused) && refused.Code == ledger.CodeInvalidBlob && !errors.Is(err, ErrInvalidBlob) {
		return fmt.Errorf("%w: %w", ErrInvalidBlob, err)
	}
	return err
}
