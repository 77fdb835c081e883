package certs

import (
	"cmp"
	"fmt"
	"slices"

	bls "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/shards"
)

// signed is one member's decoded signature.
type signed struct {
	index int
	raw   Signature
	sig   bls.G2Affine
}

// Aggregate makes the certificate of blob from confirmations, verified or not, in any order. It first checks the sum,
// with one pairing. If that fails, it finds the bad ones by halving, drops them, and succeeds if the rest are still a
// quorum. bad lists, also with an error, the nodes with useless confirmations: not a member, of another blob or
// epoch, or wrongly signed. Errors wrap ErrFormat, ErrWeight or ErrSignature.
func (c *Committee) Aggregate(blob shards.BlobID, p Persistence, confs []Confirmation) (cert *Certificate, bad []peer.ID, err error) {
	if err := p.Validate(); err != nil {
		return nil, nil, err
	}
	hash, err := hashToG2(c.message(blob, p), dstSignature)
	if err != nil {
		return nil, nil, err
	}
	all, bad := c.collect(blob, p, confs, hash)
	if w := c.weightOf(all); w < c.Quorum() {
		return nil, bad, fmt.Errorf("aggregate confirmations of blob %s: %w", blob, c.errWeight(w))
	}
	good, wrong := c.bisect(all, hash)
	for _, s := range wrong {
		bad = append(bad, c.members[s.index].Node)
	}
	slices.Sort(bad)
	bad = slices.Compact(bad)
	if w := c.weightOf(good); w < c.Quorum() {
		return nil, bad, fmt.Errorf("aggregate confirmations of blob %s: %w", blob, c.errWeight(w))
	}
	key, sig := c.sum(good)
	if len(wrong) > 0 { // the sum of sums that verify does too, unless it is infinity
		if err := verify(key, hash, sig); err != nil {
			return nil, bad, fmt.Errorf("aggregate confirmations of blob %s: %w", blob, err)
		}
	}
	cert = &Certificate{Epoch: c.epoch, Blob: blob, Persistence: p, Signature: sig.Bytes()}
	for _, s := range good {
		cert.Signers = append(cert.Signers, uint16(s.index))
	}
	return cert, bad, nil
}

// collect drops confirmations that are useless whatever the signature, and decodes the rest: one per member, by
// ascending index.
func (c *Committee) collect(blob shards.BlobID, p Persistence, confs []Confirmation, hash bls.G2Affine) (all []signed, bad []peer.ID) {
	byIndex := make(map[int]signed, len(confs))
	for _, conf := range confs {
		index, err := c.checkConfirmation(conf)
		if err != nil || conf.Blob != blob || conf.Persistence != p {
			bad = append(bad, conf.Node)
			continue
		}
		first, again := byIndex[index]
		if again && (first.raw == conf.Signature || verify(c.keys[index], hash, first.sig) == nil) {
			continue // only one signature of a message verifies
		}
		sig, err := conf.Signature.point()
		if err != nil {
			bad = append(bad, conf.Node)
			continue
		}
		byIndex[index] = signed{index, conf.Signature, sig}
	}
	for _, s := range byIndex {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b signed) int { return cmp.Compare(a.index, b.index) })
	return all, bad
}

// bisect splits all into those whose signatures together verify and the others, keeping the order.
func (c *Committee) bisect(all []signed, hash bls.G2Affine) (good, wrong []signed) {
	if len(all) == 0 {
		return nil, nil
	}
	key, sig := c.sum(all)
	if verify(key, hash, sig) == nil {
		return all, nil
	}
	if len(all) == 1 {
		return nil, all
	}
	half := len(all) / 2
	goodL, wrongL := c.bisect(all[:half], hash)
	goodR, wrongR := c.bisect(all[half:], hash)
	return slices.Concat(goodL, goodR), slices.Concat(wrongL, wrongR)
}

// sum adds up keys and signatures.
func (c *Committee) sum(all []signed) (key bls.G1Affine, sig bls.G2Affine) {
	var k bls.G1Jac
	var s bls.G2Jac
	for i := range all {
		k.AddMixed(&c.keys[all[i].index])
		s.AddMixed(&all[i].sig)
	}
	key.FromJacobian(&k)
	sig.FromJacobian(&s)
	return key, sig
}

func (c *Committee) weightOf(all []signed) int {
	w := 0
	for _, s := range all {
		w += c.Weight(s.index)
	}
	return w
}
