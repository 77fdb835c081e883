package quilt

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"walrus/shards"
)

// PatchID names one file: the quilt's blob ID ‖ version u8 ‖ first column u16 LE ‖ column after the last u16 LE. It
// identifies the file's place, not its content: the same file in another quilt has another ID.
type PatchID struct {
	Quilt      shards.BlobID
	Start, End uint16
}

// patchIDSize is the size of a patch ID in bytes. Its text form has 50 characters.
const patchIDSize = 32 + 5

// ID returns the ID of the patch in the quilt with that blob ID.
func (p *Patch) ID(quilt shards.BlobID) PatchID {
	return PatchID{quilt, uint16(p.Start), uint16(p.End)}
}

// Patch returns the columns in the ID.
func (id PatchID) Patch() Patch { return Patch{Start: int(id.Start), End: int(id.End), Size: -1} }

// String returns the text form, URL-safe base64 without padding.
func (id PatchID) String() string {
	b := make([]byte, 0, patchIDSize)
	b = append(b, id.Quilt[:]...)
	b = append(b, version)
	b = binary.LittleEndian.AppendUint16(b, id.Start)
	b = binary.LittleEndian.AppendUint16(b, id.End)
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParsePatchID reads the text form. Errors wrap ErrFormat.
func ParsePatchID(s string) (PatchID, error) {
	var id PatchID
	if want := base64.RawURLEncoding.EncodedLen(patchIDSize); len(s) != want {
		hint := ""
		if len(s) == base64.RawURLEncoding.EncodedLen(32) {
			hint = "; this looks like the ID of a whole quilt"
		}
		return id, fmt.Errorf("%w: patch ID %.80q has %d characters, not %d%s", ErrFormat, s, len(s), want, hint)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != patchIDSize {
		return id, fmt.Errorf("%w: patch ID %.80q is not URL-safe base64", ErrFormat, s)
	}
	if b[32] != version {
		return id, fmt.Errorf("%w: patch ID %s has version %d: want %d", ErrFormat, s, b[32], version)
	}
	copy(id.Quilt[:], b)
	id.Start, id.End = binary.LittleEndian.Uint16(b[33:]), binary.LittleEndian.Uint16(b[35:])
	if id.Start < 1 || id.Start >= id.End {
		return id, fmt.Errorf("%w: patch ID %s names columns from %d to before %d", ErrFormat, s, id.Start, id.End)
	}
	return id, nil
}

// MarshalText implements encoding.TextMarshaler.
func (id PatchID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *PatchID) UnmarshalText(b []byte) error {
	parsed, err := ParsePatchID(string(b))
	if err == nil {
		*id = parsed
	}
	return err
}
