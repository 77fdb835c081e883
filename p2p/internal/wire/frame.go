// Package wire is the format of the stream protocols: the headers (wire.proto), what makes each of them valid, and how
// they are framed. Whoever reads a header validates it before use.
package wire

//go:generate protoc --go_out=. --go_opt=paths=source_relative wire.proto

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"
)

// ErrMalformed is wrapped by every error about bytes that do not follow the format.
var ErrMalformed = errors.New("malformed message")

// maxVarint is the length of MaxHeader as a varint.
const maxVarint = 3

// Message is a header: Request or Response.
type Message interface {
	proto.Message
	Validate() error
}

// AppendHeader appends the frame of m to b. It fails when m is longer than MaxHeader.
func AppendHeader(b []byte, m Message) ([]byte, error) {
	size := proto.Size(m)
	if size > MaxHeader {
		return b, fmt.Errorf("encode header: %d bytes: the limit is %d", size, MaxHeader)
	}
	b = binary.AppendUvarint(b, uint64(size))
	b, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, m)
	if err != nil {
		return b, fmt.Errorf("encode header: %w", err)
	}
	return b, nil
}

// ReadHeader reads one frame into m, which must be empty, and validates it. It allocates no more than a small multiple
// of what has arrived. Before the first byte the error is io.EOF as it is; a frame that stops early gives
// io.ErrUnexpectedEOF; bytes that are not a valid header wrap ErrMalformed; other errors are those of r.
func ReadHeader(r *bufio.Reader, m Message) error {
	size, err := readLength(r)
	if err != nil {
		return err
	}
	var b []byte
	if size <= r.Size() {
		b, err = r.Peek(size)
	} else {
		var long bytes.Buffer
		_, err = io.CopyN(&long, r, int64(size))
		b = long.Bytes()
	}
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, m); err != nil {
		return fmt.Errorf("%w: header is not the protobuf message expected", ErrMalformed)
	}
	if size <= r.Size() {
		if _, err := r.Discard(size); err != nil {
			return err
		}
	}
	if err := m.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

func readLength(r *bufio.Reader) (int, error) {
	size := 0
	for i := range maxVarint {
		c, err := r.ReadByte()
		if err != nil {
			if err == io.EOF && i > 0 {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		size |= int(c&0x7f) << (7 * i)
		if c < 0x80 {
			if size > MaxHeader {
				break
			}
			return size, nil
		}
	}
	return 0, fmt.Errorf("%w: header longer than %d bytes", ErrMalformed, MaxHeader)
}
