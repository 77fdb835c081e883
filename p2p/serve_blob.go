package p2p

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"walrus/certs"
	"walrus/p2p/internal/wire"
	"walrus/probe"
	"walrus/shards"
)

// blobOperation runs the operations of the sliver protocol.
func blobOperation(ctx context.Context, x *request) error {
	switch op := x.GetOp().(type) {
	case *wire.Request_PutMetadata:
		return x.putMetadata(ctx, op.PutMetadata)
	case *wire.Request_StorePairs:
		return x.storePairs(ctx, op.StorePairs)
	case *wire.Request_Confirm:
		confirmation, err := x.backend.Confirm(ctx, x.id, persistence(op.Confirm))
		return x.replyBytes(confirmation, err)
	case *wire.Request_GetBlobStatus:
		return x.blobStatus(ctx)
	case *wire.Request_GetLeaves:
		return x.leaves(ctx, op.GetLeaves)
	case *wire.Request_PutProof:
		proof, err := x.body.all()
		if err == nil {
			err = x.backend.PutProof(ctx, x.from, x.id, proof)
		}
		return x.replyBytes(nil, err)
	case *wire.Request_GetLineProof:
		proof, err := x.backend.LineProof(ctx, x.from, x.id, shards.Axis(op.GetLineProof.GetAxis()), int(op.GetLineProof.GetIndex()))
		if err != nil {
			return err
		}
		return x.stream(proof, 0, proof.Size())
	case *wire.Request_Refute:
		refutation, err := x.backend.Refute(ctx, x.from, x.id, shards.Axis(op.Refute.GetAxis()), int(op.Refute.GetIndex()))
		return x.replyBytes(refutation, err)
	}
	return contentOperation(ctx, x)
}

// contentOperation runs the operations that read blobs: all of the pin protocol.
func contentOperation(ctx context.Context, x *request) error {
	switch op := x.GetOp().(type) {
	case *wire.Request_GetMetadata:
		metadata, err := x.content.Metadata(ctx, x.id)
		return x.replyBytes(metadata, err)
	case *wire.Request_ReadSliver:
		return x.readSliver(ctx, op.ReadSliver)
	case *wire.Request_GetSymbols:
		return x.symbols(ctx, op.GetSymbols)
	}
	return fmt.Errorf("%w: %s is not an operation of this protocol", ErrBadRequest, x.name())
}

// replyBytes replies with a Backend's bytes, or passes on its error.
func (x *request) replyBytes(b []byte, err error) error {
	if err != nil {
		return err
	}
	if most := x.Bounds().Response; uint64(len(b)) > most {
		return fmt.Errorf("backend returned %d bytes: the limit is %d", len(b), most)
	}
	return x.reply(new(wire.Response), b)
}

// persistence decodes the persistence that the confirmation shall name.
func persistence(op *wire.Confirm) (p certs.Persistence) {
	p.Deletable = len(op.GetObject()) > 0
	copy(p.Object[:], op.GetObject())
	return p
}

func (x *request) putMetadata(ctx context.Context, op *wire.PutMetadata) error {
	held, err := x.backend.PutMetadata(ctx, x.from, x.id, op.GetToken(), x.body.left, x.body.all)
	if err != nil {
		return err
	}
	b, err := appendIndices(nil, held)
	if err != nil {
		return err
	}
	return x.reply(new(wire.Response), b)
}

func (x *request) storePairs(ctx context.Context, op *wire.StorePairs) error {
	err := x.backend.StorePairs(ctx, x.from, x.id, op.GetToken(), ints(op.GetPairs()), uploadBody{x}, x.body.left)
	x.ending.finish()
	if err != nil {
		return err
	}
	if x.body.left > 0 {
		return fmt.Errorf("backend left %d bytes of the pairs unread", x.body.left)
	}
	return x.reply(new(wire.Response), nil)
}

// readSliver streams a range of a sliver. A failure after the first bytes cuts the stream: the peer sees a truncated
// payload, never wrong bytes.
func (x *request) readSliver(ctx context.Context, op *wire.ReadSliver) error {
	sliver, err := x.content.OpenSliver(ctx, x.id, shards.Axis(op.GetAxis()), int(op.GetIndex()))
	if err != nil {
		return err
	}
	return x.stream(sliver, int64(op.GetOffset()), int64(op.GetLength()))
}

// stream sends a range of a sliver, and closes it.
func (x *request) stream(sliver SliverReader, offset, length int64) error {
	defer func() { _ = sliver.Close() }() // only read
	size := sliver.Size()
	if offset > size || length > size-offset {
		return fmt.Errorf("%w: bytes [%d, %d) of a sliver of %d", ErrBadRequest, offset, offset+length, size)
	}
	buffer := writeBuffers.Get().(*[]byte)
	defer writeBuffers.Put(buffer)
	head, err := wire.AppendHeader((*buffer)[:0], &wire.Response{
		Payload: uint64(length),
		Result:  &wire.Response_Sliver{Sliver: &wire.SliverInfo{Size: uint64(size)}},
	})
	if err != nil {
		return err
	}
	from := io.NewSectionReader(sliver, offset, length)
	b := (*buffer)[:min(int64(len(*buffer)), int64(len(head))+length)]
	n, err := io.ReadFull(from, b[len(head):]) // before the header is sent, while damage can still be reported
	if err != nil && err != io.EOF {
		return fmt.Errorf("read sliver: %w", err)
	}
	for x.replied = true; ; {
		if _, err := x.w.Write(b); err != nil {
			return err
		}
		if length -= int64(n); length == 0 {
			return nil
		}
		b = (*buffer)[:min(int64(len(*buffer)), length)]
		if n, err = io.ReadFull(from, b); err != nil {
			return fmt.Errorf("read sliver: %w", err)
		}
	}
}

// symbols streams recovery symbols. As in readSliver, a failure after the first bytes cuts the stream, before anything
// is signed.
func (x *request) symbols(ctx context.Context, op *wire.GetSymbols) error {
	q := decodeQuery(x.id, op)
	out := &symbolStream{x: x, left: int64(op.Symbols()), seal: x.seal(&q)}
	if out.seal != nil {
		out.answer = probe.NewAnswer(&out.seal.question, false)
	}
	err := x.content.Symbols(ctx, SymbolRequest{From: x.from, SymbolQuery: q}, out)
	if refusal := out.seal.refuse(err); refusal != nil && !x.replied {
		return refusal
	}
	if err != nil {
		return err
	}
	if out.left > 0 {
		return fmt.Errorf("backend left %d bytes of the symbols unwritten", out.left)
	}
	return out.end()
}

// symbolStream sends the header of a response before the first byte of its payload, and the signature after the last.
type symbolStream struct {
	x      *request
	left   int64         // of the symbols
	seal   *seal         // nil: unsigned
	answer *probe.Answer // nil: unsigned
	w      *bufio.Writer // nil before the first Write
}

func (s *symbolStream) Write(b []byte) (int, error) {
	if int64(len(b)) > s.left {
		return 0, fmt.Errorf("backend wrote %d bytes more than the symbols have", int64(len(b))-s.left)
	}
	if s.w == nil {
		size := s.left
		if s.seal != nil {
			size += wire.SignatureSize
		}
		head, err := wire.AppendHeader(nil, &wire.Response{Payload: uint64(size)})
		if err != nil {
			return 0, err
		}
		s.x.begin()
		s.w = bufio.NewWriterSize(s.x.w, int(min(size+readBuffer, writeSize)))
		_, _ = s.w.Write(head) // Flush returns the first error
	}
	if s.answer != nil {
		_, _ = s.answer.Write(b) // as many as the question is for
	}
	n, err := s.w.Write(b)
	s.left -= int64(n)
	return n, err
}

// end signs the symbols, and sends what is left.
func (s *symbolStream) end() error {
	if s.seal != nil {
		sum, complete := s.answer.Sum()
		if !complete {
			return errors.New("sign symbols: the answer is incomplete")
		}
		signature := probe.Sign(s.seal.key, &s.seal.question, sum)
		_, _ = s.w.Write(signature[:]) // Flush returns the first error
	}
	return s.w.Flush()
}

// Bits for a shard in the payload of a blob status.
const (
	statePrimary = 1 << iota
	stateSecondary
	stateCorrupt
	stateRepairing
)

func (x *request) blobStatus(ctx context.Context) error {
	status, err := x.backend.BlobStatus(ctx, x.id)
	if err != nil {
		return err
	}
	payload := append([]byte(nil), status.Certificate...)
	for _, s := range status.Slivers {
		if payload, err = appendIndices(payload, []int{s.Shard}); err != nil {
			return err
		}
		state := bit(s.Primary, statePrimary) | bit(s.Secondary, stateSecondary) | bit(s.Corrupt, stateCorrupt) | bit(s.Repairing, stateRepairing)
		payload = append(payload, state)
	}
	result := &wire.BlobStatus{Metadata: status.Metadata, Certificate: uint32(len(status.Certificate))}
	return x.reply(&wire.Response{Result: &wire.Response_BlobStatus{BlobStatus: result}}, payload)
}

func bit(set bool, b byte) byte {
	if set {
		return b
	}
	return 0
}

// appendIndices encodes shards or pairs for a payload: u16 LE each.
func appendIndices(b []byte, list []int) ([]byte, error) {
	for _, i := range list {
		if i < 0 || i >= wire.MaxShards {
			return b, fmt.Errorf("encode index %d: must be below %d", i, wire.MaxShards)
		}
		b = binary.LittleEndian.AppendUint16(b, uint16(i))
	}
	return b, nil
}

func ints(list []uint32) []int {
	out := make([]int, len(list))
	for i, v := range list {
		out[i] = int(v)
	}
	return out
}
