package ledger

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
)

// newMembers are count members of a network, made from a seed.
func newMembers(t testing.TB, network string, seed byte, count int) []GenesisMember {
	t.Helper()
	r := rand.NewChaCha8([32]byte{seed})
	var members []GenesisMember
	for i := range count {
		var raw [ed25519.SeedSize]byte
		if _, err := r.Read(raw[:]); err != nil {
			t.Fatal(err)
		}
		identity, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(raw[:]))
		if err != nil {
			t.Fatal(err)
		}
		node, err := peer.IDFromPrivateKey(identity)
		if err != nil {
			t.Fatal(err)
		}
		sk, err := certs.NewSecretKey(r)
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, GenesisMember{
			Node: node, Name: fmt.Sprintf("node-%d", i), Key: sk.Public(), Proof: sk.ProvePossession(network, node),
		})
	}
	return members
}

func newTestGenesis(t testing.TB) *Genesis {
	t.Helper()
	g, err := NewGenesis("devnet", 10, newMembers(t, "devnet", 1, 3))
	if err != nil {
		t.Fatal(err)
	}
	for i, runs := range []string{"0-2", "3-5", "6-9"} { // so that the file has ranges
		if g.Members[i].Shards, err = parseRanges(runs); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func TestNewGenesisSpreadsShards(t *testing.T) {
	for _, tt := range []struct{ n, count int }{{4, 4}, {10, 3}, {100, 7}, {1000, 3}, {5, 1}} {
		g, err := NewGenesis("devnet", tt.n, newMembers(t, "devnet", 1, tt.count))
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		for i, m := range g.Members {
			if k := len(m.Shards); k < tt.n/tt.count || k > (tt.n+tt.count-1)/tt.count {
				t.Errorf("%d shards over %d: a member has %d", tt.n, tt.count, k)
			}
			for k, s := range m.Shards {
				if s != i+k*tt.count {
					t.Fatalf("%d shards over %d: member %d has shard %d where %d should be", tt.n, tt.count, i, s, i+k*tt.count)
				}
				seen++
			}
		}
		if seen != tt.n {
			t.Errorf("%d shards over %d: only %d spread", tt.n, tt.count, seen)
		}
	}
}

func TestNewGenesisRefuses(t *testing.T) {
	members := newMembers(t, "devnet", 1, 5)
	for name, run := range map[string]func() (*Genesis, error){
		"no members":    func() (*Genesis, error) { return NewGenesis("devnet", 10, nil) },
		"too many":      func() (*Genesis, error) { return NewGenesis("devnet", 4, members) },
		"few shards":    func() (*Genesis, error) { return NewGenesis("devnet", 3, members[:1]) },
		"many shards":   func() (*Genesis, error) { return NewGenesis("devnet", 1<<40, members[:1]) },
		"empty name":    func() (*Genesis, error) { return NewGenesis("", 10, members) },
		"long name":     func() (*Genesis, error) { return NewGenesis(strings.Repeat("x", 33), 10, members) },
		"bad name":      func() (*Genesis, error) { return NewGenesis("dev/net", 10, members) },
		"other network": func() (*Genesis, error) { return NewGenesis("mainnet", 10, members) },
		"same node":     func() (*Genesis, error) { return NewGenesis("devnet", 10, []GenesisMember{members[0], members[0]}) },
		"nameless": func() (*Genesis, error) {
			m := members[0]
			m.Name = ""
			return NewGenesis("devnet", 10, []GenesisMember{m})
		},
		"unprintable": func() (*Genesis, error) {
			m := members[0]
			m.Name = "a\nb"
			return NewGenesis("devnet", 10, []GenesisMember{m})
		},
		"long node name": func() (*Genesis, error) {
			m := members[0]
			m.Name = strings.Repeat("n", 65)
			return NewGenesis("devnet", 10, []GenesisMember{m})
		},
		"not UTF-8": func() (*Genesis, error) {
			m := members[0]
			m.Name = "\xff"
			return NewGenesis("devnet", 10, []GenesisMember{m})
		},
	} {
		if g, err := run(); !errors.Is(err, ErrGenesis) || g != nil {
			t.Errorf("%s: %v, %v: want ErrGenesis", name, g, err)
		}
	}
	g := newTestGenesis(t)
	g.EndEpoch = 1
	if err := g.Validate(); !errors.Is(err, ErrGenesis) {
		t.Errorf("end epoch 1: %v, want ErrGenesis", err)
	}
	g = newTestGenesis(t)
	slices.Reverse(g.Members[0].Shards)
	if err := g.Validate(); !errors.Is(err, ErrGenesis) {
		t.Errorf("descending shards: %v, want ErrGenesis", err)
	}
}

// TestNetworkID pins the ID: every signature of a network contains it, so it must never change.
func TestNetworkID(t *testing.T) {
	g := newTestGenesis(t)
	const want = "27dd42871643ae0fa3869cf12358af360f773c929ff1095835148aa32e27e3e6"
	if got := g.NetworkID().String(); got != want {
		t.Errorf("network ID %s, want %s", got, want)
	}
	c, err := g.Committee()
	if err != nil || c.Network() != g.NetworkID() || c.Epoch() != FirstEpoch {
		t.Errorf("committee of epoch %d, network %s: %v", c.Epoch(), c.Network(), err)
	}
	ids := map[certs.NetworkID]string{g.NetworkID(): "original"}
	for name, change := range map[string]func(*Genesis){
		"network": func(g *Genesis) { g.Network = "devnes" }, "shards": func(g *Genesis) { g.Shards++ },
		"end": func(g *Genesis) { g.EndEpoch-- }, "order": func(g *Genesis) { slices.Reverse(g.Members) },
		"members": func(g *Genesis) { g.Members = g.Members[:2] }, "node": func(g *Genesis) { g.Members[0].Node += "x" },
		"name": func(g *Genesis) { g.Members[0].Name += "x" }, "key": func(g *Genesis) { g.Members[0].Key[0] ^= 1 },
		"proof": func(g *Genesis) { g.Members[0].Proof[0] ^= 1 }, "shard": func(g *Genesis) { g.Members[0].Shards[0]++ },
		"boundary": func(g *Genesis) {
			m := &g.Members[0]
			m.Node, m.Name = m.Node+peer.ID(m.Name[:1]), m.Name[1:]
		},
	} {
		changed := newTestGenesis(t)
		change(changed)
		id := changed.NetworkID()
		if other, dup := ids[id]; dup {
			t.Errorf("changing the %s gives the ID of %s", name, other)
		}
		ids[id] = name
	}
}

func TestFileRoundTrip(t *testing.T) {
	g := newTestGenesis(t)
	g.Members[1].Name = "name: with # YAML \"in\" it"
	for _, end := range []uint32{DefaultEndEpoch, 2, 1<<32 - 1} {
		g.EndEpoch = end
		b, err := g.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseGenesis(b)
		if err != nil || !reflect.DeepEqual(back, g) {
			t.Errorf("%s\nread back as %+v, %v", b, back, err)
		}
	}
}

// TestSpelling: the network's ID does not depend on how the file spells things.
func TestSpelling(t *testing.T) {
	g := newTestGenesis(t)
	b, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	respelled := strings.NewReplacer(
		"network: devnet", "endEpoch: 0x80000000\nnetwork: 'devnet'", "shards: 0-2", "shards: \" 0, 1 - 1 ,2\"", "name: node-0", "name: \"node-\\u0030\" # first",
	).Replace(string(b))
	if respelled == string(b) || !strings.Contains(respelled, "1 - 1") {
		t.Fatalf("nothing was respelled in\n%s", b)
	}
	back, err := ParseGenesis([]byte(respelled))
	if err != nil || back.NetworkID() != g.NetworkID() {
		t.Errorf("respelled: %+v, %v", back, err)
	}
}

func TestParseGenesisRefuses(t *testing.T) {
	b, err := newTestGenesis(t).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %q in\n%s", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	for _, tt := range []struct{ name, file, text string }{
		{"empty", "", "empty"},
		{"only a comment", "# nothing\n", "empty"},
		{"not YAML", "network: [", "line 1"},
		{"list", "- a\n", "line 1"},
		{"members not a list", "network: devnet\nshards: 4\nmembers: 3\n", "line 3"},
		{"unknown field", "colour: red\n" + good, "field colour not found"},
		{"unknown member field", replace("name: node-1", "nme: node-1"), "field nme not found"},
		{"duplicate field", "shards: 10\n" + good, "shards"},
		{"two documents", good + "---\nnetwork: x\n", "more than one document"},
		{"network missing", replace("network: devnet\n", ""), "network name"},
		{"bad network", replace("network: devnet", "network: Devnet"), "network name"},
		{"shards not a number", replace("shards: 10", "shards: ten"), "line 3"},
		{"few shards", replace("shards: 10", "shards: 3"), "3 shards"},
		{"end epoch", "endEpoch: 1\n" + good, "endEpoch"},
		{"negative end epoch", "endEpoch: -1\n" + good, "line 1"},
		{"bad peer ID", replace("node: 12D3", "node: 21D3"), "line 5"},
		{"bad key", replace("key: 0x", "key: 0y"), "line 7"},
		{"key missing", replace("key: ", "#"), "\"key\" is missing"},
		{"key a list", replace("key: ", "key: [] #"), "line 7"},
		{"shards missing", replace("shards: 0-2", ""), "\"shards\" is missing"},
		{"shards descending", replace("shards: 0-2", "shards: 2-0"), "ascending"},
		{"shards overlap", replace("shards: 0-2", "shards: 0-1,1-2"), "ascending"},
		{"shards open", replace("shards: 0-2", "shards: 0-"), "not a shard number"},
		{"shards huge", replace("shards: 0-2", "shards: 0-99999999999"), "not a shard number"},
		{"shard beyond n", replace("shards: 6-9", "shards: 6-10"), "shard 10"},
		{"shard without owner", replace("shards: 6-9", "shards: 6-8"), "nobody holds shard 9"},
		{"proof of another", replace("name: node-0", "name: node-0\n    proof: \"0x"+strings.Repeat("00", 96)+"\"\n    #"), "proof"},
		{"too large", good + strings.Repeat("#", MaxGenesisSize), "bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, err := ParseGenesis([]byte(tt.file))
			if !errors.Is(err, ErrGenesis) || g != nil {
				t.Fatalf("%v, %v: want ErrGenesis", g, err)
			}
			if msg := err.Error(); !strings.Contains(msg, tt.text) || strings.Contains(msg, "\n") || strings.Contains(msg, "ledger.") {
				t.Errorf("%q: want one line for people with %q", msg, tt.text)
			}
		})
	}
}

func FuzzParseGenesis(f *testing.F) {
	b, err := newTestGenesis(f).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("network: a\nshards: 4\nmembers: [{node: x, shards: 0-3}]\n"))
	f.Add([]byte("a: &a [*a, *a]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := ParseGenesis(b)
		if err != nil {
			if !errors.Is(err, ErrGenesis) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%q: want one line that wraps ErrGenesis", err)
			}
			return
		}
		written, err := g.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseGenesis(written)
		if err != nil || !reflect.DeepEqual(again, g) || again.NetworkID() != g.NetworkID() {
			t.Fatalf("%+v written and read again is %+v, %v", g, again, err)
		}
	})
}

func FuzzParseRanges(f *testing.F) {
	for _, s := range []string{"", "0", "0-13,20", "65534", "1,0", "0-0,1-1", "-1", "1--2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parseRanges(text)
		if err != nil {
			return
		}
		for i := 1; i < len(list); i++ {
			if list[i] <= list[i-1] {
				t.Fatalf("%q gives %v: not ascending", text, list)
			}
		}
		if again, err := parseRanges(formatRanges(list)); err != nil || !slices.Equal(again, list) {
			t.Fatalf("%v written and read again is %v, %v", list, again, err)
		}
	})
}
