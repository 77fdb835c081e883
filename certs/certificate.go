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
	if err := checkSigners(cert.Signers, len(c.members)); err != nil {
		return err
	}
	if w := cert.Weight(c); w < c.Quorum() {
		return c.errWeight(w)
	}
	sig, err := cert.Signature.point()
	if err != nil {
		return fmt.Errorf("certificate of blob %s: %w", cert.Blob, err)
	}
	hash, err := hashToG2(c.message(cert.Blob, cert.Persistence), dstSignature)
	if err != nil {
		return err
	}
	var sum bls.G1Jac
	for _, i := range cert.Signers {
		sum.AddMixed(&c.keys[i])
	}
	var key bls.G1Affine
	if err := verify(*key.FromJacobian(&sum), hash, sig); err != nil {
		return fmt.Errorf("certificate of blob %s: %w", cert.Blob, err)
	}
	return nil
}

// Weight returns the number of the signers' shards in c. Signers unknown to c are not counted.
func (cert *Certificate) Weight(c *Committee) int {
	w := 0
	for _, i := range cert.Signers {
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

func (c *Committee) errWeight(have int) error {
	return fmt.Errorf("%w: %d of %d, a quorum is %d", ErrWeight, have, c.params.Shards(), c.Quorum())
}
