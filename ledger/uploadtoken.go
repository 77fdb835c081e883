package ledger

import (
	"crypto/ed25519"

	"github.com/libp2p/go-libp2p/core/peer"
	voi "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"

	"walrus/certs"
	"walrus/shards"
)

// UploadTokenSize is the size of an upload token's binary form, in bytes.
const UploadTokenSize = 32 + 32 + 8 + ed25519.SignatureSize

const uploadDomain = "walrus upload token 1\x00"

// UploadToken lets one peer upload one blob, on behalf of the account that owns the blob's record or is about to
// register it. All nodes take the same token.
//
// Its binary form is account's key 32 ‖ object 32 ‖ expiry u64 ‖ signature 64. The rest is known from the request and
// its connection.
type UploadToken struct {
	Network   certs.NetworkID
	Blob      shards.BlobID
	Peer      peer.ID   // uploads
	Account   PublicKey // owns the record
	Object    ObjectID  // the record; zero while its ID is not known
	Expiry    uint64    // Unix seconds
	Signature [ed25519.SignatureSize]byte
}

func (t *UploadToken) form(f *form) {
	f.fixed("account", t.Account[:])
	f.fixed("object", t.Object[:])
	f.u64("expiry", &t.Expiry)
	f.fixed("signature", t.Signature[:])
}

// Marshal returns the binary form.
func (t *UploadToken) Marshal() []byte { return marshal(t, UploadTokenSize) }

// UnmarshalUploadToken decodes the binary form of a token for a request by from to upload blob. It does not verify the
// signature. Errors wrap ErrFormat.
func UnmarshalUploadToken(network certs.NetworkID, blob shards.BlobID, from peer.ID, b []byte) (*UploadToken, error) {
	t := &UploadToken{Network: network, Blob: blob, Peer: from}
	if err := unmarshal("upload token", t, b); err != nil {
		return nil, err
	}
	return t, nil
}

// SignBytes returns the bytes that the account signs: a domain ‖ network ID 32 ‖ blob ID 32 ‖ object 32 ‖ expiry u64 ‖
// peer ID.
func (t *UploadToken) SignBytes() []byte {
	f := form{b: append(make([]byte, 0, 192), uploadDomain...)}
	f.fixed("network", t.Network[:])
	f.fixed("blob", t.Blob[:])
	f.fixed("object", t.Object[:])
	f.u64("expiry", &t.Expiry)
	return append(f.b, t.Peer...)
}

// Sign sets the account to sk's and signs.
func (t *UploadToken) Sign(sk ed25519.PrivateKey) {
	copy(t.Account[:], sk[ed25519.PrivateKeySize-ed25519.PublicKeySize:])
	copy(t.Signature[:], ed25519.Sign(sk, t.SignBytes()))
}

// Verify checks the signature, which takes about 50 µs. Errors wrap ErrSignature.
func (t *UploadToken) Verify() error {
	if !voi.VerifyWithOptions(t.Account[:], t.SignBytes(), t.Signature[:], verification) {
		return ErrSignature
	}
	return nil
}
