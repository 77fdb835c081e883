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
	FeePerWork     field[priceText]  `yaml:"feePerWork"`
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
	Shards    field[shardList]       `yaml:"shards,omitempty"`
}

// ParseGenesis reads and validates a genesis file: YAML of at most MaxGenesisSize bytes without unknown fields.
// Errors wrap ErrGenesis, are one line and name the line or the member.
func ParseGenesis(b []byte) (*Genesis, error) {
	if len(b) > MaxGenesisSize {
		return nil, fmt.Errorf("%w: %d bytes: at most %d", ErrGenesis, len(b), MaxGenesisSize)
	}
	g, problems := InspectGenesis(b)
	if len(problems) > 0 {
		return nil, fmt.Errorf("%w: %w", ErrGenesis, oneLine(problems))
	}
	return g, nil
}

// InspectGenesis reads as much of a genesis file as possible and lists everything that is wrong with it, for people
// who write one by hand. g has defaults for unreadable fields; it is nil if the file is no YAML document.
func InspectGenesis(b []byte) (g *Genesis, problems []error) {
	g, problems = ReadGenesis(b)
	if g == nil {
		return nil, problems
	}
	return g, append(problems, g.Problems()...)
}

// ReadGenesis is InspectGenesis without validation: the genesis may still lack members, for example.
func ReadGenesis(b []byte) (g *Genesis, problems []error) {
	var f genesisFile
	problems, fatal := decodeStrictly(b, &f)
	if fatal != nil {
		return nil, []error{fatal}
	}
	return f.genesis(), append(problems, f.missing()...)
}

// decodeStrictly decodes one YAML document without unknown fields into out. It lists unreadable values line by line;
// fatal reports that there is no such document.
func decodeStrictly(b []byte, out any) (problems []error, fatal error) {
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(out); err != nil {
		bad := (*yaml.TypeError)(nil)
		if !errors.As(err, &bad) || len(bad.Errors) == 0 {
			return nil, errors.New(explain(err.Error(), err))
		}
		for _, text := range bad.Errors {
			problems = append(problems, errors.New(explain(text, nil)))
		}
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		problems = append(problems, errors.New("the file has more than one document: keep the first"))
	}
	return problems, nil
}

// shownProblems limits the problems listed in one error.
const shownProblems = 3

// oneLine joins several errors into one.
func oneLine(problems []error) error {
	if len(problems) == 1 {
		return problems[0]
	}
	shown := problems[:min(len(problems), shownProblems)]
	text, args := strings.Repeat("%w; ", len(shown)), make([]any, len(shown))
	for i, p := range shown {
		args[i] = p
	}
	if more := len(problems) - len(shown); more > 0 {
		text, args = text+"and %d more", append(args, more)
	}
	return fmt.Errorf(strings.TrimSuffix(text, "; "), args...)
}

// genesis fills in defaults for absent fields.
func (f *genesisFile) genesis() *Genesis {
	g := &Genesis{
		Network: f.Network, Shards: f.Shards, MaxEpochsAhead: DefaultMaxEpochsAhead,
		Time:          f.Time.or(timeText{defaultTime}).Time,
		EpochDuration: f.EpochDuration.or(periodText{DefaultEpochDuration}).Duration,
		StoragePrice:  Amount(f.StoragePrice.or(priceText(DefaultStoragePrice))),
		WritePrice:    Amount(f.WritePrice.or(priceText(DefaultWritePrice))),
		FeeTx:         Amount(f.FeeTx.or(priceText(DefaultFeeTx))),
		FeeByte:       Amount(f.FeeByte.or(priceText(DefaultFeeByte))),
		FeePerWork:    Amount(f.FeePerWork.or(priceText(DefaultFeePerWork))),
		Capacity:      uint64(f.Capacity.or(DefaultCapacity)),
		BurnBasis:     DefaultBurnBasis, Treasury: f.Treasury.value,
	}
	if f.MaxEpochsAhead != nil {
		g.MaxEpochsAhead = *f.MaxEpochsAhead
	}
	if f.BurnBasis != nil {
		g.BurnBasis = *f.BurnBasis
	}
	for _, a := range f.Accounts {
		if a.Address.set && a.Amount.set {
			g.Accounts = append(g.Accounts, GenesisAccount{a.Address.value, Amount(a.Amount.value)})
		}
	}
	for i := range f.Members {
		g.Members = append(g.Members, f.Members[i].member())
	}
	return g
}

// member fills in defaults for absent fields.
func (m *memberFile) member() GenesisMember {
	reward := Address{}
	if identity, ok := identityKey(m.Node.value); ok {
		reward = identity.Address()
	}
	return GenesisMember{
		Node: m.Node.value, Name: m.Name, Key: m.Key.value, Proof: m.Proof.value,
		Consensus: m.Consensus.value, Reward: m.Reward.or(reward), Shards: m.Shards.value,
	}
}

// missing lists the required fields that are absent.
func (f *genesisFile) missing() (problems []error) {
	absent := missing(need{"time", f.Time.set || f.Time.bad},
		need{"epochDuration", f.EpochDuration.set || f.EpochDuration.bad})
	if len(absent) == 2 {
		absent[0] = fmt.Errorf("%w: genesis files of the first version lack it: make a new network", absent[0])
	}
	problems = append(problems, absent...)
	for i := range f.Accounts {
		a := &f.Accounts[i]
		for _, err := range missing(need{"address", a.Address.set || a.Address.bad},
			need{"amount", a.Amount.set || a.Amount.bad}) {
			problems = append(problems, fmt.Errorf("account %d: %w", i, err))
		}
	}
	for i := range f.Members {
		for _, err := range f.Members[i].missing() {
			problems = append(problems, fmt.Errorf("%s: %w", memberLabel(i, f.Members[i].Name), err))
		}
	}
	return problems
}

func (m *memberFile) missing() []error {
	return missing(need{"node", m.Node.set || m.Node.bad}, need{"key", m.Key.set || m.Key.bad},
		need{"proof", m.Proof.set || m.Proof.bad})
}

// need names a required field and says whether it is there.
type need struct {
	name string
	set  bool
}

// missing lists the fields that are absent.
func missing(fields ...need) (problems []error) {
	for _, f := range fields {
		if !f.set {
			problems = append(problems, fmt.Errorf("field %q is missing", f.name))
		}
	}
	return problems
}

// Marshal returns the YAML form, which ParseGenesis reads back to an equal Genesis.
func (g *Genesis) Marshal() ([]byte, error) {
	f := genesisFile{
		Network: g.Network, Shards: g.Shards, Time: is(timeText{g.Time}), EpochDuration: is(periodText{g.EpochDuration}),
		MaxEpochsAhead: &g.MaxEpochsAhead, StoragePrice: is(priceText(g.StoragePrice)),
		WritePrice: is(priceText(g.WritePrice)),
		FeeTx:      is(priceText(g.FeeTx)), FeeByte: is(priceText(g.FeeByte)),
		FeePerWork: is(priceText(g.FeePerWork)), Capacity: is(sizeText(g.Capacity)),
		BurnBasis: &g.BurnBasis, Treasury: field[Address]{value: g.Treasury, set: g.Treasury != Address{}},
	}
	for _, a := range g.Accounts {
		f.Accounts = append(f.Accounts, accountFile{is(a.Address), is(priceText(a.Amount))})
	}
	for _, m := range g.Members {
		f.Members = append(f.Members, memberFile{
			Node: is(m.Node), Name: m.Name, Key: is(m.Key), Proof: is(m.Proof),
			Consensus: field[PublicKey]{value: m.Consensus, set: m.Validates()}, Reward: is(m.Reward),
			Shards: field[shardList]{value: m.Shards, set: len(m.Shards) > 0},
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

// plainTypes replaces the decoder's Go types by the file's terms.
var plainTypes = strings.NewReplacer(
	" in type ledger.genesisFile", "", " in type ledger.memberFile", "", " in type ledger.accountFile", "",
	" in type ledger.entryFile", "",
	"[]ledger.memberFile", "a list of members", "[]ledger.accountFile", "a list of accounts",
	"ledger.genesisFile", "a genesis", "ledger.memberFile", "a member", "ledger.accountFile", "an account",
	"ledger.entryFile", "an entry",
)

// explain returns the YAML decoder's message on one line.
func explain(text string, err error) string {
	if errors.Is(err, io.EOF) {
		return "the file is empty"
	}
	return strings.Join(strings.Fields(plainTypes.Replace(strings.TrimPrefix(text, "yaml: "))), " ")
}
