package client

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"walrus/certs"
	"walrus/p2p"
)

// seenCommittee has four members with 1, 2, 3 and 4 of 10 shards: f = 3, so four shards have one honest.
func seenCommittee(t *testing.T) *certs.Committee {
	t.Helper()
	_, c := newFake(t, 4, 10)
	com, err := c.Committee(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return com
}

// heardOf makes an answer: the outcome of each member as a letter, its durability 90 plus the number of the outcome.
func heardOf(com *certs.Committee, letters string) *p2p.Scores {
	s := &p2p.Scores{Epoch: com.Epoch()}
	for _, c := range letters {
		o := uint8(strings.IndexRune("-osmwtu", c))
		s.Members = append(s.Members, p2p.Score{Outcome: o, Level: 3, Durability: 90 + o, Reachability: p2p.UnknownScore, Speed: 50, Monitors: 3})
	}
	return s
}

// TestSeen: what monitors saw comes from the others, by their shards; one member alone says nothing.
func TestSeen(t *testing.T) {
	com := seenCommittee(t)
	for _, tt := range []struct {
		name    string
		answers []string // by member; "" for none
		want    string
	}{
		{"all well", []string{"oooo", "oooo", "oooo", "oooo"}, "ok ok ok ok"},
		{"nobody", []string{"", "", "", ""}, "- - - -"},
		{"one alone", []string{"oooo", "", "", ""}, "- - - -"},
		{"no data", []string{"----", "----", "----", "----"}, "- - - -"},
		{"praises itself", []string{"oooo", "uooo", "uooo", "uooo"}, "unreachable ok ok ok"},
		{"one slanders", []string{"ouuu", "oooo", "oooo", "oooo"}, "ok ok ok ok"},
		{"different troubles", []string{"ooot", "ooou", "ooou", "oooo"}, "ok ok ok unreachable"},
		{"slow and well", []string{"ooos", "ooos", "oooo", "oooo"}, "ok ok ok slow"},
		{"wrong", []string{"oomo", "oomo", "oooo", "oowo"}, "ok ok missing ok"},
	} {
		var answers []*p2p.Scores
		for _, a := range tt.answers {
			if a == "" {
				answers = append(answers, nil)
				continue
			}
			answers = append(answers, heardOf(com, a))
		}
		var got []string
		for _, s := range merge(com, answers) {
			if !s.Known {
				s.Outcome = "-"
			}
			got = append(got, s.Outcome)
		}
		if text := strings.Join(got, " "); text != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, text, tt.want)
		}
	}
	odd := heardOf(com, "uuuu")
	odd.Epoch++
	short := heardOf(com, "uuu")
	seen := merge(com, []*p2p.Scores{odd, short, odd, short})
	if seen[0].Known || seen[3].Known {
		t.Errorf("answers of another epoch, or about others, count: %+v", seen)
	}
	all := heardOf(com, "oooo")
	if s := merge(com, []*p2p.Scores{all, all, all, all})[0]; s.Durability != 91 || s.Reachability != -1 || s.Speed != 50 || s.Monitors != 3 || s.Bad() {
		t.Errorf("%+v", s)
	}
}

// TestBelieve: health contradicts a node that calls itself well, and hints at this machine's network.
func TestBelieve(t *testing.T) {
	com := seenCommittee(t)
	h := &Health{Nodes: make([]NodeHealth, 4)}
	for i := range h.Nodes {
		h.Nodes[i].Reachable = i != 1
	}
	h.Nodes[1].Why = "is not reachable"
	h.Nodes[2].Why = "owes 2 slivers"
	a := heardOf(com, "womu")
	h.believe(com, []*p2p.Scores{a, a, a, a})
	var b bytes.Buffer
	for i := range h.Nodes {
		fmt.Fprintln(&b, h.Nodes[i].Why)
	}
	want := `gave wrong bytes, as monitors saw
is not reachable; monitors reach it (ok): look at this machine's network
owes 2 slivers, lacks slivers, as monitors saw
is not reached by monitors
`
	if b.String() != want || !h.Monitored {
		t.Errorf("%s\nwant\n%s", b.String(), want)
	}
	h = &Health{Nodes: make([]NodeHealth, 4)}
	if h.believe(com, make([]*p2p.Scores, 4)); h.Monitored || h.Nodes[0].Why != "" {
		t.Errorf("without monitors: %+v", h)
	}
}
