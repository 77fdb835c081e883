package certs

import (
	"fmt"

	bls "github.com/consensys/gnark-crypto/ecc/bls12-381"

	"walrus/shards"
)

// Certificate proves that members with a quorum of shards confirmed a blob: it has reached its point of availability.
type Certificate struct {
	Epoch       uint32        `json:"epoch"`
	Blob        shards.BlobID `json:"blobId"`
	Persistence Persistence   `json:"persistence"`
	Signers     []uint16      `json:"signers"`   // member indices, strictly ascending
	Signature   Signature     `json:"signature"` // the sum of the signers' signatures
}

// Verify checks that cert is of the committee's epoch and network and signed by a quorum. Cheap checks come before
// the pairing, which takes about 0.8 ms. Errors wrap ErrEpoch, ErrFormat, ErrSigners, ErrWeight or ErrSignature.
func (c *Committee) Verify(cert *Certificate) error {
	if cert.Epoch != c.epoch {
		return fmt.Errorf("certificate of epoch %d, committee of epoch %d: %w", cert.Epoch, c.epoch, ErrEpoch)
	}
	if err := cert.Persistence.Validate(); err != nil {
		return err
	}
	if err := c.verifySum(cert.Signers, c.message(cert.Blob, cert.Persistence), cert.Signature, c.Quorum()); err != nil {
		return fmt.Errorf("certificate of blob %s: %w", cert.Blob, err)
	}
	return nil
}

// verifySum checks that signers, who have at least least shards, signed message. Cheap checks come first.
func (c *Committee) verifySum(signers []uint16, message []byte, sum Signature, least int) error {
	if err := checkSigners(signers, len(c.members)); err != nil {
		return err
	}
	if w := c.weightOfSigners(signers); w < least {
		return c.errWeight(w, least)
	}
	sig, err := sum.point()
	if err != nil {
		return err
	}
	hash, err := hashToG2(message, dstSignature)
	if err != nil {
		return err
	}
	var key bls.G1Jac
	for _, i := range signers {
		key.AddMixed(&c.keys[i])
	}
	var affine bls.G1Affine
	return verify(*affine.FromJacobian(&key), hash, sig)
}

// Weight returns the number of the signers' shards in c. Signers unknown to c are not counted.
func (cert *Certificate) Weight(c *Committee) int {
	return c.weightOfSigners(cert.Signers)
}

func (c *Committee) weightOfSigners(signers []uint16) int {
	w := 0
	for _, i := range signers {
		w += c.Weight(int(i))
	}
	return w
}

// checkSigners requires 1 to members strictly ascending indices below members.
func checkSigners(signers []uint16, members int) error {
	if len(signers) == 0 || len(signers) > members {
		return fmt.Errorf("%w: %d signers: must be 1 to %d", ErrSigners, len(signers), members)
	}
	for k, i := range signers {
		if int(i) >= members {
			return fmt.Errorf("%w: index %d in a committee of %d members", ErrSigners, i, members)
		}
		if k > 0 && i <= signers[k-1] {
			return fmt.Errorf("%w: index %d after %d: must ascend", ErrSigners, i, signers[k-1])
		}
	}
	return nil
}

func (c *Committee) errWeight(have, least int) error {
	return fmt.Errorf("%w: %d of %d, and %d are needed", ErrWeight, have, c.params.Shards(), least)
}
