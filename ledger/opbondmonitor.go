package ledger

import (
	"crypto/ed25519"

	voi "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"

	"walrus/certs"
)

const bondDomain = "walrus monitor bond 1\x00"

// BondMonitor moves Amount from its sender's account into the bond of a monitor, and makes the bond if there is none.
// Agreement proves that the monitor accepts the sender as the owner of its bond: see SignBond.
type BondMonitor struct {
	Monitor   PeerKey                     `json:"monitor"`
	Amount    Amount                      `json:"amountFrost"`
	Agreement [ed25519.SignatureSize]byte `json:"-"`
}

func (BondMonitor) kind() uint8 { return 18 }

func (BondMonitor) work(*Params) uint64 { return workBonds + workAgreement + 2*workKey }

func (o BondMonitor) cost(*Params) (Amount, error) { return o.Amount, nil }
func (o BondMonitor) outlay(Address) Amount        { return o.Amount }

func (o *BondMonitor) form(f *form) {
	f.fixed("monitor", o.Monitor[:])
	f.amount("amount", &o.Amount)
	f.fixed("agreement", o.Agreement[:])
}

// SignBond makes a BondMonitor for the monitor with this identity key: account becomes the owner of its bond, or adds
// to the bond that it owns. The monitor signs a domain ‖ network ID 32 ‖ account 32, so an agreement is good for ever,
// for one account.
func SignBond(monitor ed25519.PrivateKey, network certs.NetworkID, account Address, amount Amount) BondMonitor {
	o := BondMonitor{Amount: amount}
	copy(o.Monitor[:], monitor[ed25519.PrivateKeySize-ed25519.PublicKeySize:])
	copy(o.Agreement[:], ed25519.Sign(monitor, bondSignBytes(network, account)))
	return o
}

// Agreed reports whether the monitor has signed that account owns its bond; takes about 25 µs.
func (o *BondMonitor) Agreed(network certs.NetworkID, account Address) bool {
	return voi.VerifyWithOptions(o.Monitor[:], bondSignBytes(network, account), o.Agreement[:], verification)
}

func bondSignBytes(network certs.NetworkID, account Address) []byte {
	b := append(make([]byte, 0, len(bondDomain)+64), bondDomain...)
	b = append(b, network[:]...)
	return append(b, account[:]...)
}
