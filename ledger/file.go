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
	Network  string       `yaml:"network"`
	Shards   int          `yaml:"shards"`
	EndEpoch uint32       `yaml:"endEpoch,omitempty"`
	Members  []memberFile `yaml:"members"`
}

type memberFile struct {
	Node   field[peer.ID]         `yaml:"node"`
	Name   string                 `yaml:"name"`
	Key    field[certs.PublicKey] `yaml:"key"`
	Proof  field[certs.Signature] `yaml:"proof"`
	Shards field[shardList]       `yaml:"shards"`
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
	g := &Genesis{Network: f.Network, Shards: f.Shards, EndEpoch: f.EndEpoch}
	if g.EndEpoch == 0 {
		g.EndEpoch = DefaultEndEpoch
	}
	for i, m := range f.Members {
		if err := m.missing(); err != nil {
			return nil, fmt.Errorf("%w: member %d: %v", ErrGenesis, i, err)
		}
		g.Members = append(g.Members, GenesisMember{
			Node: m.Node.value, Name: m.Name, Key: m.Key.value, Proof: m.Proof.value, Shards: m.Shards.value,
		})
	}
	if err := g.Validate(); err != nil {
		return nil, err
	}
	return g, nil
}

func (m *memberFile) missing() error {
	for _, f := range []struct {
		name string
		set  bool
	}{{"node", m.Node.set}, {"key", m.Key.set}, {"proof", m.Proof.set}, {"shards", m.Shards.set}} {
		if !f.set {
			return fmt.Errorf("field %q is missing", f.name)
		}
	}
	return nil
}

// Marshal writes the YAML form, which ParseGenesis reads back to an equal Genesis.
func (g *Genesis) Marshal() ([]byte, error) {
	f := genesisFile{Network: g.Network, Shards: g.Shards}
	if g.EndEpoch != DefaultEndEpoch {
		f.EndEpoch = g.EndEpoch
	}
	for _, m := range g.Members {
		f.Members = append(f.Members, memberFile{
			Node: field[peer.ID]{m.Node, true}, Name: m.Name, Key: field[certs.PublicKey]{m.Key, true},
			Proof: field[certs.Signature]{m.Proof, true}, Shards: field[shardList]{m.Shards, true},
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

// shardList is the shards of a member; its text form is that of formatRanges.
type shardList []int

func (l shardList) MarshalText() ([]byte, error) { return []byte(formatRanges(l)), nil }

func (l *shardList) UnmarshalText(b []byte) (err error) {
	*l, err = parseRanges(string(b))
	return err
}

// field is a value with a text form that reports the line it could not be read from, which the decoder by itself does
// not, and whether it was there.
type field[T any] struct {
	value T
	set   bool
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (f *field[T]) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: expected text", n.Line)
	}
	text, ok := any(&f.value).(interface{ UnmarshalText([]byte) error })
	if !ok {
		return fmt.Errorf("line %d: %T has no text form", n.Line, f.value)
	}
	if err := text.UnmarshalText([]byte(n.Value)); err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	f.set = true
	return nil
}

// MarshalYAML implements yaml.Marshaler.
func (f field[T]) MarshalYAML() (any, error) { return f.value, nil }

// plainTypes says in the file's words what the decoder says in Go types.
var plainTypes = strings.NewReplacer(
	" in type ledger.genesisFile", "", " in type ledger.memberFile", "",
	"[]ledger.memberFile", "a list of members", "ledger.genesisFile", "a genesis", "ledger.memberFile", "a member",
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
