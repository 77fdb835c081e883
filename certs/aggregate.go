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
func (c *Committee) Aggregate(blob shards.BlobID, p Persistence,
	confs []Confirmation) (cert *Certificate, bad []peer.ID, err error) {
	if err := p.Validate(); err != nil {
		return nil, nil, err
	}
	var votes []vote
	for _, conf := range confs {
		if _, err := c.checkConfirmation(conf); err != nil || conf.Blob != blob || conf.Persistence != p {
			bad = append(bad, conf.Node)
			continue
		}
		votes = append(votes, vote{conf.Node, conf.Signature})
	}
	signers, sig, bad, err := c.aggregate(c.message(blob, p), votes, bad, c.Quorum())
	if err != nil {
		return nil, bad, fmt.Errorf("aggregate confirmations of blob %s: %w", blob, err)
	}
	return &Certificate{Epoch: c.epoch, Blob: blob, Persistence: p, Signers: signers, Signature: sig}, bad, nil
}

// vote is a member's signature of a message, not verified.
type vote struct {
	node peer.ID
	raw  Signature
}

// aggregate adds up the votes of members for message that verify. They must have least shards. It adds the nodes with
// bad signatures to bad.
func (c *Committee) aggregate(message []byte, votes []vote, bad []peer.ID,
	least int) (signers []uint16, sum Signature, _ []peer.ID, err error) {
	hash, err := hashToG2(message, dstSignature)
	if err != nil {
		return nil, sum, bad, err
	}
	all, wrongPoints := c.collect(votes, hash)
	bad = append(bad, wrongPoints...)
	if w := c.weightOf(all); w < least {
		return nil, sum, bad, c.errWeight(w, least)
	}
	good, wrong := c.bisect(all, hash)
	for _, s := range wrong {
		bad = append(bad, c.members[s.index].Node)
	}
	slices.Sort(bad)
	bad = slices.Compact(bad)
	if w := c.weightOf(good); w < least {
		return nil, sum, bad, c.errWeight(w, least)
	}
	key, sig := c.sum(good)
	if len(wrong) > 0 { // the sum of sums that verify does too, unless it is infinity
		if err := verify(key, hash, sig); err != nil {
			return nil, sum, bad, err
		}
	}
	for _, s := range good {
		signers = append(signers, uint16(s.index))
	}
	return signers, sig.Bytes(), bad, nil
}

// collect decodes the votes, one per member, by ascending index. It lists the nodes whose signatures are no points.
func (c *Committee) collect(votes []vote, hash bls.G2Affine) (all []signed, bad []peer.ID) {
	byIndex := make(map[int]signed, len(votes))
	for _, v := range votes {
		index := c.index[v.node]
		first, again := byIndex[index]
		if again && (first.raw == v.raw || verify(c.keys[index], hash, first.sig) == nil) {
			continue // only one signature of a message verifies
		}
		sig, err := v.raw.point()
		if err != nil {
			bad = append(bad, v.node)
			continue
		}
		byIndex[index] = signed{index, v.raw, sig}
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
