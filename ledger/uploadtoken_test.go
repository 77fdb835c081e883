package ledger

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

// TestUploadToken pins the form and the signed bytes of a token. A token is good for one network, blob, peer, record
// and time.
func TestUploadToken(t *testing.T) {
	token := &UploadToken{Network: id(1), Blob: id(2), Peer: "peer", Object: id(3), Expiry: 0x0405}
	token.Sign(testKey(7))
	signed := append([]byte("walrus upload token 1\x00"), bytes.Repeat([]byte{1}, 32)...)
	signed = append(append(signed, bytes.Repeat([]byte{2}, 32)...), bytes.Repeat([]byte{3}, 32)...)
	signed = append(signed, 5, 4, 0, 0, 0, 0, 0, 0)
	signed = append(signed, "peer"...)
	if !bytes.Equal(token.SignBytes(), signed) {
		t.Errorf("signs %s", hex.EncodeToString(token.SignBytes()))
	}
	raw := token.Marshal()
	if len(raw) != UploadTokenSize {
		t.Errorf("%d bytes, want %d", len(raw), UploadTokenSize)
	}
	got, err := UnmarshalUploadToken(id(1), id(2), "peer", raw)
	if err != nil || *got != *token || got.Verify() != nil {
		t.Fatalf("%+v, %v", got, err)
	}
	for i := range raw {
		changed := bytes.Clone(raw)
		changed[i] ^= 1
		got, err := UnmarshalUploadToken(id(1), id(2), "peer", changed)
		if err != nil || !errors.Is(got.Verify(), ErrSignature) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	for name, other := range map[string]func() (*UploadToken, error){
		"network": func() (*UploadToken, error) { return UnmarshalUploadToken(id(9), id(2), "peer", raw) },
		"blob":    func() (*UploadToken, error) { return UnmarshalUploadToken(id(1), id(9), "peer", raw) },
		"peer":    func() (*UploadToken, error) { return UnmarshalUploadToken(id(1), id(2), "poor", raw) },
	} {
		if got, err := other(); err != nil || !errors.Is(got.Verify(), ErrSignature) {
			t.Errorf("for another %s: %v", name, err)
		}
	}
	for _, n := range []int{0, len(raw) - 1, len(raw) + 1} {
		if _, err := UnmarshalUploadToken(id(1), id(2), "peer", append(bytes.Clone(raw), 0)[:n]); !errors.Is(err, ErrFormat) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
