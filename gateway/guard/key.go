package guard

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// parseKey parses the key of the configured algorithm; nil if there is no secret.
func parseKey(c JWTConfig) (any, error) {
	if c.Secret == "" {
		return nil, nil
	}
	raw := []byte(c.Secret)
	if digits, ok := strings.CutPrefix(c.Secret, "0x"); ok {
		b, err := hex.DecodeString(digits)
		if err != nil || len(b) == 0 {
			return nil, errors.New("guard: JWT secret begins with 0x but is not hexadecimal")
		}
		raw = b
	}
	block, _ := pem.Decode(raw)
	switch c.Algorithm {
	case "HS256", "HS384", "HS512":
		if block != nil {
			return nil, fmt.Errorf("guard: JWT secret for %s is a key in PEM: anybody who knows the public key could sign: use a random secret", c.Algorithm)
		}
		return raw, nil
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA":
	default:
		return nil, fmt.Errorf("guard: JWT algorithm %q: must be HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA", c.Algorithm)
	}
	if block != nil {
		raw = block.Bytes
	}
	if c.Algorithm == "EdDSA" && len(raw) == ed25519.PublicKeySize {
		return ed25519.PublicKey(raw), nil
	}
	key, err := x509.ParsePKIXPublicKey(raw)
	if err != nil {
		if key, err = x509.ParsePKCS1PublicKey(raw); err != nil {
			return nil, fmt.Errorf("guard: JWT key for %s: must be a public key in PEM", c.Algorithm)
		}
	}
	if !fits(key, c.Algorithm) {
		return nil, fmt.Errorf("guard: JWT key is a %T, which does not fit %s (RSA keys need at least 2048 bits)", key,
			c.Algorithm)
	}
	return key, nil
}

func fits(key any, algorithm string) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return (algorithm[:2] == "RS" || algorithm[:2] == "PS") && k.N.BitLen() >= 2048
	case *ecdsa.PublicKey:
		bits := k.Curve.Params().BitSize
		return algorithm == "ES256" && bits == 256 || algorithm == "ES384" && bits == 384
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}
