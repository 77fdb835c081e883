package ledger

import (
	"math"
	"slices"

	"walrus/certs"
)

// RulesVersion is the newest version of the rules that this program knows. Every block's header names the version it
// runs under.
const RulesVersion = 1

// RulesNotice is the least number of blocks between the decision to change the rules and the first block under the new
// ones, so that every node has the decision before it must follow it.
const RulesNotice = 100

// Rules says which version of the rules the network follows, and which it changes to. A state without this value
// follows version 1.
type Rules struct {
	Version uint32      `json:"version"`
	Next    uint32      `json:"nextVersion,omitempty"` // decided: Version+1; 0: nothing is
	Height  uint64      `json:"nextHeight,omitempty"`  // first block under Next
	Votes   []RulesVote `json:"-"`                     // ascending by member; none once Next is decided
}

// RulesVote is a member's newest vote: for a version from a height on.
type RulesVote struct {
	Member  uint16 // index in the committee
	Version uint32
	Height  uint64
}

// At returns the version that the block at a height runs under, by the state before it.
func (r *Rules) At(height uint64) uint32 {
	if r.Next != 0 && height >= r.Height {
		return r.Next
	}
	return r.Version
}

// Vote returns the votes with a member's replaced or added.
func (r *Rules) Vote(v RulesVote) []RulesVote {
	at, found := slices.BinarySearchFunc(r.Votes, v, func(a, b RulesVote) int { return int(a.Member) - int(b.Member) })
	votes := slices.Clone(r.Votes)
	if found {
		votes[at] = v
		return votes
	}
	return slices.Insert(votes, at, v)
}

func (r *Rules) form(f *form) {
	f.u32("version", &r.Version)
	f.u32("next version", &r.Next)
	f.u64("height", &r.Height)
	list(f, "votes", &r.Votes, certs.MaxMembers, 2+4+8, func(f *form, v *RulesVote) {
		f.u16("member", &v.Member)
		f.u32("version", &v.Version)
		f.u64("height", &v.Height)
	})
	ascending(f, "votes", r.Votes, func(a, b *RulesVote) bool { return a.Member < b.Member })
	f.check(r.Version > 0 && r.Version < math.MaxUint32, "version %d of the rules", r.Version)
	f.check((r.Next == 0) == (r.Height == 0) && (r.Next == 0 || r.Next == r.Version+1),
		"version %d follows version %d at height %d", r.Next, r.Version, r.Height)
}

// Marshal returns the binary form.
func (r Rules) Marshal() []byte { return marshal(&r, 18+14*len(r.Votes)) }

// UnmarshalRules reads the binary form. Errors wrap ErrFormat.
func UnmarshalRules(b []byte) (Rules, error) { return read[Rules]("rules", b) }

// KeyRules is the key of Rules.
func KeyRules() []byte { return []byte{'V'} }

// ReadRules reads the version of the rules.
func ReadRules(r Reader) (Rules, error) {
	rules, err := orZero(readKey[Rules](r, KeyRules(), "the", "rules"))
	if rules.Version == 0 {
		rules.Version = 1
	}
	return rules, err
}
