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
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no traces: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(b))
			if *update {
				err = os.WriteFile(file, []byte(got), 0o644)
			} else if got != string(b) {
				t.Errorf("decided otherwise; if that is right, run the test with -update and read the diff:\n%s", got)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// scene is a trace being played: of symbols or of rows.
type scene struct {
	t       *testing.T
	out     strings.Builder
	names   []string
	owner   []int
	holders Holders
	local   int
	ended   bool

	plan *plan

	rows   *Rows
	stored []int          // rows in the cache
	motion map[int]Motion // of fetches under way, by row
}

// play returns the script with what is decided.
func play(t *testing.T, script string) string {
	s := &scene{t: t, local: -1, motion: map[int]Motion{}}
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "    ") {
			continue
		}
		fmt.Fprintln(&s.out, line)
		if line != "" && line[0] != '#' && !s.set(strings.Fields(line)) {
			s.event(line)
		}
	}
	return s.out.String()
}

// set takes a line that describes the scene.
func (s *scene) set(words []string) bool {
	switch words[0] {
	case "holders":
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
		s.holders = NewHolders(len(s.names))
	case "local":
		s.local = slices.Index(s.names, words[1])
	case "silent":
		s.holders.Silence(slices.Index(s.names, words[1]))
	case "stored":
		s.stored = append(s.stored, s.number(words[1]))
	case "need": // need 3 window 2, perhaps: batch 4
		order := make([]int, len(s.owner))
		for i := range order {
			order[i] = i
		}
		batch := 1
		if len(words) > 4 {
			batch = s.number(words[5])
		}
		s.plan = newPlan(s.number(words[1]), s.number(words[3]), batch, s.local, s.owner, order, s.holders)
	case "pinned": // after need: slivers that come first, with no others
		for _, word := range words[1:] {
			s.plan.pinned[s.number(word)] = true
		}
	case "hope": // after need
		hope, err := time.ParseDuration(words[1])
		if err != nil {
			s.t.Fatal(err)
		}
		s.plan.hope = hope
	case "read": // read 0 to 3 sources 4 window 2
		s.rows = NewRows(RowsConfig{
			Next: s.number(words[1]), End: s.number(words[3]) + 1, Sources: s.number(words[5]),
			Window: s.number(words[7]), Decoding: 32,
			Owner: s.owner, Holders: s.holders, Stored: func(i int) bool { return slices.Contains(s.stored, i) },
			Patience: Patience{Hedge: 2 * time.Second, Dial: time.Second, First: 4 * time.Second},
		})
	default:
		return false
	}
	return true
}

func (s *scene) number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// event plays one line, such as "200ms a is busy for 3".
func (s *scene) event(line string) {
	at, what, _ := strings.Cut(line, " ")
	passed, err := time.ParseDuration(at)
	switch {
	case err != nil:
		s.t.Fatalf("%q: %v", line, err)
	case s.ended:
		s.t.Fatalf("%q: it has ended", line)
	}
	now := time.Unix(0, 0).Add(passed)
	before := s.holders.Clone()
	name, rest, _ := strings.Cut(what, " ")
	cut := strings.LastIndex(rest, " ")
	if what == "nothing yet" {
		name, cut = "", -1
	}
	sliver := -1
	if cut >= 0 {
		sliver = s.number(rest[cut+1:])
		rest = rest[:cut]
		if owner := s.names[s.owner[sliver]]; owner != name {
			s.t.Fatalf("%q: sliver %d belongs to %s", line, sliver, owner)
		}
	}
	if s.plan != nil {
		d := s.symbols(now, rest, sliver)
		s.tellHolders(before)
		s.tell(d)
		return
	}
	s.rowEvent(now, rest, sliver)
	s.tellHolders(before)
	s.tellRows(now)
}

// outcome finds the words for what came of a request.
func (s *scene) outcome(words string) error {
	err, known := outcomes[words]
	if !known {
		s.t.Fatalf("%q: no outcome is called that", words)
	}
	return err
}

func (s *scene) symbols(now time.Time, what string, sliver int) decision {
	if sliver < 0 {
		return s.plan.look(now)
	}
	if _, asked := s.plan.flying[sliver]; !asked {
		s.t.Fatalf("nobody asked for %d", sliver)
	}
	if err := s.outcome(what); err != nil {
		return s.plan.failed(now, sliver, err)
	}
	return s.plan.delivered(now, sliver)
}

func (s *scene) rowEvent(now time.Time, what string, row int) {
	switch {
	case row < 0:
		s.rows.Look(now, func(i int) Motion { return s.motion[i] })
		return
	case what == "sends part of":
		s.motion[row] = Motion{Connected: true, Moved: now}
		return
	}
	if _, asked := s.motion[row]; !asked {
		s.t.Fatalf("nobody asked for %d", row)
	}
	delete(s.motion, row)
	if err := s.outcome(what); err != nil {
		s.rows.Failed(now, row, err)
		return
	}
	stored := slices.Contains(s.stored, row)
	if s.rows.Arrived(row, !stored); !stored {
		s.rows.Took(now.Sub(s.rows.start[row]))
	}
}

func (s *scene) say(format string, args ...any) { fmt.Fprintf(&s.out, "    "+format+"\n", args...) }

// name returns a sliver with its holder.
func (s *scene) name(sliver int) string {
	return fmt.Sprintf("%s for %d", s.names[s.owner[sliver]], sliver)
}

// tellHolders writes what changed in the record of the holders.
func (s *scene) tellHolders(before Holders) {
	for i := range s.holders {
		switch old, h := &before[i], &s.holders[i]; {
		case h.out && !old.out && Judge(h.err) == Lied:
			s.say("%s lied and is not asked again", s.names[i])
		case h.out && !old.out:
			s.say("%s is not asked again: %v", s.names[i], h.err)
		case h.until.After(old.until):
			s.say("%s rests until %v", s.names[i], h.until.Sub(time.Unix(0, 0)))
		case h.silent && !old.silent:
			s.say("%s is silent", s.names[i])
		case old.silent && !h.silent:
			s.say("%s is forgiven", s.names[i])
		case h.late && !old.late:
			s.say("%s is slow", s.names[i])
		}
	}
}

// tell writes what is decided about symbols.
func (s *scene) tell(d decision) {
	for _, sliver := range d.late {
		s.say("no longer count on %s", s.name(sliver))
	}
	for _, slivers := range d.ask {
		s.say("ask %s for %s", s.names[s.owner[slivers[0]]], strings.Trim(fmt.Sprint(slivers), "[]"))
	}
	s.ended = d.end != open
	switch d.end {
	case done:
		s.say("done")
	case impossible:
		s.say("impossible: %d of %d", s.plan.got, s.plan.need)
		s.tellFailures()
	default:
		if !d.wake.IsZero() {
			s.say("look again at %v", d.wake.Sub(time.Unix(0, 0)))
		}
	}
}

// tellRows does what a reader does after each event, and writes what is decided about rows.
func (s *scene) tellRows(now time.Time) {
	for !s.rows.Done() && s.rows.Has(s.rows.Next) {
		s.say("write %d", s.rows.Next)
		s.rows.Wrote(s.rows.MustDecode())
	}
	if s.ended = s.rows.Done(); s.ended {
		s.say("done")
		return
	}
	if s.rows.CanDecode() {
		missing := s.rows.Missing()
		s.say("decode %v from %v", missing, s.rows.Inputs())
		for _, i := range missing {
			s.rows.Arrived(i, false)
			delete(s.motion, i)
		}
		s.rows.Decide(now)
		s.tellRows(now)
		return
	}
	decoding := s.rows.MustDecode()
	fetch := s.rows.Fetch(now, len(s.motion))
	if decoding != s.rows.MustDecode() {
		s.say(map[bool]string{true: "rows must be decoded", false: "no row must be decoded any more"}[s.rows.MustDecode()])
	}
	for _, i := range fetch {
		s.motion[i] = Motion{Moved: now}
		s.say("ask %s", s.name(i))
	}
	if s.ended = s.rows.Impossible(); s.ended {
		s.say("impossible: %d of %d", s.rows.Held(), s.rows.Sources)
		s.tellFailures()
	}
}

func (s *scene) tellFailures() {
	for _, f := range s.holders.Failures() {
		s.say("  %s: %v", s.names[f.Holder], f.Err)
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
