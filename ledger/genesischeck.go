package ledger

import (
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/peer"
	voi "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"

	"walrus/certs"
	"walrus/shards"
)

// errNoMembers is the only problem that a draft may have.
var errNoMembers = errors.New("there are no members: add the entries of the storage nodes")

// Validate checks everything, proofs of possession included. Errors wrap ErrGenesis and name the field.
func (g *Genesis) Validate() error {
	_, err := g.Committee()
	return err
}

// Problems lists everything that Validate would refuse, for people who write a genesis by hand.
func (g *Genesis) Problems() []error {
	problems := append(g.rules(), g.members()...)
	problems = append(problems, g.seats()...)
	if len(problems) == 0 {
		if err := g.Validate(); err != nil { // a fault that only Validate detects
			problems = append(problems, err)
		}
	}
	return problems
}

// check does Validate's checks, except the checks of certs.NewCommittee.
func (g *Genesis) check() error {
	problems := append(g.rules(), g.members()...)
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrGenesis, problems[0])
}

// rules checks everything but the members.
func (g *Genesis) rules() (problems []error) {
	if err := CheckNetwork(g.Network); err != nil {
		problems = append(problems, err)
	}
	if _, err := shards.NewParams(g.Shards); err != nil {
		problems = append(problems, err)
	}
	problems = append(problems, g.times()...)
	problems = append(problems, g.prices()...)
	if len(g.Accounts) > maxAccounts {
		return append(problems, fmt.Errorf("%d accounts: at most %d", len(g.Accounts), maxAccounts))
	}
	if _, err := g.balances(); err != nil {
		problems = append(problems, err)
	}
	return problems
}

func (g *Genesis) times() (problems []error) {
	if g.Time.Before(earliest) || g.Time.After(latest) || g.Time.Nanosecond() != 0 || g.Time.Location() != time.UTC {
		problems = append(problems, fmt.Errorf("time is %s: must be whole seconds in UTC, from %d to %d",
			g.Time.Format(time.RFC3339Nano), earliest.UTC().Year(), latest.Year()))
	}
	if g.EpochDuration < MinEpochDuration || g.EpochDuration > MaxEpochDuration {
		problems = append(problems, fmt.Errorf("epochDuration is %s: must be %s to %s", g.EpochDuration,
			MinEpochDuration, MaxEpochDuration))
	}
	if g.MaxEpochsAhead < 1 || g.MaxEpochsAhead > MaxEpochsAhead {
		problems = append(problems, fmt.Errorf("maxEpochsAhead is %d: must be 1 to %d", g.MaxEpochsAhead, MaxEpochsAhead))
	}
	return problems
}

func (g *Genesis) prices() (problems []error) {
	for _, price := range []struct {
		name   string
		amount Amount
	}{{"storagePrice", g.StoragePrice}, {"writePrice", g.WritePrice}, {"feeTx", g.FeeTx}, {"feeByte", g.FeeByte},
		{"feePerWork", g.FeePerWork}} {
		if price.amount > TotalSupply {
			problems = append(problems, fmt.Errorf("%s is %s: at most %s, all there is", price.name, price.amount, TotalSupply))
		}
	}
	params := g.Params()
	work, err := g.FeePerWork.Times(MaxBlockWork)
	if fee, also := work.Add(params.MinFee(MaxTxSize, nil)); err != nil || also != nil || fee > TotalSupply {
		problems = append(problems, fmt.Errorf(
			"feeTx, feeByte and feePerWork make the largest transaction cost more than there is, %s", TotalSupply))
	}
	if g.Capacity < 1 || g.Capacity > MaxCapacity {
		problems = append(problems, fmt.Errorf("capacity is %d bytes: must be 1 to %d", g.Capacity, uint64(MaxCapacity)))
	}
	if g.BurnBasis > BasisPoints {
		problems = append(problems, fmt.Errorf("burnBasis is %d: at most %d, the whole", g.BurnBasis, BasisPoints))
	}
	return problems
}

// members checks the members, without the checks of certs.NewCommittee.
func (g *Genesis) members() (problems []error) {
	if len(g.Members) == 0 {
		return []error{errNoMembers}
	}
	consensus := make(map[PublicKey]int, len(g.Members))
	for i := range g.Members {
		m := &g.Members[i]
		label := memberLabel(i, m.Name)
		if err := checkName(m.Name); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", label, err))
		}
		if !slices.IsSorted(m.Shards) { // a network must have one ID
			problems = append(problems, fmt.Errorf("%s: shards are not in ascending order", label))
		}
		if m.Reward == (Address{}) && m.Node != "" {
			problems = append(problems, fmt.Errorf(
				"%s: reward is the zero address: set one, only an Ed25519 peer ID has a default", label))
		}
		if !m.Validates() {
			continue
		}
		if _, err := voi.NewExpandedPublicKey(m.Consensus[:]); err != nil {
			problems = append(problems, fmt.Errorf("%s: consensus %s is not an Ed25519 public key", label, m.Consensus))
		}
		if other, dup := consensus[m.Consensus]; dup {
			problems = append(problems, fmt.Errorf("members %d and %d have the same consensus key", other, i))
		}
		consensus[m.Consensus] = i
	}
	if len(consensus) == 0 {
		problems = append(problems, errors.New("no member has a consensus key: nobody could make blocks"))
	}
	return problems
}

// seats lists everything that certs.NewCommittee would refuse, except for absent fields.
func (g *Genesis) seats() []error { return append(g.identities(), g.dealing()...) }

// identities lists duplicate keys, and keys without a valid proof.
func (g *Genesis) identities() (problems []error) {
	nodes, keys := make(map[peer.ID]int, len(g.Members)), make(map[certs.PublicKey]int, len(g.Members))
	for i := range g.Members {
		m := &g.Members[i]
		if other, dup := nodes[m.Node]; dup && m.Node != "" {
			problems = append(problems, fmt.Errorf("members %d and %d have the same peer ID %s", other, i, m.Node))
		}
		if other, dup := keys[m.Key]; dup && m.Key != (certs.PublicKey{}) {
			problems = append(problems, fmt.Errorf("members %d and %d have the same key", other, i))
		}
		nodes[m.Node], keys[m.Key] = i, i
		if err := m.proven(g.Network); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", memberLabel(i, m.Name), err))
		}
	}
	return problems
}

// proven refuses a member whose proof of possession is not for the network. Absent fields are reported elsewhere.
func (m *Member) proven(network string) error {
	if m.Node == "" || m.Key == (certs.PublicKey{}) || m.Proof == (certs.Signature{}) || CheckNetwork(network) != nil {
		return nil
	}
	if err := certs.VerifyPossession(network, m.Node, m.Key, m.Proof); err != nil {
		return fmt.Errorf("proof does not match its key and peer ID in network %s: make the entry anew with walrus node init --network %s: %w", network, network, err)
	}
	return nil
}

// dealing lists shards held by no member or by several, and members without shards.
func (g *Genesis) dealing() (problems []error) {
	if _, err := shards.NewParams(g.Shards); err != nil || len(g.Members) == 0 {
		return nil // reported elsewhere
	}
	if len(g.Members) > g.Shards {
		return []error{fmt.Errorf("%d members for %d shards: each needs at least one", len(g.Members), g.Shards)}
	}
	owner := make(map[int]int, g.Shards)
	for i := range g.Members {
		m := &g.Members[i]
		label := memberLabel(i, m.Name)
		if len(m.Shards) == 0 {
			problems = append(problems, fmt.Errorf("%s: field \"shards\" is missing", label))
		}
		var twice []int
		for _, s := range m.Shards {
			if s < 0 || s >= g.Shards {
				problems = append(problems, fmt.Errorf("%s holds shard %d: must be 0 to %d", label, s, g.Shards-1))
				break
			}
			if _, dup := owner[s]; dup {
				twice = append(twice, s)
				continue
			}
			owner[s] = i
		}
		if len(twice) > 0 {
			problems = append(problems, fmt.Errorf("%s: shards %s are also held by another member", label, formatRanges(twice)))
		}
	}
	var free []int
	for s := range g.Shards {
		if _, held := owner[s]; !held {
			free = append(free, s)
		}
	}
	if len(free) > 0 {
		problems = append(problems, fmt.Errorf("nobody holds shard %s", formatRanges(free)))
	}
	return problems
}

// memberLabel names a member of a file for people.
func memberLabel(index int, name string) string {
	if checkName(name) != nil {
		return fmt.Sprintf("member %d", index)
	}
	return fmt.Sprintf("member %d (%s)", index, name)
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
			return fmt.Errorf("name %q has an unprintable character", name)
		}
	}
	return nil
}
