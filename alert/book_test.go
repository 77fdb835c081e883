package alert

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"pgregory.net/rapid"

	"walrus/shards"
)

var (
	testNode = Node{Network: "net", ID: "12D3KooWNode", Name: "alpha"}
	noon     = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
)

func testMonitor(t testing.TB) peer.ID {
	t.Helper()
	id, err := peer.Decode("12D3KooWCMuA5jwnUYMjqPA1R6vwTd9kc5YQECQVpaP1asd7ARSC")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func missing(blob byte, sliver int) Fact {
	return Fact{Cause: Missing, Blob: shards.BlobID{blob}, Axis: shards.Secondary, Sliver: sliver, Symbol: 7}
}

func over(f Fact) Fact {
	f.Over = true
	return f
}

// TestBook replays a story line by line: minute, fact, alerts.
func TestBook(t *testing.T) {
	b := NewBook(testNode)
	wrong := Fact{Cause: Wrong, Blob: shards.BlobID{9}, Axis: shards.Primary, Sliver: 3, Symbol: NoCell}
	for _, step := range []struct {
		minute int
		fact   *Fact
		want   string
	}{
		{0, new(missing(1, 5)), "missing firing +0"},
		{1, new(missing(2, 5)), ""},
		{2, new(over(missing(1, 5))), ""},
		{3, new(missing(3, 6)), ""},
		{59, nil, ""},
		{60, nil, "missing firing +1"}, // the newest of two that waited
		{61, new(over(missing(2, 5))), ""},
		{62, new(over(missing(3, 6))), "missing recovered +0"},
		{63, new(missing(4, 1)), ""},       // within the hour
		{64, new(over(missing(4, 1))), ""}, // over before it was told
		{200, nil, ""},
		{201, new(wrong), "wrong firing +0"},
		{202, new(over(wrong)), ""},
		{230, new(wrong), ""},
		{231, new(over(wrong)), ""},
		{261, nil, "wrong firing +0"},
		{289, nil, ""},
		{290, nil, "wrong recovered +0"},
		{300, &Fact{Cause: Unreachable}, "unreachable firing +0"},
		{310, &Fact{Cause: Unreachable}, ""},
		{400, nil, ""}, // nothing new: it is not repeated
		{401, &Fact{Cause: Unreachable, Over: true}, "unreachable recovered +0"},
		{402, &Fact{Cause: Unreachable, Over: true}, ""},
		{403, &Fact{Cause: Unreachable}, "unreachable firing +0"},
		{404, &Fact{Cause: Unreachable, Over: true}, "unreachable recovered +0"},
		{405, &Fact{Cause: Unreachable}, ""},
		{463, nil, "unreachable firing +0"},
		{470, &Fact{Cause: Missing, Over: true}, ""}, // no trouble
	} {
		now := noon.Add(time.Duration(step.minute) * time.Minute)
		raw, err := b.Marshal() // a restart at any time changes nothing
		if err != nil {
			t.Fatal(err)
		}
		if b, err = UnmarshalBook(testNode, raw); err != nil {
			t.Fatal(err)
		}
		var alerts []Alert
		if step.fact != nil {
			alerts = b.Note(*step.fact, now)
		} else {
			alerts = b.Due(now)
		}
		var got []string
		for _, a := range alerts {
			got = append(got, fmt.Sprintf("%s %s +%d", a.Cause, a.State, a.Further))
		}
		if text := strings.Join(got, ", "); text != step.want {
			t.Errorf("minute %d: %q, want %q", step.minute, text, step.want)
		}
	}
}

// TestBookTellsTheTruth compares an alert with the fact that caused it.
func TestBookTellsTheTruth(t *testing.T) {
	b := NewBook(testNode)
	f := missing(1, 5)
	f.Monitor, f.Evidence = testMonitor(t), "e.json"
	alerts := b.Note(f, noon)
	if len(alerts) != 1 {
		t.Fatal(alerts)
	}
	a := alerts[0]
	if a.BlobID != f.Blob.String() || a.Axis != "secondary" || *a.Sliver != 5 || *a.Row != 7 || *a.Column != 5 ||
		a.Monitor != f.Monitor.String() || a.Evidence != "e.json" || !a.Time.Equal(noon) || a.Node != testNode {
		t.Errorf("%+v", a)
	}
	for _, part := range []string{"alpha", f.Blob.String(), "secondary sliver 5", "row 7, column 5", f.Monitor.String(), "alerts/evidence/e.json"} {
		if !strings.Contains(a.Text, part) {
			t.Errorf("%q lacks %q", a.Text, part)
		}
	}
	f.Axis = shards.Primary
	if p := f.place(); *p.Row != 5 || *p.Column != 7 {
		t.Errorf("primary: %+v", p)
	}
	raw, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var back Alert
	if err := json.Unmarshal(raw, &back); err != nil || !reflect.DeepEqual(a, back) {
		t.Errorf("%v\n%+v\n%+v", err, a, back)
	}
}

// TestBookRates plays random facts: never two alerts for one cause within an hour, never a recovery without an alert,
// and trouble that stays is told within an hour.
func TestBookRates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := NewBook(testNode)
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		now, firing, told := noon, map[Cause]bool{}, map[Cause]time.Time{}
		note := func(alerts []Alert) {
			for _, a := range alerts {
				switch {
				case a.State == Firing && !told[a.Cause].IsZero() && now.Sub(told[a.Cause]) < Quiet:
					t.Fatalf("%s again after %v", a.Cause, now.Sub(told[a.Cause]))
				case a.State == Recovered && !firing[a.Cause]:
					t.Fatalf("%s recovered, and was not told", a.Cause)
				}
				if firing[a.Cause] = a.State == Firing; firing[a.Cause] {
					told[a.Cause] = now
				}
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rng.Int64N(int64(40 * time.Minute))))
			note(b.Due(now))
			f := Fact{Cause: Causes[rng.IntN(3)], Over: rng.IntN(2) == 0, Blob: shards.BlobID{byte(rng.IntN(3))}, Symbol: NoCell}
			note(b.Note(f, now))
			for _, c := range Causes {
				if b.Firing(c) && now.Sub(told[c]) >= Quiet && !firing[c] {
					t.Fatalf("%s is not told", c)
				}
			}
			if len(b.Recent()) > maxRecent {
				t.Fatal("too many are remembered")
			}
		}
		next := b.Next()
		if !next.IsZero() && next.After(now.Add(Quiet)) {
			t.Fatalf("the next look is in %v", next.Sub(now))
		}
	})
}

// TestBookBounds gives it more slivers than it follows.
func TestBookBounds(t *testing.T) {
	b := NewBook(testNode)
	for i := range 3 * maxOpen {
		b.Note(missing(1, i), noon)
	}
	if n := len(b.Open(Missing)); n != maxOpen {
		t.Errorf("%d are followed, want %d", n, maxOpen)
	}
	if a := b.Due(noon.Add(Quiet)); len(a) != 1 || a[0].Further != 3*maxOpen-2 {
		t.Errorf("%+v", a)
	}
	raw, err := b.Marshal()
	if err != nil || len(raw) > maxBook/4 {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
}

// TestBookDamaged: a file that is no book is an error, never a panic.
func TestBookDamaged(t *testing.T) {
	for _, raw := range []string{"", "{", `{"version":2}`, `[]`, `{"version":1,"causes":{"missing":{"more":3}}}`} {
		if b, err := UnmarshalBook(testNode, []byte(raw)); err == nil {
			if alerts := b.Due(noon); len(alerts) > 0 {
				t.Errorf("%q: %v", raw, alerts)
			}
		}
	}
}

func TestReach(t *testing.T) {
	var r Reach
	var got strings.Builder
	for i, c := range "gbbgbbbbggbbbb" {
		for range 2 { // a repeated round counts once
			switch down, up := r.Round(uint64(i+1), c == 'g'); {
			case down:
				fmt.Fprintf(&got, "down@%d ", i+1)
			case up:
				fmt.Fprintf(&got, "up@%d ", i+1)
			}
		}
	}
	if want := "down@7 up@9 down@13 "; got.String() != want {
		t.Errorf("%q, want %q", got.String(), want)
	}
	r = Reach{}
	r.Since(true)
	if _, up := r.Round(5, true); !up {
		t.Error("after a restart the end of trouble is not seen")
	}
}
