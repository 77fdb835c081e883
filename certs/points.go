package certs

import (
	"fmt"

	bls "github.com/consensys/gnark-crypto/ecc/bls12-381"
)

// Domain separation tags of hashing to G2: for signatures as in the original Walrus, and for proofs of possession.
const (
	dstSignature  = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_"
	dstPossession = "BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
)

// point decodes and checks a public key: on the curve, in the subgroup, not infinity. The library accepts infinity.
func (p PublicKey) point() (bls.G1Affine, error) {
	var a bls.G1Affine
	if _, err := a.SetBytes(p[:]); err != nil {
		return a, fmt.Errorf("%w: %v", ErrKey, err)
	}
	if a.IsInfinity() {
		return a, fmt.Errorf("%w: the point at infinity", ErrKey)
	}
	return a, nil
}

// point decodes a signature, with the same checks.
func (s Signature) point() (bls.G2Affine, error) {
	var a bls.G2Affine
	if _, err := a.SetBytes(s[:]); err != nil {
		return a, fmt.Errorf("%w: %v", ErrSignature, err)
	}
	if a.IsInfinity() {
		return a, fmt.Errorf("%w: the point at infinity", ErrSignature)
	}
	return a, nil
}

func hashToG2(msg []byte, dst string) (bls.G2Affine, error) {
	h, err := bls.HashToG2(msg, []byte(dst))
	if err != nil {
		return h, fmt.Errorf("%w: hash message to the curve: %v", ErrSignature, err)
	}
	return h, nil
}

// verify checks e(key, hash) = e(g₁, sig). Both points must come from point or be sums of such points. A sum may be
// infinity, which counts as no signature.
func verify(key bls.G1Affine, hash, sig bls.G2Affine) error {
	if key.IsInfinity() || sig.IsInfinity() {
		return fmt.Errorf("%w: the aggregate is the point at infinity", ErrSignature)
	}
	_, _, g1, _ := bls.Generators()
	g1.Neg(&g1)
	ok, err := bls.PairingCheck([]bls.G1Affine{key, g1}, []bls.G2Affine{hash, sig})
	if err != nil {
		return fmt.Errorf("%w: %v", ErrSignature, err)
	}
	if !ok {
		return ErrSignature
	}
	return nil
}
