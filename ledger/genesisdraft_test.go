package ledger

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func texts(problems []error) string {
	var b strings.Builder
	for _, p := range problems {
		b.WriteString(p.Error() + "\n")
	}
	return b.String()
}

// TestInspectGenesis: all faults of a file are reported at once.
func TestInspectGenesis(t *testing.T) {
	good, err := newTestGenesis(t).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if g, problems := InspectGenesis(good); g == nil || len(problems) > 0 {
		t.Fatalf("a good one: %v", problems)
	}
	text := string(good)
	for _, change := range [][2]string{
		{"time: ", "#"}, {"epochDuration: 336h0m0s", "epochDuration: long"},
		{"storagePrice: 100000 FROST", "storagePrice: 100000"},
		{"burnBasis: 300", "burnBasis: 30000"}, {"treasury: ", "#"}, {"colour", ""},
		{"name: node-0\n    key: ", "name: node-0\n    # "},
		{"name: node-1\n    key: ", "name: node-1\n    colour: red\n    key: "},
		{"shards: 3-5", "shards: 2-4,12"}, {"shards: 6-9", "shards: 6-7"},
	} {
		text = strings.Replace(text, change[0], change[1], 1)
	}
	other := newMembers(t, "other", 1, 3)[2].Proof
	raw, err := other.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	at := strings.LastIndex(text, "proof: ")
	text = text[:at] + fmt.Sprintf("proof: %q\n    #", raw) + text[at:]
	g, problems := InspectGenesis([]byte(text))
	list := texts(problems)
	for _, want := range []string{
		`field "time" is missing`, `duration "long"`, "add the unit", "burnBasis is 30000", "name a treasury",
		"field colour not found",
		`member 0 (node-0): field "key" is missing`, "member 1 (node-1): shards 2 are also held by another",
		"member 1 (node-1) holds shard 12",
		"nobody holds shard 5,8-9", "member 2 (node-2): proof does not match its key and peer ID in network devnet",
	} {
		if strings.Count(list, want) != 1 {
			t.Errorf("%q is there %d times in\n%s", want, strings.Count(list, want), list)
		}
	}
	if g == nil || len(problems) != 11 {
		t.Errorf("%d problems, want 11:\n%s", len(problems), list)
	}
	if _, err := ParseGenesis([]byte(text)); !errors.Is(err, ErrGenesis) || !strings.HasSuffix(err.Error(), "and 8 more") {
		t.Errorf("%v: want a line with the first three of them", err)
	}
	for _, tt := range []struct{ file, want string }{
		{"", "the file is empty\n"},
		{"network: net\nshards: 10\ntime: 2026-01-01T00:00:00Z\nepochDuration: 1h\ntreasury: \"0x" +
			strings.Repeat("01", 32) + "\"\n", "there are no members: add the entries of the storage nodes\n"},
	} {
		if _, problems := InspectGenesis([]byte(tt.file)); texts(problems) != tt.want {
			t.Errorf("%q: %q, want %q", tt.file, texts(problems), tt.want)
		}
	}
}

// TestAddMembers adds members to a draft and gets the genesis that NewGenesis makes.
func TestAddMembers(t *testing.T) {
	members := newMembers(t, "devnet", 1, 4)
	var entries strings.Builder
	for i := range members {
		m := &members[i]
		key, _ := identityKey(m.Node)
		m.Consensus, m.Reward = key, key.Address()
		fmt.Fprintf(&entries, "  - node: %s\n    name: %q\n    key: %q\n    proof: %q\n    consensus: %q\n", m.Node, m.Name,
			m.Key, m.Proof, m.Consensus)
	}
	read, problems := ParseMembers([]byte(entries.String()))
	if len(problems) > 0 || !reflect.DeepEqual(read, members) {
		t.Fatalf("read %+v, %v", read, problems)
	}
	want, err := NewGenesis("devnet", 10, members)
	if err != nil {
		t.Fatal(err)
	}
	g := NewDraft("devnet", 10)
	g.Treasury = want.Treasury
	for _, some := range [][]GenesisMember{read[:1], read[1:]} {
		if problems := g.AddMembers(some); len(problems) > 0 {
			t.Fatal(problems)
		}
	}
	if !reflect.DeepEqual(g, want) {
		t.Errorf("made %+v, want %+v", g, want)
	}
	if problems := g.AddMembers(members[2:]); len(problems) != 2 ||
		!strings.Contains(problems[0].Error(), "member 4 (node-2) is already in the genesis") {
		t.Errorf("added again: %v", problems)
	}
	bad := newMembers(t, "other", 2, 2)
	bad[0].Key, bad[1].Name = members[0].Key, ""
	problems = g.AddMembers(bad)
	if list := texts(problems); !strings.Contains(list, "members 0 and 4 have the same key") ||
		!strings.Contains(list, "member 5: name has 0 bytes") ||
		strings.Count(list, "in network devnet: make the entry anew") != 2 {
		t.Errorf("bad ones: %s", list)
	}
	if len(g.Members) != 4 {
		t.Errorf("%d members", len(g.Members))
	}
	// dealt by hand: left unchanged
	g.Members[0].Shards = []int{0}
	late := newMembers(t, "devnet", 3, 1)
	late[0].Reward = id(1)
	if problems := g.AddMembers(late); len(problems) > 0 || !slices.Equal(g.Members[0].Shards, []int{0}) ||
		len(g.Members[4].Shards) > 0 {
		t.Errorf("%v, %+v", problems, g.Members)
	}
	if list := texts(g.Problems()); !strings.Contains(list, `member 4 (node-0): field "shards" is missing`) ||
		!strings.Contains(list, "nobody holds shard 4,8") {
		t.Errorf("problems: %s", list)
	}
}

func TestParseMembersRefuses(t *testing.T) {
	m := newMembers(t, "devnet", 1, 1)[0]
	for file, want := range map[string]string{
		"": "empty", "[]": "no entry", "- name: x\n": `member 0 (x): field "node" is missing`, "- node: x\n": "line 1",
		"- node: []\n": "line 1",
		"text":         "line 1", "- nmae: x\n": "field nmae not found", `{"member": {"node": "` + m.Node.String() +
			`"}}`: `member 0: field "key" is missing`,
		"{\"colour\": 1}": "field colour not found",
	} {
		if _, problems := ParseMembers([]byte(file)); !strings.Contains(texts(problems), want) ||
			strings.Contains(texts(problems), "ledger.") {
			t.Errorf("%q: %q, want %q", file, texts(problems), want)
		}
	}
}
