package score

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"walrus/monitor/round"
)

var update = flag.Bool("update", false, "write the traces anew")

// TestTraces plays the scripts of testdata: what twelve monitors of equal weight find out about one node, round by
// round, and below it the node's scores.
//
//	3 rounds: 7 ok, 5 timeout     five find it silent; also: 2 void, 3 silent (they attest nothing)
//	from ok at 250ms              the round trip that all measure from now on
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

var outcomes = map[string]round.Outcome{"ok": round.OK, "slow": round.Slow, "missing": round.Missing, "wrong": round.Wrong,
	"timeout": round.Timeout, "unreachable": round.Unreachable, "void": round.OK}

func play(t *testing.T, script string) string {
	var out strings.Builder
	var s Standing
	nodes := []round.Key{numbered(100), numbered(101), numbered(102)}
	var ms []round.Monitor
	for i := range 12 {
		ms = append(ms, round.Monitor{Key: numbered(i), Weight: 1})
	}
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "    ") {
			continue
		}
		fmt.Fprintln(&out, line)
		if line == "" || line[0] == '#' {
			continue
		}
		count, votes, _ := strings.Cut(line, " round")
		_, votes, _ = strings.Cut(votes, ": ")
		rounds, err := strconv.Atoi(count)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		attested := map[round.Key]*round.Attestation{}
		at := 0
		for _, v := range strings.Split(votes, ", ") {
			words := strings.Fields(v)
			n, err := strconv.Atoi(words[0])
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			for ; n > 0; n-- {
				if o, attests := outcomes[words[1]]; attests {
					attested[numbered(at)] = &round.Attestation{Void: words[1] == "void", Epoch: 1,
						Results: []round.Result{result(o), result(round.OK), result(round.OK)}}
				}
				at++
			}
		}
		var v Verdict
		for range rounds {
			v = Tally(round.Assign(round.Seed{}, ms, nodes), 1, attested, nil)[0]
			s = Step(s, v)
		}
		fmt.Fprintf(&out, "    %v by %d; durability %s, reachability %s, speed %s\n", v.Outcome, v.Reports, words(s.Durability),
			words(s.Reachability), words(s.Speed))
	}
	return out.String()
}

func words(l Line) string {
	s, ok := l.Score()
	if !ok {
		return l.Level().String()
	}
	return fmt.Sprintf("%.2f %v", float64(s)/100, l.Level())
}

// TestSkip steps over rounds without data as Step does, in bounded time.
func TestSkip(t *testing.T) {
	s := Standing{}
	for range 50 {
		s = Step(s, Verdict{Durability: Datum{Whole, true}, Reachability: Datum{0, true}})
	}
	want := s
	for range 30 {
		want = Step(want, Verdict{})
	}
	if got := Skip(s, 30); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := Skip(s, 1<<63); got.Durability.Good != got.Durability.Good%Forget || got.Durability.Level() != NoData {
		t.Errorf("after ages: %+v", got)
	}
	if l := (Line{Age: ^uint32(0), Good: 1}).step(Datum{}); l.Age != ^uint32(0) {
		t.Error("the age starts anew")
	}
}
