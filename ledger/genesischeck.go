package ledger

import (
	"fmt"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	voi "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"

	"walrus/shards"
)

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
	if err := g.checkTimes(); err != nil {
		return fmt.Errorf("%w: %v", ErrGenesis, err)
	}
	if err := g.checkPrices(); err != nil {
		return fmt.Errorf("%w: %v", ErrGenesis, err)
	}
	if len(g.Accounts) > maxAccounts {
		return fmt.Errorf("%w: %d accounts: at most %d", ErrGenesis, len(g.Accounts), maxAccounts)
	}
	if _, err := g.Balances(); err != nil {
		return err
	}
	return g.checkMembers()
}

func (g *Genesis) checkTimes() error {
	if g.Time.Before(earliest) || g.Time.After(latest) || g.Time.Nanosecond() != 0 || g.Time.Location() != time.UTC {
		return fmt.Errorf("time is %s: must be whole seconds in UTC, from %d to %d",
			g.Time.Format(time.RFC3339Nano), earliest.UTC().Year(), latest.Year())
	}
	if g.EpochDuration < MinEpochDuration || g.EpochDuration > MaxEpochDuration {
		return fmt.Errorf("epochDuration is %s: must be %s to %s", g.EpochDuration, MinEpochDuration, MaxEpochDuration)
	}
	if g.MaxEpochsAhead < 1 || g.MaxEpochsAhead > MaxEpochsAhead {
		return fmt.Errorf("maxEpochsAhead is %d: must be 1 to %d", g.MaxEpochsAhead, MaxEpochsAhead)
	}
	return nil
}

func (g *Genesis) checkPrices() error {
	for _, price := range []struct {
		name   string
		amount Amount
	}{{"storagePrice", g.StoragePrice}, {"writePrice", g.WritePrice}, {"feeTx", g.FeeTx}, {"feeByte", g.FeeByte}} {
		if price.amount > TotalSupply {
			return fmt.Errorf("%s is %s: there is no more than %s", price.name, price.amount, TotalSupply)
		}
	}
	params := g.Params()
	if fee := params.MinFee(MaxTxSize); fee > TotalSupply {
		return fmt.Errorf("feeTx and feeByte make the largest transaction cost more than there is, %s", TotalSupply)
	}
	if g.Capacity < 1 || g.Capacity > MaxCapacity {
		return fmt.Errorf("capacity is %d bytes: must be 1 to %d", g.Capacity, uint64(MaxCapacity))
	}
	if g.BurnBasis > BasisPoints {
		return fmt.Errorf("burnBasis is %d: at most %d, which is all", g.BurnBasis, BasisPoints)
	}
	return nil
}

// checkMembers leaves to certs.NewCommittee what it checks.
func (g *Genesis) checkMembers() error {
	consensus := make(map[PublicKey]int, len(g.Members))
	for i := range g.Members {
		m := &g.Members[i]
		if err := checkName(m.Name); err != nil {
			return fmt.Errorf("%w: member %d: %v", ErrGenesis, i, err)
		}
		if !slices.IsSorted(m.Shards) { // or one network had several IDs
			return fmt.Errorf("%w: member %d: shards are not in ascending order", ErrGenesis, i)
		}
		if m.Reward == (Address{}) {
			return fmt.Errorf("%w: member %d: reward is no address: its peer ID has no Ed25519 key to take one from", ErrGenesis, i)
		}
		if !m.Validates() {
			continue
		}
		if _, err := voi.NewExpandedPublicKey(m.Consensus[:]); err != nil {
			return fmt.Errorf("%w: member %d: consensus %s is no Ed25519 public key", ErrGenesis, i, m.Consensus)
		}
		if other, dup := consensus[m.Consensus]; dup {
			return fmt.Errorf("%w: members %d and %d have the same consensus key", ErrGenesis, other, i)
		}
		consensus[m.Consensus] = i
	}
	if len(consensus) == 0 {
		return fmt.Errorf("%w: no member has a consensus key: nobody could make blocks", ErrGenesis)
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
