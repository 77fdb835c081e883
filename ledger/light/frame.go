package light

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/libp2p/go-libp2p/core/protocol"

	"walrus/certs"
	"walrus/ledger"
)

// A request is its length as u32, the network ID and the message. An answer is a code, its length as u32 and the
// message, or a refusal if the code is not 0.

func protocolID(network, name string) protocol.ID {
	return protocol.ID("/walrus/" + network + "/" + name + "/" + protocolVersion)
}

// Protocols returns the stream protocols of a network that Serve answers.
func Protocols(network string) []protocol.ID {
	var ids []protocol.ID
	for name := range endpoints {
		ids = append(ids, protocolID(network, name))
	}
	slices.Sort(ids)
	return ids
}

// codes lists the errors by their number on the wire; 0 is an answer. Numbers never change their meaning.
var codes = [...]error{
	1: errInternal, 2: ErrRequest, 3: ErrBusy, 4: ErrBehind, 5: ErrPruned, 6: ErrUnavailable, 7: ledger.ErrNotFound,
	8: ErrPending, 9: errNetwork, codeRefused: errRefused, 11: errHeldUp,
}

const (
	codeInternal = 1
	codeRefused  = 10 // the refusal carries a transaction's code
)

var (
	// errInternal: something went wrong inside the node; the details stay there.
	errInternal = errors.New("internal error")
	// errNetwork: the node belongs to another network of the same name.
	errNetwork = errors.New("network with another genesis")
	errRefused = errors.New("transaction refused")
	// errHeldUp: the node has the transaction, but considers the ledger stalled.
	errHeldUp = fmt.Errorf("%w: %w", ErrPending, ErrStalled)
)

// refusal tells why a node does not answer.
type refusal struct {
	Text  string
	Code  uint32 // of a refused transaction
	Op    uint32 // one plus the index of the operation at fault
	Least uint64 // fee with which it would be accepted; 0: the fee is not the reason
}

func (m *refusal) form(f *form) {
	f.text("reason", &m.Text)
	f.u32("code", &m.Code)
	f.u32("operation", &m.Op)
	f.u64("least fee", &m.Least)
}

// refuse translates an error of a Source into a refusal. Errors without a code reveal nothing.
func refuse(err error) (code byte, m *refusal) {
	if op := (*ledger.OpError)(nil); errors.As(err, &op) {
		return codeRefused, &refusal{op.Text, uint32(op.Code), uint32(op.Op + 1), uint64(op.Least)}
	}
	for i, sentinel := range slices.Backward(codes[:]) { // special errors before general ones
		if i > codeInternal && i != codeRefused && errors.Is(err, sentinel) {
			return byte(i), &refusal{Text: err.Error()}
		}
	}
	return codeInternal, &refusal{}
}

// err returns the caller's error for a refusal, whose text comes from a stranger.
func (m *refusal) err(code byte) error {
	if code == codeRefused {
		if m.Code == uint32(ledger.CodeOK) || m.Op > ledger.MaxOps {
			return fmt.Errorf("%w: refusal without a reason", errForm)
		}
		return &ledger.OpError{Code: ledger.Code(m.Code), Op: int(m.Op) - 1, Text: m.Text, Least: ledger.Amount(m.Least)}
	}
	sentinel := errInternal // also for codes of later versions
	if int(code) < len(codes) {
		sentinel = codes[code]
	}
	if m.Text == "" || m.Text == sentinel.Error() {
		return sentinel
	}
	return &remoteError{sentinel, m.Text}
}

// remoteError is an error reported by a node: its text, with the identity of a sentinel.
type remoteError struct {
	sentinel error
	text     string
}

func (e *remoteError) Error() string { return e.text }

func (e *remoteError) Unwrap() error { return e.sentinel }

// encodeRequest returns a request's whole frame.
func encodeRequest(id certs.NetworkID, m message) ([]byte, error) {
	body, err := encode(m)
	if err == nil && len(id)+len(body) > maxRequest {
		err = fmt.Errorf("%w: %d bytes: at most %d", errForm, len(body), maxRequest-len(id))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(id)+len(body)))
	b = append(b, id[:]...)
	return append(b, body...), nil
}

// readRequestFrame reads a frame of encodeRequest without decoding the message.
func readRequestFrame(r io.Reader) (id certs.NetworkID, body []byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return id, nil, err
	}
	size := binary.LittleEndian.Uint32(head[:])
	if size < uint32(len(id)) || size > maxRequest {
		return id, nil, fmt.Errorf("%w: request of %d bytes: must be %d to %d", errForm, size, len(id), maxRequest)
	}
	b, err := readBytes(r, int64(size))
	if err != nil {
		return id, nil, err
	}
	return id, b[copy(id[:], b):], nil
}

// encodeAnswer returns an answer's whole frame.
func encodeAnswer(code byte, m message) ([]byte, error) {
	body, err := encode(m)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, 5+len(body))
	b = append(b, code)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	return append(b, body...), nil
}

// readAnswerFrame reads an answer of at most limit bytes into m, or returns the refusal. Errors that wrap errForm are
// the node's fault.
func readAnswerFrame(r io.Reader, limit int, m message) error {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	size := binary.LittleEndian.Uint32(head[1:])
	no := new(refusal)
	if head[0] != 0 {
		limit, m = 64+maxText, no
	}
	if uint64(size) > uint64(limit) {
		return fmt.Errorf("%w: answer of %d bytes: at most %d", errForm, size, limit)
	}
	b, err := readBytes(r, int64(size))
	if err != nil {
		return err
	}
	if err := decode(b, m); err != nil {
		return err
	}
	if head[0] != 0 {
		return no.err(head[0])
	}
	return nil
}

// readBytes reads n bytes and allocates little more memory than has arrived.
func readBytes(r io.Reader, n int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(min(n, 4<<10)))
	if _, err := io.CopyN(&b, r, n); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return b.Bytes(), nil
}
