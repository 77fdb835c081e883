package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// NewDraft returns a genesis with defaults and without members. AddMembers adds them.
func NewDraft(network string, n int) *Genesis {
	return &Genesis{
		Network: network, Shards: n, Time: defaultTime, EpochDuration: DefaultEpochDuration,
		MaxEpochsAhead: DefaultMaxEpochsAhead, StoragePrice: DefaultStoragePrice, WritePrice: DefaultWritePrice,
		FeeTx: DefaultFeeTx, FeeByte: DefaultFeeByte, Capacity: DefaultCapacity, BurnBasis: DefaultBurnBasis,
		FeePerWork: DefaultFeePerWork,
	}
}

// DraftProblems lists the problems of a genesis that may still lack members.
func (g *Genesis) DraftProblems() []error {
	return slices.DeleteFunc(g.Problems(), func(err error) bool { return errors.Is(err, errNoMembers) })
}

// AddMembers adds members to a genesis before its network exists. It deals all shards out again, evenly, unless they
// have been dealt differently by hand. If anything is wrong with the new members, it lists all of that and adds none.
func (g *Genesis) AddMembers(more []GenesisMember) (problems []error) {
	even := g.dealtInTurn()
	changed := *g
	changed.Members = append(slices.Clone(g.Members), more...)
	for i := range more {
		even = even && len(more[i].Shards) == 0
		if at := len(g.Members) + i; slices.ContainsFunc(changed.Members[:at],
			func(m GenesisMember) bool { return m.Node == more[i].Node }) {
			problems = append(problems, fmt.Errorf("%s is already in the genesis", memberLabel(at, more[i].Name)))
		}
	}
	if len(problems) > 0 {
		return problems
	}
	if even {
		changed.deal()
	}
	problems = append(changed.members(), changed.identities()...)
	if n := changed.Shards; n > 0 && len(changed.Members) > n {
		problems = append(problems, fmt.Errorf("%d members for %d shards: each needs at least one", len(changed.Members), n))
	}
	if len(problems) == 0 {
		g.Members = changed.Members
	}
	return problems
}

// dealtInTurn reports whether the shards are dealt as NewGenesis deals them.
func (g *Genesis) dealtInTurn() bool {
	for i := range g.Members {
		if !slices.Equal(g.Members[i].Shards, dealt(g.Shards, i, len(g.Members))) {
			return false
		}
	}
	return true
}

// entryFile is the output of walrus node init --json.
type entryFile struct {
	Home   string     `yaml:"home"`
	Config string     `yaml:"config"`
	PeerID string     `yaml:"peerId"`
	Member memberFile `yaml:"member"`
}

// ParseMembers reads nodes' entries for a genesis, as walrus node init prints them: a YAML list, or one entry in
// JSON.
func ParseMembers(b []byte) (list []GenesisMember, problems []error) {
	if len(b) > MaxGenesisSize {
		return nil, []error{fmt.Errorf("%d bytes: at most %d", len(b), MaxGenesisSize)}
	}
	var entries []memberFile
	var fatal error
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		var one entryFile
		problems, fatal = decodeStrictly(b, &one)
		entries = append(entries, one.Member)
	} else {
		problems, fatal = decodeStrictly(b, &entries)
	}
	if fatal != nil {
		return nil, []error{fatal}
	}
	for i := range entries {
		for _, err := range entries[i].missing() {
			problems = append(problems, fmt.Errorf("%s: %w", memberLabel(i, entries[i].Name), err))
		}
		list = append(list, entries[i].member())
	}
	if len(list) == 0 && len(problems) == 0 {
		problems = append(problems, errors.New("there is no entry in the file"))
	}
	return list, problems
}
