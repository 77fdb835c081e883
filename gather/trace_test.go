package gather

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"walrus/p2p"
	"walrus/shards"
)

var update = flag.Bool("update", false, "write the traces anew")

// outcomes are the words of a trace for what came of a request.
var outcomes = map[string]error{
	"delivers":       nil,
	"is busy for":    p2p.ErrBusy,
	"lacks":          p2p.ErrNotFound,
	"has damaged":    p2p.ErrCorrupt,
	"lies about":     shards.ErrSymbol,
	"breaks off":     p2p.ErrProtocol,
	"is down for":    p2p.ErrUnavailable,
	"is no owner of": p2p.ErrNotOwner,
}

// TestTraces plays the scripts of testdata. A script names the holders with their slivers, and what is wanted; then it
// says, line by line, what happens and when. Below each line, indented, stands what is decided.
func TestTraces(t *testing.T) {
	files, err := filepath.Glob("testdata/symbols-*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no traces: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			play(t, string(b), &out)
			if *update {
				err = os.WriteFile(file, []byte(out.String()), 0o644)
			} else if out.String() != string(b) {
				t.Errorf("decided otherwise; if that is right, run the test with -update and read the diff:\n%s", out.String())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// scene is a trace being played.
type scene struct {
	t     *testing.T
	names []string
	owner []int
	local int
	plan  *plan
	ended bool
}

// play copies the script to out with what is decided.
func play(t *testing.T, script string, out *strings.Builder) {
	s := &scene{t: t, local: -1}
	need, window := 0, 0
	var known []string
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "    ") {
			continue
		}
		fmt.Fprintln(out, line)
		words := strings.Fields(line)
		switch {
		case line == "" || line[0] == '#':
		case words[0] == "holders":
			for i, w := range words[1:] {
				name, slivers, _ := strings.Cut(w, ":")
				s.names = append(s.names, name)
				for _, text := range strings.Split(slivers, ",") {
					sliver := s.number(text)
					for len(s.owner) <= sliver {
						s.owner = append(s.owner, -1)
					}
					s.owner[sliver] = i
				}
			}
		case words[0] == "local":
			s.local = slices.Index(s.names, words[1])
		case words[0] == "silent":
			known = words[1:]
		case words[0] == "need":
			need, window = s.number(words[1]), s.number(words[3])
			holders := NewHolders(len(s.names))
			for _, name := range known {
				holders.Silence(slices.Index(s.names, name))
			}
			order := make([]int, len(s.owner))
			for i := range order {
				order[i] = i
			}
			s.plan = newPlan(need, window, s.local, s.owner, order, holders)
		default:
			s.event(line, out)
		}
	}
}

func (s *scene) number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// event plays one line, such as "200ms a is busy for 3".
func (s *scene) event(line string, out *strings.Builder) {
	at, what, _ := strings.Cut(line, " ")
	passed, err := time.ParseDuration(at)
	if err != nil {
		s.t.Fatalf("%q: %v", line, err)
	}
	now := time.Unix(0, 0).Add(passed)
	if s.ended {
		s.t.Fatalf("%q: it has ended", line)
	}
	before := s.plan.holders.Clone()
	if what == "nothing yet" {
		s.tell(before, s.plan.look(now), out)
		return
	}
	name, rest, _ := strings.Cut(what, " ")
	cut := strings.LastIndex(rest, " ")
	outcome, known := outcomes[rest[:cut]]
	sliver := s.number(rest[cut+1:])
	switch {
	case !known:
		s.t.Fatalf("%q: nothing is like that", line)
	case s.names[s.owner[sliver]] != name:
		s.t.Fatalf("%q: it belongs to %s", line, s.names[s.owner[sliver]])
	}
	if _, asked := s.plan.flying[sliver]; !asked {
		s.t.Fatalf("%q: nobody asked", line)
	}
	if outcome == nil {
		s.tell(before, s.plan.delivered(now, sliver), out)
	} else {
		s.tell(before, s.plan.failed(now, sliver, outcome), out)
	}
}

// tell writes what changed and what is decided.
func (s *scene) tell(before Holders, d decision, out *strings.Builder) {
	say := func(format string, args ...any) { fmt.Fprintf(out, "    "+format+"\n", args...) }
	since := func(at time.Time) time.Duration { return at.Sub(time.Unix(0, 0)) }
	for i := range s.plan.holders {
		old, h := &before[i], &s.plan.holders[i]
		switch {
		case h.out && !old.out && Judge(h.err) == Lied:
			say("%s lied and is not asked again", s.names[i])
		case h.out && !old.out:
			say("%s is not asked again: %v", s.names[i], h.err)
		case h.until.After(old.until):
			say("%s rests until %v", s.names[i], since(h.until))
		case old.silent && !h.silent:
			say("%s is forgiven", s.names[i])
		}
	}
	for _, sliver := range d.late {
		say("%s is late with %d: no longer counted on", s.names[s.owner[sliver]], sliver)
	}
	for _, sliver := range d.ask {
		say("ask %s for %d", s.names[s.owner[sliver]], sliver)
	}
	s.ended = d.end != open
	switch d.end {
	case done:
		say("done")
	case impossible:
		say("impossible: %d of %d", s.plan.got, s.plan.need)
		for _, f := range s.plan.holders.Failures() {
			say("  %s: %v", s.names[f.Holder], f.Err)
		}
	default:
		if !d.wake.IsZero() {
			say("look again at %v", since(d.wake))
		}
	}
}

// TestJudge: what a lie is worth must survive wrapping, and a lie is never forgotten for a later failure.
func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want Verdict
	}{
		{p2p.ErrBusy, Busy}, {p2p.ErrNotFound, Absent}, {p2p.ErrCorrupt, Absent}, {p2p.ErrUnavailable, Failed},
		{errors.New("else"), Failed}, {shards.ErrSliver, Lied}, {p2p.ErrProtocol, Lied},
	} {
		if got := Judge(fmt.Errorf("ask: %w", tt.err)); got != tt.want {
			t.Errorf("%v: verdict %d, want %d", tt.err, got, tt.want)
		}
	}
	h := NewHolders(1)
	h.Fail(time.Time{}, 0, shards.ErrSymbol)
	h.Fail(time.Time{}, 0, p2p.ErrUnavailable)
	if f := h.Failures(); len(f) != 1 || !f[0].Lied() || !h.Out(0) {
		t.Errorf("after a lie and a failure: %v", f)
	}
}
