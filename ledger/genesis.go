package ledger

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/crypto/blake2b"

	"walrus/certs"
	"walrus/shards"
)

// Genesis is what all nodes of a network agree on before there is anything else to agree on.
type Genesis struct {
	Network  string // name, see CheckNetwork
	Shards   int    // n, for all time
	EndEpoch uint32 // blobs may be stored until this epoch; at least 2
	Members  []GenesisMember
}

// GenesisMember is a storage node of the first committee.
type GenesisMember struct {
	Node   peer.ID
	Name   string // for people: 1 to MaxMemberName bytes of printable text
	Key    certs.PublicKey
	Proof  certs.Signature // of possession of Key, for the network's name and Node
	Shards []int           // ascending
}

// CheckNetwork refuses a network name other than 1 to 32 of a–z, 0–9 and "-". It becomes part of protocol names.
func CheckNetwork(name string) error {
	if len(name) == 0 || len(name) > certs.MaxNetworkName {
		return fmt.Errorf("network name has %d characters: must be 1 to %d", len(name), certs.MaxNetworkName)
	}
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return fmt.Errorf("network name %q has a %q: only a-z, 0-9 and - are allowed", name, r)
		}
	}
	return nil
}

// NewGenesis deals n shards out to members in turn, so that neighbouring rows of a blob rest on different nodes and
// are read from several at once, and validates the result.
// The members' own Shards are ignored.
func NewGenesis(network string, n int, members []GenesisMember) (*Genesis, error) {
	if _, err := shards.NewParams(n); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrGenesis, err)
	}
	if len(members) == 0 || len(members) > n {
		return nil, fmt.Errorf("%w: %d members for %d shards: each needs at least one", ErrGenesis, len(members), n)
	}
	g := &Genesis{Network: network, Shards: n, EndEpoch: DefaultEndEpoch, Members: make([]GenesisMember, len(members))}
	for i, m := range members {
		m.Shards = nil
		for s := i; s < n; s += len(members) {
			m.Shards = append(m.Shards, s)
		}
		g.Members[i] = m
	}
	if err := g.Validate(); err != nil {
		return nil, err
	}
	return g, nil
}

// Validate checks everything, proofs of possession included. Errors wrap ErrGenesis and name the field.
func (g *Genesis) Validate() error {
	_, err := g.Committee()
	return err
}

// check is Validate without the committee.
func (g *Genesis) check() error {
	if err := CheckNetwork(g.Network); err != nil {
		return fmt.Errorf("%w: %v", ErrGenesis, err)
	}
	if _, err := shards.NewParams(g.Shards); err != nil {
		return fmt.Errorf("%w: %v", ErrGenesis, err)
	}
	if g.EndEpoch <= FirstEpoch {
		return fmt.Errorf("%w: endEpoch is %d: must be above %d, the first epoch", ErrGenesis, g.EndEpoch, FirstEpoch)
	}
	for i := range g.Members {
		if err := checkName(g.Members[i].Name); err != nil {
			return fmt.Errorf("%w: member %d: %v", ErrGenesis, i, err)
		}
		if !slices.IsSorted(g.Members[i].Shards) { // or one network had several IDs
			return fmt.Errorf("%w: member %d: shards are not in ascending order", ErrGenesis, i)
		}
	}
	return nil
}

func checkName(name string) error {
	if len(name) == 0 || len(name) > MaxMemberName {
		return fmt.Errorf("name has %d bytes: must be 1 to %d", len(name), MaxMemberName)
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("name %q is not UTF-8", name)
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("name %q has a character that does not print", name)
		}
	}
	return nil
}

// Committee is the committee of the first epoch. Errors wrap ErrGenesis and what certs.NewCommittee says.
func (g *Genesis) Committee() (*certs.Committee, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	members := make([]certs.Member, len(g.Members))
	for i, m := range g.Members {
		members[i] = certs.Member{Node: m.Node, Name: m.Name, Key: m.Key, Proof: m.Proof, Shards: m.Shards}
	}
	c, err := certs.NewCommittee(g.Network, g.NetworkID(), FirstEpoch, g.Shards, members)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	return c, nil
}

const genesisDomain = "walrus genesis 1\x00"

// NetworkID is the BLAKE2b-256 of the genesis' contents, however the file spells them: a domain, then as they are
// declared the fields, integers as u32 LE, text and peer IDs after their length, lists after their count.
func (g *Genesis) NetworkID() certs.NetworkID {
	b := []byte(genesisDomain)
	number := func(v int) { b = binary.LittleEndian.AppendUint32(b, uint32(v)) }
	text := func(s string) { number(len(s)); b = append(b, s...) }
	text(g.Network)
	number(g.Shards)
	b = binary.LittleEndian.AppendUint32(b, g.EndEpoch)
	number(len(g.Members))
	for i := range g.Members {
		m := &g.Members[i]
		text(string(m.Node))
		text(m.Name)
		b = append(b, m.Key[:]...)
		b = append(b, m.Proof[:]...)
		number(len(m.Shards))
		for _, s := range m.Shards {
			number(s)
		}
	}
	return blake2b.Sum256(b)
}
