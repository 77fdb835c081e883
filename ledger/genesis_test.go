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
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
)

// newMembers makes count members of a network from a seed.
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
	g.Accounts = []GenesisAccount{{id(9), 3 * WAL / 2}, {id(8), 1}}
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
		"same node": func() (*Genesis, error) {
			return NewGenesis("devnet", 10,
				[]GenesisMember{members[0], members[0]})
		},
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
	g.Members[2].Consensus = g.Members[0].Consensus
	if err := g.Validate(); !errors.Is(err, ErrGenesis) ||
		!strings.Contains(err.Error(), "members 0 and 2 have the same consensus key") {
		t.Errorf("one consensus key twice: %v, want ErrGenesis", err)
	}
	g = newTestGenesis(t)
	g.Time = g.Time.In(time.FixedZone("", 3600)) // reading it back gives UTC
	if err := g.Validate(); !errors.Is(err, ErrGenesis) {
		t.Errorf("time not in UTC: %v, want ErrGenesis", err)
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
	const want = "e8cb570298e11b6bc3b75543bc323f4a2e05a3a41c99569cbc99af19fa289fcb"
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
		"order":   func(g *Genesis) { slices.Reverse(g.Members) },
		"members": func(g *Genesis) { g.Members = g.Members[:2] }, "node": func(g *Genesis) { g.Members[0].Node += "x" },
		"name": func(g *Genesis) { g.Members[0].Name += "x" }, "key": func(g *Genesis) { g.Members[0].Key[0] ^= 1 },
		"proof": func(g *Genesis) { g.Members[0].Proof[0] ^= 1 }, "shard": func(g *Genesis) { g.Members[0].Shards[0]++ },
		"consensus": func(g *Genesis) { g.Members[0].Consensus[0] ^= 1 },
		"reward":    func(g *Genesis) { g.Members[0].Reward[0] ^= 1 },
		"time":      func(g *Genesis) { g.Time = g.Time.Add(time.Second) }, "duration": func(g *Genesis) { g.EpochDuration++ },
		"ahead": func(g *Genesis) { g.MaxEpochsAhead++ }, "storage price": func(g *Genesis) { g.StoragePrice++ },
		"write price": func(g *Genesis) { g.WritePrice++ }, "fee": func(g *Genesis) { g.FeeTx++ },
		"byte fee": func(g *Genesis) { g.FeeByte++ }, "work fee": func(g *Genesis) { g.FeePerWork++ },
		"capacity": func(g *Genesis) { g.Capacity++ }, "burn": func(g *Genesis) { g.BurnBasis++ },
		"treasury": func(g *Genesis) { g.Treasury[0] ^= 1 }, "account": func(g *Genesis) { g.Accounts[1].Address[0] ^= 1 },
		"amount": func(g *Genesis) { g.Accounts[1].Amount++ }, "accounts": func(g *Genesis) { g.Accounts = g.Accounts[1:] },
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
	other := newTestGenesis(t)
	slices.Reverse(other.Accounts)
	if other.NetworkID() != g.NetworkID() {
		t.Error("the order of accounts changes the ID")
	}
	if got := g.ChainID(); got != "devnet-"+want[:8] {
		t.Errorf("chain ID %s", got)
	}
	other.Network = strings.Repeat("n", certs.MaxNetworkName)
	if got := other.ChainID(); len(got) != 41 {
		t.Errorf("chain ID %s of %d bytes", got, len(got))
	}
}

func TestFileRoundTrip(t *testing.T) {
	g := newTestGenesis(t)
	g.Members[1].Name = "name: with # YAML \"in\" it"
	g.Members[2].Reward = id(3)
	g.Members[0].Consensus = PublicKey{} // it follows
	g.EpochDuration, g.Capacity, g.BurnBasis, g.FeeTx = 1500*time.Millisecond, 3<<20+1, 0, 0
	b, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseGenesis(b)
	if err != nil || !reflect.DeepEqual(back, g) {
		t.Errorf("%s\nread back as %+v, %v", b, back, err)
	}
}

// TestDefaults reads a file without its optional fields.
func TestDefaults(t *testing.T) {
	g := newTestGenesis(t)
	b, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var short []string
	for line := range strings.Lines(string(b)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		if !slices.Contains([]string{"maxEpochsAhead", "storagePrice", "writePrice", "feeTx", "feeByte", "capacity",
			"burnBasis", "reward"}, name) {
			short = append(short, line)
		}
	}
	back, err := ParseGenesis([]byte(strings.Join(short, "")))
	if err != nil || !reflect.DeepEqual(back, g) {
		t.Errorf("read as %+v, %v: want %+v", back, err, g)
	}
	m := g.Members[0]
	if key, ok := identityKey(m.Node); !ok || m.Reward != key.Address() {
		t.Errorf("the reward of %s goes to %s", m.Node, m.Reward)
	}
	public, err := m.Node.ExtractPublicKey()
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := public.Raw(); err != nil || [32]byte(raw) != m.Consensus {
		t.Errorf("identity key %x is read as %s, %v", raw, m.Consensus, err)
	}
	for _, id := range []peer.ID{"", "x", m.Node[1:], m.Node + "x", m.Node[:37]} {
		if key, ok := identityKey(id); ok {
			t.Errorf("peer ID %x has key %s", string(id), key)
		}
	}
}

func TestBalances(t *testing.T) {
	g := newTestGenesis(t)
	treasury := GenesisAccount{g.Treasury, TotalSupply - 3*WAL/2 - 1}
	want := []GenesisAccount{{id(8), 1}, {id(9), 3 * WAL / 2}, treasury}
	slices.SortFunc(want, compareAccounts)
	if all, err := g.Balances(); err != nil || !slices.Equal(all, want) {
		t.Errorf("balances %v, %v: want %v", all, err, want)
	}
	g.Accounts, g.Treasury = []GenesisAccount{{id(1), TotalSupply}, {id(2), 0}}, Address{}
	if all, err := g.Balances(); err != nil || !slices.Equal(all, g.Accounts[:1]) {
		t.Errorf("balances %v, %v", all, err)
	}
	g.Treasury = id(3)
	if all, err := g.Balances(); err != nil || !slices.Equal(all, g.Accounts[:1]) {
		t.Errorf("a treasury with nothing left: %v, %v", all, err)
	}
	g.Accounts, g.Treasury = nil, Address{}
	if _, err := g.Balances(); !errors.Is(err, ErrGenesis) {
		t.Errorf("nobody: %v, want ErrGenesis", err)
	}
}

// TestSpelling: the network's ID does not depend on the file's spelling.
func TestSpelling(t *testing.T) {
	g := newTestGenesis(t)
	b, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	respelled := strings.NewReplacer(
		"network: devnet", "network: 'devnet'", "shards: 0-2", "shards: \" 0, 1 - 1 ,2\"", "name: node-0",
		"name: \"node-\\u0030\" # first",
		"\"2026-01-01T00:00:00Z\"", "2026-01-01T01:30:00+01:30", "336h0m0s", "20160m", "100000 FROST", "0.0001WAL", "1PiB",
		"1024 TiB", "burnBasis: 300\n", "",
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
	first := "network: devnet\nshards: 10\nmembers:" + strings.SplitAfter(good, "members:")[1]
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
		{"negative number", replace("maxEpochsAhead: 53", "maxEpochsAhead: -1"), "line 6"},
		{"bad peer ID", replace("node: 12D3", "node: 21D3"), "line 21"},
		{"bad key", replace("key: 0x", "key: 0y"), "line 23"},
		{"key missing", replace("key: ", "#"), "\"key\" is missing"},
		{"key a list", replace("key: ", "key: [] #"), "line 23"},
		{"shards missing", replace("shards: 0-2", ""), "\"shards\" is missing"},
		{"shards descending", replace("shards: 0-2", "shards: 2-0"), "ascending"},
		{"shards overlap", replace("shards: 0-2", "shards: 0-1,1-2"), "ascending"},
		{"shards open", replace("shards: 0-2", "shards: 0-"), "not a shard number"},
		{"shards huge", replace("shards: 0-2", "shards: 0-99999999999"), "not a shard number"},
		{"shard beyond n", replace("shards: 6-9", "shards: 6-10"), "shard 10"},
		{"shard without owner", replace("shards: 6-9", "shards: 6-8"), "nobody holds shard 9"},
		{"first version", first, "\"time\" is missing: genesis files of the first version lack it"},
		{"no duration", replace("epochDuration", "#"), "\"epochDuration\" is missing"},
		{"bad time", replace("time: \"2026", "time: \"26"), "line 4: time"},
		{"time a number", replace("time: \"2026-01-01T00:00:00Z\"", "time: 1234567"), "line 4: time"},
		{"half a second", replace("00:00Z", "00:00.5Z"), "whole seconds"},
		{"long ago", replace("2026", "1926"), "from 1970 to 2150"},
		{"far ahead", replace("2026", "2151"), "from 1970 to 2150"},
		{"bad duration", replace("336h0m0s", "2 weeks"), "line 5: duration"},
		{"short epochs", replace("336h0m0s", "999ms"), "epochDuration is 999ms"},
		{"endless epochs", replace("336h0m0s", "999999h"), "epochDuration is 999999h"},
		{"no epochs ahead", replace("maxEpochsAhead: 53", "maxEpochsAhead: 0"), "maxEpochsAhead is 0"},
		{"epochs ahead", replace("maxEpochsAhead: 53", "maxEpochsAhead: 1001"), "maxEpochsAhead is 1001"},
		{"price without unit", replace("100000 FROST", "100000"), "line 7: amount \"100000\": add the unit"},
		{"price", replace("100000 FROST", "5000000001 WAL"), "storagePrice is 5000000001 WAL"},
		{"write price", replace("20000 FROST", "5000000001 WAL"), "writePrice is 5000000001 WAL"},
		{"fee", replace("1000 FROST", "5000000000 WAL"), "feeTx, feeByte and"},
		{"byte fee", replace("feeByte: 10 FROST", "feeByte: 5000000000 WAL"), "feeTx, feeByte and"},
		{"negative price", replace("100000 FROST", "-1 FROST"), "line 7"},
		{"bad capacity", replace("1PiB", "1PB"), "line 11: size"},
		{"capacity overflows", replace("1PiB", "16EiB"), "line 11: size"},
		{"no capacity", replace("1PiB", "0"), "capacity is 0 bytes"},
		{"capacity", replace("1PiB", "5EiB"), "capacity is 5764607523034234880 bytes"},
		{"burn", replace("burnBasis: 300", "burnBasis: 10001"), "burnBasis is 10001"},
		{"nobody has it", replace("treasury: ", "#"), "name a treasury"},
		{"too much", replace("1.5 WAL", "5000000000 WAL"), "more than there is"},
		{"far too much", replace("1.5 WAL", "18446744073 WAL"), "more than there is"},
		{"account twice", replace(strings.Repeat("09", 32), strings.Repeat("08", 32)), "twice"},
		{"treasury has an account", replace("treasury: ", "treasury: \"0x"+strings.Repeat("09", 32)+"\" #"), "twice"},
		{"nobody's account", replace(strings.Repeat("09", 32), strings.Repeat("00", 32)), "zero address"},
		{"account without amount", replace("amount: 1.5 WAL", ""), "account 0: field \"amount\" is missing"},
		{"account without address", replace("- address: ", "- #"), "account 0"},
		{"bad address", replace("0x0909", "0x09"), "line 16: invalid format: address"},
		{"nobody validates", strings.ReplaceAll(good, "consensus: ", "#"), "nobody could make blocks"},
		{"consensus no point", replace("consensus: ", "consensus: \"0x"+strings.Repeat("02", 32)+"\" #"),
			"member 0 (node-0): consensus"},
		{"reward zero", replace("reward: ", "reward: \"0x"+strings.Repeat("00", 32)+"\" #"), "member 0 (node-0): reward"},
		{"proof of another", replace("name: node-0", "name: node-0\n    proof: \"0x"+strings.Repeat("00", 96)+"\"\n    #"),
			"proof"},
		{"too large", good + strings.Repeat("#", MaxGenesisSize), "bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, err := ParseGenesis([]byte(tt.file))
			if !errors.Is(err, ErrGenesis) || g != nil {
				t.Fatalf("%v, %v: want ErrGenesis", g, err)
			}
			if msg := err.Error(); !strings.Contains(msg, tt.text) || strings.Contains(msg, "\n") ||
				strings.Contains(msg, "ledger.") {
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

// TestVoters: the hundred members with the most shards vote, of equals those with the lower peer IDs.
func TestVoters(t *testing.T) {
	g := &Genesis{Members: make([]GenesisMember, MaxVoters+3)}
	for i := range g.Members {
		m := &g.Members[i]
		m.Node, m.Consensus, m.Shards = peer.ID(fmt.Sprintf("%03d", 200-i)), PublicKey{1, byte(i)}, []int{0, 1}
	}
	g.Members[0].Shards = []int{0, 1, 2} // the most, though its peer ID is the highest
	g.Members[5].Consensus = PublicKey{}
	g.Members[MaxVoters+2].Shards = []int{0}
	voters := g.Voters()
	if len(voters) != MaxVoters || voters[0] != 0 || !slices.IsSorted(voters) {
		t.Fatalf("%d voters: %v", len(voters), voters)
	}
	for _, i := range []int{1, 5, MaxVoters + 2} { // the highest peer ID of equals, no key, fewest shards
		if slices.Contains(voters, i) {
			t.Errorf("member %d votes", i)
		}
	}
	if g.Members = g.Members[:7]; len(g.Voters()) != 6 {
		t.Errorf("of seven with six keys %v vote", g.Voters())
	}
}
