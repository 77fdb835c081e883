package round

import (
	"encoding/binary"

	"walrus/ledger/merkle"
)

// ReceiptKey returns the key of a receipt in ReceiptTree: the node's key ‖ number u16.
func ReceiptKey(node Key, number uint16) []byte {
	return binary.LittleEndian.AppendUint16(append(make([]byte, 0, 34), node[:]...), number)
}

// Receipt in a monitor's round: the number-th of a node, in its binary form.
type Receipt struct {
	Node   Key
	Number uint16
	Bytes  []byte
}

// ReceiptTree returns the tree whose root an attestation states. With it, its monitor proves (merkle.Tree.Prove) that a
// receipt is one of the round, or that it had none. The root does not depend on the order.
func ReceiptTree(receipts []Receipt) *merkle.Tree {
	changes := make([]merkle.Change, len(receipts))
	for i, r := range receipts {
		changes[i] = merkle.Change{Key: ReceiptKey(r.Node, r.Number), Value: r.Bytes}
	}
	return (*merkle.Tree)(nil).Apply(changes, 1)
}
