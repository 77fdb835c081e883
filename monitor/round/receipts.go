package round

import (
	"cmp"
	"encoding/binary"
	"slices"

	"walrus/ledger/merkle"
)

// Receipt in a monitor's round: the number-th of a node, in its binary form.
type Receipt struct {
	Node   Key
	Number uint16
	Bytes  []byte
}

// EncodeReceipts returns the binary form of one node's receipts: their number u16 ‖ for each, by number: number u16 ‖
// length u16 ‖ receipt. It does not depend on the order of list.
func EncodeReceipts(list []Receipt) []byte {
	list = slices.SortedFunc(slices.Values(list), func(a, b Receipt) int { return cmp.Compare(a.Number, b.Number) })
	b := binary.LittleEndian.AppendUint16(nil, uint16(len(list)))
	for _, x := range list {
		b = binary.LittleEndian.AppendUint16(b, x.Number)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(x.Bytes)))
		b = append(b, x.Bytes...)
	}
	return b
}

// ReceiptTree returns the tree whose root an attestation states: by node, EncodeReceipts of its receipts. With it, its
// monitor proves (merkle.Tree.Prove) that receipts are all those of a node in the round, or that it had none. The root
// does not depend on the order.
func ReceiptTree(receipts []Receipt) *merkle.Tree {
	byNode := map[Key][]Receipt{}
	for _, r := range receipts {
		byNode[r.Node] = append(byNode[r.Node], r)
	}
	changes := make([]merkle.Change, 0, len(byNode))
	for node, list := range byNode {
		changes = append(changes, merkle.Change{Key: node[:], Value: EncodeReceipts(list)})
	}
	return merkle.Build(changes)
}

// VerifyReceipts checks that receipts, in the form of EncodeReceipts, are those of a node in a round whose attestation
// states root. proof is in its binary form. Errors wrap those of ledger/merkle.
func VerifyReceipts(root [32]byte, node Key, receipts, proof []byte) error {
	p, err := merkle.UnmarshalProof(proof)
	if err != nil {
		return err
	}
	return merkle.Verify(root, node[:], receipts, p)
}
