// Package wire defines the format of the stream protocols: the headers (wire.proto), the rules for a valid header, and
// the framing. ReadHeader validates every header.
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

// ErrMalformed reports bytes that violate the format.
var ErrMalformed = errors.New("malformed message")

// maxVarint is the length of MaxHeader as a varint.
const maxVarint = 3

// Message stands for the two headers, Request and Response.
type Message interface {
	proto.Message
	Validate() error
}

// AppendHeader appends the frame of m to b. It fails if m is longer than MaxHeader.
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

// ReadHeader reads one frame into m, which must be empty, and validates it. Memory stays within a small multiple of the
// bytes that have arrived. Errors:
//   - io.EOF, not wrapped: r ended before the first byte;
//   - io.ErrUnexpectedEOF: r ended within the frame;
//   - ErrMalformed, wrapped: the bytes are not a valid header;
//   - any other error of r.
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
		return fmt.Errorf("%w: header is not the expected protobuf message", ErrMalformed)
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
