package ledger

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/crypto/blake2b"

	"walrus/certs"
	"walrus/shards"
)

// Genesis holds everything that the nodes of a network agree on before it starts.
type Genesis struct {
	Network string    // see CheckNetwork
	Shards  int       // n, fixed for ever
	Time    time.Time // start of the first epoch: whole seconds, UTC

	EpochDuration  time.Duration // MinEpochDuration to MaxEpochDuration
	MaxEpochsAhead uint32        // epochs for which storage is sold in advance: 1 to MaxEpochsAhead
	StoragePrice   Amount        // per unit and epoch
	WritePrice     Amount        // per unit, once
	FeeTx          Amount        // per transaction
	FeeByte        Amount        // per byte of a transaction
	FeePerWork     Amount        // per unit of a transaction's work: see Params.Work
	Capacity       uint64        // bytes of encoded size for sale in one epoch: 1 to MaxCapacity
	BurnBasis      uint32        // basis points of each epoch's rewards that are burned

	Accounts []GenesisAccount // in any order
	Treasury Address          // gets the rest of TotalSupply; zero if the accounts leave nothing
	Members  []GenesisMember
}

// GenesisAccount is an account with an initial balance.
type GenesisAccount struct {
	Address Address
	Amount  Amount
}

// GenesisMember is a storage node of the first committee. Its Name has 1 to MaxMemberName bytes of printable text;
// its Proof is for the network's name.
type GenesisMember = Member

// Default values of a genesis.
const (
	DefaultEpochDuration  = 14 * 24 * time.Hour
	DefaultMaxEpochsAhead = 53
	DefaultStoragePrice   = Amount(100_000)
	DefaultWritePrice     = Amount(20_000)
	DefaultFeeTx          = Amount(1000)
	DefaultFeeByte        = Amount(10)
	// DefaultFeePerWork makes a block full of work as dear as one full of bytes.
	DefaultFeePerWork = Amount(10)
	DefaultCapacity   = 1 << 50
	DefaultBurnBasis  = 300
)

// Bounds on the values of a genesis.
const (
	MinEpochDuration = time.Second
	MaxEpochDuration = 10 * 365 * 24 * time.Hour
	MaxCapacity      = 1 << 62
	// BasisPoints are 100 %: the denominator of BurnBasis.
	BasisPoints = 10_000
	// maxAccounts bounds the accounts of a genesis; the file has room for that many.
	maxAccounts = 16_384
)

// earliest and latest bound a genesis' Time, so that nanoseconds since 1970 fit 63 bits with centuries to spare.
// defaultTime is the start of a network without one.
var (
	earliest    = time.Unix(0, 0)
	latest      = time.Date(2150, time.January, 1, 0, 0, 0, 0, time.UTC)
	defaultTime = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
)

// MaxVoters bounds the members that vote on blocks. What a block costs a voter grows with their number.
const MaxVoters = 100

// Voters returns the indexes of the members that vote on blocks, ascending: those with a consensus key; if these are
// more than MaxVoters, the ones with the most shards, and of equals those with the lower peer IDs. A voter has as many
// votes as shards.
func (g *Genesis) Voters() (voters []int) {
	for i := range g.Members {
		if g.Members[i].Validates() {
			voters = append(voters, i)
		}
	}
	if len(voters) > MaxVoters {
		slices.SortFunc(voters, func(a, b int) int {
			x, y := &g.Members[a], &g.Members[b]
			return cmp.Or(len(y.Shards)-len(x.Shards), cmp.Compare(x.Node, y.Node))
		})
		voters = voters[:MaxVoters]
		slices.Sort(voters)
	}
	return voters
}

// CheckNetwork accepts network names of 1 to 32 of a–z, 0–9 and "-". The name becomes part of protocol names.
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

// NewGenesis makes and validates a genesis. It deals n shards out to members in turn, so that neighbouring rows of a
// blob lie on different nodes and are read from several at once. The members' own Shards are ignored. Everything else
// has defaults: a start in 2026, prices, fees and times, rewards to the address of each node's identity key, and all
// WAL to the first of these addresses. The caller may change them afterwards.
func NewGenesis(network string, n int, members []GenesisMember) (*Genesis, error) {
	if _, err := shards.NewParams(n); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrGenesis, err)
	}
	if len(members) == 0 || len(members) > n {
		return nil, fmt.Errorf("%w: %d members for %d shards: each needs at least one", ErrGenesis, len(members), n)
	}
	g := NewDraft(network, n)
	for _, m := range members {
		key, ok := identityKey(m.Node)
		if ok && m.Consensus == (PublicKey{}) {
			m.Consensus = key
		}
		if ok && m.Reward == (Address{}) {
			m.Reward = key.Address()
		}
		g.Members = append(g.Members, m)
	}
	g.Treasury = g.Members[0].Reward
	g.deal()
	if err := g.Validate(); err != nil {
		return nil, err
	}
	return g, nil
}

// deal deals the shards out to the members in turn.
func (g *Genesis) deal() {
	for i := range g.Members {
		g.Members[i].Shards = dealt(g.Shards, i, len(g.Members))
	}
}

// dealt lists the shards of member i of count, when n shards are dealt out in turn.
func dealt(n, i, count int) (list []int) {
	for s := i; s < n; s += count {
		list = append(list, s)
	}
	return list
}

// ed25519PeerID is the prefix of an Ed25519 key's peer ID; the key follows. It is an identity multihash of 36 bytes
// of protobuf, key type 1 and data of 32 bytes.
const ed25519PeerID = "\x00\x24\x08\x01\x12\x20"

// identityKey extracts the Ed25519 key from a peer ID.
func identityKey(node peer.ID) (k PublicKey, ok bool) {
	raw, ok := strings.CutPrefix(string(node), ed25519PeerID)
	if !ok || len(raw) != len(k) {
		return k, false
	}
	copy(k[:], raw)
	return k, true
}

// Params returns the parameters that the genesis sets.
func (g *Genesis) Params() Params {
	return Params{
		Shards: uint32(g.Shards), StoragePrice: g.StoragePrice, WritePrice: g.WritePrice, FeeTx: g.FeeTx,
		FeeByte: g.FeeByte, Capacity: g.Capacity, MaxEpochsAhead: g.MaxEpochsAhead, EpochDuration: g.EpochDuration,
		GenesisTime: g.Time.UnixNano(), BurnBasis: g.BurnBasis,
		FeePerWork: g.FeePerWork,
	}
}

// Balances returns the initial balances, the treasury's included, by address. Their sum is TotalSupply. Errors wrap
// ErrGenesis.
func (g *Genesis) Balances() ([]GenesisAccount, error) {
	all, err := g.balances()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	return all, nil
}

// balances is Balances, with errors that do not wrap ErrGenesis.
func (g *Genesis) balances() ([]GenesisAccount, error) {
	all := slices.Clone(g.Accounts)
	var sum Amount
	for i, a := range all {
		s, err := sum.Add(a.Amount)
		if err != nil || s > TotalSupply {
			return nil, fmt.Errorf("accounts 0 to %d hold more than there is, %s", i, TotalSupply)
		}
		sum = s
	}
	rest := TotalSupply - sum
	switch {
	case g.Treasury != Address{}:
		all = append(all, GenesisAccount{g.Treasury, rest})
	case rest > 0:
		return nil, fmt.Errorf("accounts hold %s: name a treasury for the remaining %s", sum, rest)
	}
	slices.SortFunc(all, compareAccounts)
	for i := range all {
		if i > 0 && all[i].Address == all[i-1].Address {
			return nil, fmt.Errorf("accounts: %s is listed twice", all[i].Address)
		}
	}
	if all[0].Address == (Address{}) {
		return nil, errors.New("accounts: the zero address cannot hold WAL, since nobody has its key")
	}
	return slices.DeleteFunc(all, func(a GenesisAccount) bool { return a.Amount == 0 }), nil
}

func compareAccounts(a, b GenesisAccount) int { return bytes.Compare(a.Address[:], b.Address[:]) }

// Committee returns the committee of the first epoch. Errors wrap ErrGenesis and the errors of certs.NewCommittee.
func (g *Genesis) Committee() (*certs.Committee, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	c, err := g.committee(FirstEpoch, g.Members)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	return c, nil
}

// committee makes a committee of members in an epoch. It returns the errors of certs.NewCommittee.
func (g *Genesis) committee(epoch uint32, members []Member) (*certs.Committee, error) {
	list := make([]certs.Member, len(members))
	for i, m := range members {
		list[i] = certs.Member{Node: m.Node, Name: m.Name, Key: m.Key, Proof: m.Proof, Shards: m.Shards}
	}
	return certs.NewCommittee(g.Network, g.NetworkID(), epoch, g.Shards, list)
}

const genesisDomain = "walrus genesis 2\x00"

// NetworkID returns the BLAKE2b-256 of a domain and the genesis' binary form. It does not depend on the file's
// spelling.
func (g *Genesis) NetworkID() certs.NetworkID {
	f := form{b: []byte(genesisDomain)}
	g.form(&f)
	return blake2b.Sum256(f.b)
}

// ChainID names the chain of blocks: the network's name and the first 8 digits of its ID, like "devnet-27dd4287". It
// has at most 41 characters; CometBFT allows 50.
func (g *Genesis) ChainID() string { return g.Network + "-" + g.NetworkID().String()[:8] }

// form is used only for writing, to hash the genesis.
func (g *Genesis) form(f *form) {
	params := g.Params()
	f.text("network", &g.Network, 1, certs.MaxNetworkName)
	params.form(f)
	accounts := slices.Clone(g.Accounts)
	slices.SortStableFunc(accounts, compareAccounts)
	list(f, "accounts", &accounts, maxAccounts, 0, func(f *form, a *GenesisAccount) {
		f.fixed("address", a.Address[:])
		f.amount("amount", &a.Amount)
	})
	f.fixed("treasury", g.Treasury[:])
	list(f, "members", &g.Members, certs.MaxMembers, 0, func(f *form, m *GenesisMember) { m.form(f) })
}
