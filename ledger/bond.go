package ledger

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// MaxBonds bounds the bonds of a network. All of them are one value of the state, at most 96 KiB, because they are
	// read together: one read with one proof lists them.
	MaxBonds = 1024
	// MinBond is the least that a bond holds, so that 1024 bonds of nobody's use cost 100,000 WAL.
	MinBond = 100 * WAL
	// BondDelay: epochs from the one in which a bond is given up to the one at whose start its WAL is back.
	BondDelay = 2

	bondSize = 32 + 32 + 8 + 8 + 4 + 4
)

// Bond is WAL that an account binds to a monitor outside the committee, to give the monitor's attestations weight.
type Bond struct {
	Monitor PeerKey `json:"monitor"`
	Account Address `json:"account"`     // gets the WAL back
	Amount  Amount  `json:"amountFrost"` // at least MinBond
	Added   Amount  `json:"addedFrost"`  // part of Amount that was added in epoch Since, and counts from the next one on
	Since   uint32  `json:"sinceEpoch"`  // of the newest addition
	// Until is the first epoch in which the bond counts no more, after an UnbondMonitor; 0 before one. The account gets
	// Amount at the start of epoch Until+1.
	Until uint32 `json:"untilEpoch,omitempty"`
}

// Weight returns the part of the bond that counts in an epoch. The beginning of the epoch settles it: additions count
// from the next epoch on, and a bond that is given up counts to the end of the epoch.
func (b *Bond) Weight(epoch uint32) Amount {
	switch {
	case b.Until != 0 && epoch >= b.Until:
		return 0
	case epoch <= b.Since:
		return b.Amount - b.Added
	}
	return b.Amount
}

// Return returns the epoch at whose start the account gets the WAL back; 0 if nobody has given the bond up.
func (b *Bond) Return() uint32 {
	if b.Until == 0 {
		return 0
	}
	return b.Until + BondDelay - 1
}

func (b *Bond) form(f *form) {
	f.fixed("monitor", b.Monitor[:])
	f.fixed("account", b.Account[:])
	f.amount("amount", &b.Amount)
	f.amount("added", &b.Added)
	f.u32("since", &b.Since)
	f.u32("until", &b.Until)
	f.check(b.Amount > 0 && b.Added <= b.Amount, "bond of %s: %d FROST were added to %d FROST", b.Monitor, b.Added, b.Amount)
}

// Bonds lists all bonds of a network, those in return included, ascending by monitor. It is never changed in place.
type Bonds []Bond

func (l *Bonds) form(f *form) {
	list(f, "bonds", (*[]Bond)(l), MaxBonds, bondSize, func(f *form, b *Bond) { b.form(f) })
	ascending(f, "bonds", *l, func(a, b *Bond) bool { return a.Monitor.compare(b.Monitor) < 0 })
	f.check(len(*l) > 0, "no bonds")
}

// Marshal returns the binary form, which an empty list does not have: it is absent from the state.
func (l Bonds) Marshal() []byte { return marshal(&l, 2+bondSize*len(l)) }

// UnmarshalBonds reads the binary form.
func UnmarshalBonds(b []byte) (Bonds, error) { return read[Bonds]("bonds", b) }

// Find returns the bond of a monitor, if it has one, and its index in the list, or the index to put it at.
func (l Bonds) Find(monitor PeerKey) (index int, found bool) {
	return slices.BinarySearchFunc(l, monitor, func(b Bond, m PeerKey) int { return b.Monitor.compare(m) })
}

// ReadBonds reads all bonds of monitors; nil if there are none.
func ReadBonds(r Reader) (Bonds, error) {
	return orZero(readKey[Bonds](r, KeyBonds(), "the monitors'", "bonds"))
}

// PeerKey is the Ed25519 key of a peer ID. Its text form is the peer ID.
type PeerKey [32]byte

// Peer returns the peer ID.
func (k PeerKey) Peer() peer.ID { return PublicKey(k).Peer() }

// String returns the text form.
func (k PeerKey) String() string { return k.Peer().String() }

// MarshalText implements encoding.TextMarshaler.
func (k PeerKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Errors wrap ErrFormat.
func (k *PeerKey) UnmarshalText(b []byte) error {
	id, err := peer.Decode(string(b))
	if err != nil {
		return fmt.Errorf("%w: peer ID %.80q: %w", ErrFormat, b, err)
	}
	*k, err = PeerKeyOf(id)
	return err
}

func (k PeerKey) compare(other PeerKey) int { return bytes.Compare(k[:], other[:]) }

// PeerKeyOf returns the key in a peer ID. Errors wrap ErrFormat: only a peer ID of an Ed25519 key has its key in it.
func PeerKeyOf(id peer.ID) (k PeerKey, err error) {
	key, ok := bytes.CutPrefix([]byte(id), []byte(peerIDHead))
	if !ok || len(key) != len(k) {
		return k, fmt.Errorf("%w: peer ID %s is not of an Ed25519 key", ErrFormat, id)
	}
	return PeerKey(key), nil
}
