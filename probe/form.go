package probe

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/shards"
)

// appendForm appends the one binary form of a question: network ID 32 ‖ n u32 ‖ blob ID 32 ‖ axis u8 ‖ number of
// slivers u16 ‖ each u16 ‖ number of targets u16 ‖ each u16 ‖ symbol size u64 ‖ offset u64 ‖ length u64 ‖ hashes of a
// proof u8 ‖ nonce 16 ‖ height u64. Integers are little-endian.
func (q *Question) appendForm(b []byte) []byte {
	b = append(b, q.Network[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(q.Shards))
	b = append(b, q.Blob[:]...)
	b = append(b, byte(q.Axis))
	b = appendList(b, q.Slivers)
	b = appendList(b, q.Targets)
	b = binary.LittleEndian.AppendUint64(b, uint64(q.SymbolSize))
	b = binary.LittleEndian.AppendUint64(b, uint64(q.Offset))
	b = binary.LittleEndian.AppendUint64(b, uint64(q.Length))
	b = append(b, byte(q.ProofLen))
	b = append(b, q.Nonce[:]...)
	return binary.LittleEndian.AppendUint64(b, q.Height)
}

func appendList(b []byte, list []int) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(len(list)))
	for _, i := range list {
		b = binary.LittleEndian.AppendUint16(b, uint16(i))
	}
	return b
}

// appendCells appends, for each cell, its leaf if symbols were asked for, then its proof.
func (r *Receipt) appendCells(b []byte) []byte {
	for i := range r.Cells {
		if r.Question.Length > 0 {
			b = append(b, r.Cells[i].Leaf[:]...)
		}
		b = appendHashes(b, r.Cells[i].Proof)
	}
	return b
}

func appendHashes(b []byte, list []shards.Hash) []byte {
	for i := range list {
		b = append(b, list[i][:]...)
	}
	return b
}

// Append appends the binary form of a receipt, which Verify accepts: key of the node 32 ‖ question ‖ code u8 ‖ cells,
// or the lacking sliver u16 with a code other than 0 ‖ signature 64.
func (r *Receipt) Append(b []byte) []byte {
	key, _ := nodeKey(r.Node)
	b = append(b, key...)
	b = r.Question.appendForm(b)
	b = append(b, byte(r.Code))
	if r.Code == Answered {
		b = r.appendCells(b)
	} else {
		b = binary.LittleEndian.AppendUint16(b, uint16(r.Lacks))
	}
	return append(b, r.Signature[:]...)
}

// UnmarshalReceipt decodes the binary form. It does not verify the signature. Errors wrap ErrReceipt or ErrQuestion.
func UnmarshalReceipt(b []byte) (*Receipt, error) {
	p := parser{left: b}
	r := p.receipt()
	if err := p.end(); err != nil {
		return nil, err
	}
	return &r, nil
}

// evidenceVersion begins the binary form of evidence.
const evidenceVersion = 1

// MaxEvidence bounds the binary form of evidence, in bytes. Evidence of a probe has 1 to 2 KiB.
const MaxEvidence = 64 << 10

// ErrTooLarge reports receipts for so many symbols that they are not passed on as evidence.
var ErrTooLarge = errors.New("evidence is too large")

// Marshal returns the binary form: 1 u8 ‖ number of receipts u8 ‖ receipts. If the first has code 0 there follow:
// sliver u16 ‖ target u16 ‖ line ‖ 0 or 1 u8 ‖ with 1, the right leaf 32 and path. Errors wrap ErrTooLarge, or
// ErrReceipt for evidence that no form is for.
func (e *Evidence) Marshal() ([]byte, error) {
	if len(e.Receipts) != 1 && len(e.Receipts) != 2 || (e.Receipts[0].Code == Answered) != (e.Line != nil) {
		return nil, fmt.Errorf("%w: %d receipts, or no line: see Evidence", ErrReceipt, len(e.Receipts))
	}
	b := []byte{evidenceVersion, byte(len(e.Receipts))}
	for i := range e.Receipts {
		b = e.Receipts[i].Append(b)
	}
	if e.Line != nil {
		b = binary.LittleEndian.AppendUint16(b, uint16(e.Sliver))
		b = binary.LittleEndian.AppendUint16(b, uint16(e.Target))
		b = e.Line.Append(b)
		if e.Right == nil {
			b = append(b, 0)
		} else {
			b = append(append(b, 1), e.Right.Leaf[:]...)
			b = appendHashes(b, e.Right.Path)
		}
	}
	if len(b) > MaxEvidence {
		return nil, fmt.Errorf("%w: %d bytes: the limit is %d", ErrTooLarge, len(b), MaxEvidence)
	}
	if _, err := UnmarshalEvidence(b); err != nil {
		return nil, err
	}
	return b, nil
}

// UnmarshalEvidence decodes the binary form. It judges nothing. Errors wrap ErrReceipt, ErrQuestion or ErrTooLarge.
func UnmarshalEvidence(b []byte) (*Evidence, error) {
	if len(b) > MaxEvidence {
		return nil, fmt.Errorf("%w: %d bytes: the limit is %d", ErrTooLarge, len(b), MaxEvidence)
	}
	p := parser{left: b}
	e := new(Evidence)
	if v := p.uint(1); p.err == nil && v != evidenceVersion {
		return nil, fmt.Errorf("%w: version %d: want %d", ErrReceipt, v, evidenceVersion)
	}
	count := int(p.uint(1))
	if p.err == nil && count != 1 && count != 2 {
		return nil, fmt.Errorf("%w: %d receipts: want 1 or 2", ErrReceipt, count)
	}
	for range count {
		e.Receipts = append(e.Receipts, p.receipt())
	}
	if p.err == nil && e.Receipts[0].Code == Answered {
		p.cell(e)
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	return e, nil
}

// parser takes fields from the front of left. After the first error all fields are zero.
type parser struct {
	left []byte
	err  error
}

// fail keeps the first error.
func (p *parser) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// take returns the next n bytes.
func (p *parser) take(n int) []byte {
	if p.err == nil && n > len(p.left) {
		p.fail(fmt.Errorf("%w: it ends %d bytes early", ErrReceipt, n-len(p.left)))
	}
	if p.err != nil {
		return make([]byte, min(n, MaxEvidence))
	}
	b := p.left[:n]
	p.left = p.left[n:]
	return b
}

// uint takes a little-endian number of size bytes.
func (p *parser) uint(size int) (v uint64) {
	for i, c := range p.take(size) {
		v |= uint64(c) << (8 * i)
	}
	return v
}

// list takes indices after their number.
func (p *parser) list(most int) (list []int) {
	n := int(p.uint(2))
	if p.err == nil && n > most {
		p.fail(fmt.Errorf("%w: a list of %d indices: the limit is %d", ErrReceipt, n, most))
	}
	if p.err != nil {
		return nil
	}
	b := p.take(2 * n)
	for ; len(b) > 0; b = b[2:] {
		list = append(list, int(binary.LittleEndian.Uint16(b)))
	}
	return list
}

// size takes a number of bytes. Numbers that no question has become negative, and are refused by its Validate.
func (p *parser) size() int64 { return int64(p.uint(8)) }

func (p *parser) question() (q Question) {
	copy(q.Network[:], p.take(len(q.Network)))
	q.Shards = int(p.uint(4))
	copy(q.Blob[:], p.take(len(q.Blob)))
	q.Axis = shards.Axis(p.uint(1))
	q.Slivers, q.Targets = p.list(MaxSlivers), p.list(MaxTargets)
	q.SymbolSize, q.Offset, q.Length = p.size(), p.size(), p.size()
	q.ProofLen = int(p.uint(1))
	copy(q.Nonce[:], p.take(NonceSize))
	q.Height = p.uint(8)
	if p.err == nil {
		p.err = q.Validate()
	}
	return q
}

func (p *parser) receipt() (r Receipt) {
	r.Node = peer.ID(peerPrefix + string(p.take(ed25519.PublicKeySize)))
	r.Question = p.question()
	r.Code = Code(p.uint(1))
	if r.Code == Answered {
		r.Cells = p.cells(&r.Question)
	} else {
		r.Lacks = int(p.uint(2))
	}
	copy(r.Signature[:], p.take(SignatureSize))
	if p.err == nil {
		_, p.err = r.check()
	}
	return r
}

// cells takes the cells of an answer, once all of them are there.
func (p *parser) cells(q *Question) (cells []Cell) {
	if p.err != nil {
		return nil
	}
	hashes := q.ProofLen
	if q.Length > 0 {
		hashes++
	}
	b := p.take(q.Cells() * hashes * shards.HashSize)
	if p.err != nil {
		return nil
	}
	for range q.Cells() {
		var c Cell
		if q.Length > 0 {
			c.Leaf, b = shards.Hash(b[:shards.HashSize]), b[shards.HashSize:]
		}
		c.Proof, b = takeHashes(b, q.ProofLen)
		cells = append(cells, c)
	}
	return cells
}

// cell takes the part of evidence that shows the lie.
func (p *parser) cell(e *Evidence) {
	params, err := shards.NewParams(e.Receipts[0].Question.Shards)
	if err != nil {
		p.fail(fmt.Errorf("%w: %w", ErrReceipt, err))
		return
	}
	e.Sliver, e.Target = int(p.uint(2)), int(p.uint(2))
	line, err := shards.UnmarshalLineOpening(params, p.take(params.LineOpeningSize()))
	if err != nil {
		p.fail(fmt.Errorf("%w: %w", ErrReceipt, err))
	}
	e.Line = &line
	switch flag := p.uint(1); flag {
	case 0:
	case 1:
		b := p.take((1 + params.ProofSize()) * shards.HashSize)
		e.Right = &shards.Opening{Leaf: shards.Hash(b[:shards.HashSize])}
		e.Right.Path, _ = takeHashes(b[shards.HashSize:], params.ProofSize())
	default:
		p.fail(fmt.Errorf("%w: flag %d: want 0 or 1", ErrReceipt, flag))
	}
}

// end returns the first error; bytes that are left are one.
func (p *parser) end() error {
	if p.err == nil && len(p.left) > 0 {
		p.fail(fmt.Errorf("%w: %d bytes too many", ErrReceipt, len(p.left)))
	}
	return p.err
}

// takeHashes takes count hashes from b, which has them.
func takeHashes(b []byte, count int) (list []shards.Hash, rest []byte) {
	for range count {
		list, b = append(list, shards.Hash(b[:shards.HashSize])), b[shards.HashSize:]
	}
	return list, b
}
