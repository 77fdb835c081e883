package shards

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// BlobID identifies a blob by its content: BLAKE2b-256(type u8 ‖ length u64 LE ‖ blob root).
type BlobID [32]byte

// blobIDText is URL-safe base64 without padding; Strict refuses non-zero trailing bits, so an ID has one spelling.
var blobIDText = base64.RawURLEncoding.Strict()

// blobIDTextLen is the length of the text form: 43 characters for 32 bytes.
const blobIDTextLen = 43

// ParseBlobID reads the text form of a blob ID, 43 characters of URL-safe base64 without padding.
func ParseBlobID(s string) (BlobID, error) {
	var id BlobID
	if len(s) != blobIDTextLen {
		return id, fmt.Errorf("blob ID has %d characters: want %d of URL-safe base64", len(s), blobIDTextLen)
	}
	if strings.ContainsAny(s, "\r\n") { // the decoder skips these
		return id, fmt.Errorf("blob ID %q is not URL-safe base64 without padding", s)
	}
	if n, err := blobIDText.Decode(id[:], []byte(s)); err != nil || n != len(id) {
		return BlobID{}, fmt.Errorf("blob ID %q is not URL-safe base64 without padding", s)
	}
	return id, nil
}

// String returns the text form.
func (id BlobID) String() string { return blobIDText.EncodeToString(id[:]) }

// MarshalText implements encoding.TextMarshaler.
func (id BlobID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *BlobID) UnmarshalText(b []byte) error {
	v, err := ParseBlobID(string(b))
	if err == nil {
		*id = v
	}
	return err
}
