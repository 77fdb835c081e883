package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"go.yaml.in/yaml/v3"

	"walrus/certs"
)

// genesisFile is the YAML form of Genesis.
type genesisFile struct {
	Network        string            `yaml:"network"`
	Shards         int               `yaml:"shards"`
	Time           field[timeText]   `yaml:"time"`
	EpochDuration  field[periodText] `yaml:"epochDuration"`
	MaxEpochsAhead *uint32           `yaml:"maxEpochsAhead"`
	StoragePrice   field[priceText]  `yaml:"storagePrice"`
	WritePrice     field[priceText]  `yaml:"writePrice"`
	FeeTx          field[priceText]  `yaml:"feeTx"`
	FeeByte        field[priceText]  `yaml:"feeByte"`
	Capacity       field[sizeText]   `yaml:"capacity"`
	BurnBasis      *uint32           `yaml:"burnBasis"`
	Treasury       field[Address]    `yaml:"treasury,omitempty"`
	Accounts       []accountFile     `yaml:"accounts,omitempty"`
	Members        []memberFile      `yaml:"members"`
}

type accountFile struct {
	Address field[Address]   `yaml:"address"`
	Amount  field[priceText] `yaml:"amount"`
}

type memberFile struct {
	Node      field[peer.ID]         `yaml:"node"`
	Name      string                 `yaml:"name"`
	Key       field[certs.PublicKey] `yaml:"key"`
	Proof     field[certs.Signature] `yaml:"proof"`
	Consensus field[PublicKey]       `yaml:"consensus,omitempty"`
	Reward    field[Address]         `yaml:"reward,omitempty"`
	Shards    field[shardList]       `yaml:"shards"`
}

// ParseGenesis reads a genesis file, YAML of at most MaxGenesisSize bytes without unknown fields, and validates it.
// Errors wrap ErrGenesis, are one line and name the line or the member.
func ParseGenesis(b []byte) (*Genesis, error) {
	if len(b) > MaxGenesisSize {
		return nil, fmt.Errorf("%w: %d bytes: at most %d", ErrGenesis, len(b), MaxGenesisSize)
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	var f genesisFile
	if err := dec.Decode(&f); err != nil {
		return nil, fmt.Errorf("%w: %s", ErrGenesis, explain(err))
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: more than one document in the file: keep the first", ErrGenesis)
	}
	g, err := f.genesis()
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrGenesis, err)
	}
	if err := g.Validate(); err != nil {
		return nil, err
	}
	return g, nil
}

// genesis fills in what the file leaves out, and refuses what it must not leave out.
func (f *genesisFile) genesis() (*Genesis, error) {
	if err := CheckNetwork(f.Network); err != nil { // before what is missing: is this a genesis at all?
		return nil, err
	}
	if err := missing(need{"time", f.Time.set}, need{"epochDuration", f.EpochDuration.set}); err != nil {
		return nil, fmt.Errorf("%w: genesis files of the first version lack it: make a new network", err)
	}
	g := &Genesis{
		Network: f.Network, Shards: f.Shards,
		Time: f.Time.value.Time, EpochDuration: f.EpochDuration.value.Duration, MaxEpochsAhead: DefaultMaxEpochsAhead,
		StoragePrice: Amount(f.StoragePrice.or(priceText(DefaultStoragePrice))),
		WritePrice:   Amount(f.WritePrice.or(priceText(DefaultWritePrice))),
		FeeTx:        Amount(f.FeeTx.or(priceText(DefaultFeeTx))),
		FeeByte:      Amount(f.FeeByte.or(priceText(DefaultFeeByte))),
		Capacity:     uint64(f.Capacity.or(DefaultCapacity)),
		BurnBasis:    DefaultBurnBasis, Treasury: f.Treasury.value,
	}
	if f.MaxEpochsAhead != nil {
		g.MaxEpochsAhead = *f.MaxEpochsAhead
	}
	if f.BurnBasis != nil {
		g.BurnBasis = *f.BurnBasis
	}
	for i, a := range f.Accounts {
		if err := missing(need{"address", a.Address.set}, need{"amount", a.Amount.set}); err != nil {
			return nil, fmt.Errorf("account %d: %w", i, err)
		}
		g.Accounts = append(g.Accounts, GenesisAccount{a.Address.value, Amount(a.Amount.value)})
	}
	for i, m := range f.Members {
		err := missing(need{"node", m.Node.set}, need{"key", m.Key.set}, need{"proof", m.Proof.set}, need{"shards", m.Shards.set})
		if err != nil {
			return nil, fmt.Errorf("member %d: %w", i, err)
		}
		identity, _ := identityKey(m.Node.value)
		reward := Address{}
		if identity != (PublicKey{}) {
			reward = identity.Address()
		}
		g.Members = append(g.Members, GenesisMember{
			Node: m.Node.value, Name: m.Name, Key: m.Key.value, Proof: m.Proof.value,
			Consensus: m.Consensus.value, Reward: m.Reward.or(reward), Shards: m.Shards.value,
		})
	}
	return g, nil
}

// need is a field that must be there, and whether it is.
type need struct {
	name string
	set  bool
}

// missing names the first field that is not there.
func missing(fields ...need) error {
	for _, f := range fields {
		if !f.set {
			return fmt.Errorf("field %q is missing", f.name)
		}
	}
	return nil
}

// Marshal writes the YAML form, which ParseGenesis reads back to an equal Genesis.
func (g *Genesis) Marshal() ([]byte, error) {
	f := genesisFile{
		Network: g.Network, Shards: g.Shards, Time: is(timeText{g.Time}), EpochDuration: is(periodText{g.EpochDuration}),
		MaxEpochsAhead: &g.MaxEpochsAhead, StoragePrice: is(priceText(g.StoragePrice)), WritePrice: is(priceText(g.WritePrice)),
		FeeTx: is(priceText(g.FeeTx)), FeeByte: is(priceText(g.FeeByte)), Capacity: is(sizeText(g.Capacity)),
		BurnBasis: &g.BurnBasis, Treasury: field[Address]{g.Treasury, g.Treasury != Address{}},
	}
	for _, a := range g.Accounts {
		f.Accounts = append(f.Accounts, accountFile{is(a.Address), is(priceText(a.Amount))})
	}
	for _, m := range g.Members {
		f.Members = append(f.Members, memberFile{
			Node: is(m.Node), Name: m.Name, Key: is(m.Key), Proof: is(m.Proof),
			Consensus: field[PublicKey]{m.Consensus, m.Validates()}, Reward: is(m.Reward), Shards: is(shardList(m.Shards)),
		})
	}
	var b bytes.Buffer
	b.WriteString("# The genesis of a Walrus network: every node and client of the network needs this same file.\n")
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(f); err != nil {
		return nil, fmt.Errorf("write genesis: %w", err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("write genesis: %w", err)
	}
	return b.Bytes(), nil
}

// plainTypes says in the file's words what the decoder says in Go types.
var plainTypes = strings.NewReplacer(
	" in type ledger.genesisFile", "", " in type ledger.memberFile", "", " in type ledger.accountFile", "",
	"[]ledger.memberFile", "a list of members", "[]ledger.accountFile", "a list of accounts",
	"ledger.genesisFile", "a genesis", "ledger.memberFile", "a member", "ledger.accountFile", "an account",
)

// explain makes one line of what the YAML decoder says.
func explain(err error) string {
	if errors.Is(err, io.EOF) {
		return "the file is empty"
	}
	text := err.Error()
	if bad := (*yaml.TypeError)(nil); errors.As(err, &bad) && len(bad.Errors) > 0 {
		text = bad.Errors[0]
	}
	return strings.Join(strings.Fields(plainTypes.Replace(strings.TrimPrefix(text, "yaml: "))), " ")
}
