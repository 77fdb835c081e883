package pin

import (
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"walrus/shards"
)

// Codec is the content type in the CID of a blob, from the range for private use: a blob ID is the hash of metadata,
// not of content, so nobody must take it for a hash of the bytes.
const Codec = 0x300057

// multihash code of BLAKE2b-256.
const blake2b256 = 0xb220

// CID returns the CID of a blob: version 1, Codec, and as the BLAKE2b-256 multihash the blob ID, in base32.
func CID(id shards.BlobID) string {
	mh, err := multihash.Encode(id[:], blake2b256)
	if err != nil {
		panic(err) // the code is known to the library
	}
	return cid.NewCidV1(Codec, mh).String()
}

// ParseCID reads the CID of a blob in any multibase, or a blob ID in base64url. A CID of something else is an error
// that says so.
func ParseCID(s string) (id shards.BlobID, err error) {
	if id, err := shards.ParseBlobID(s); err == nil {
		return id, nil
	}
	if len(s) > maxCID {
		return id, fmt.Errorf("a CID of %d bytes: at most %d", len(s), maxCID)
	}
	c, err := cid.Decode(s)
	if err != nil {
		return id, fmt.Errorf("%.100q is neither a blob ID, which has 43 characters, nor a CID", s)
	}
	mh, err := multihash.Decode(c.Hash())
	if err != nil {
		return id, fmt.Errorf("CID %q: %w", s, err)
	}
	if c.Version() != 1 || c.Type() != Codec || mh.Code != blake2b256 || len(mh.Digest) != len(id) {
		return id, fmt.Errorf("CID %q has codec %#x and hash %#x: it is not of a Walrus blob, which has codec %#x and hash %#x",
			s, c.Type(), mh.Code, Codec, blake2b256)
	}
	copy(id[:], mh.Digest)
	return id, nil
}
