package machine

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"walrus/ledger"
	"walrus/ledger/merkle"
)

var update = flag.Bool("update", false, "write what the traces in testdata give now")

// TestTraces runs the scripts in testdata. A script is made of steps: a command, for blocks its transactions a line
// each, a line ----, and what came of it, up to an empty line. Lines that begin with # between steps are comments.
func TestTraces(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no traces: %v", err)
	}
	seen := make(map[string]bool)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runTrace(t, string(b), seen)
			switch {
			case *update:
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			case got != string(b):
				t.Errorf("the rules give another trace; if that is right, run the test with -update:\n%s",
					firstDifference(string(b), got))
			}
		})
	}
	for code := range ledger.CodeProof + 1 {
		if code != ledger.CodeInternal && !seen[code.String()] {
			t.Errorf("no trace comes to %v", code)
		}
	}
	for _, op := range []string{
		"transfer", "buyStorage", "splitStorage", "mergeStorage", "offerStorage", "registerBlob",
		"certifyBlob", "extendBlob",
		"deleteBlob", "shareBlob", "fundBlob", "offerBlob", "burnBlob", "setAttributes",
		"disproveBlob", "refuteBlob", "bondMonitor", "unbondMonitor", "acceptOffer", "withdrawOffer",
	} {
		for _, code := range []ledger.Code{ledger.CodeOK, ledger.CodeNotFound} {
			if !seen[op+" "+code.String()] && op != "buyStorage" && op != "bondMonitor" {
				t.Errorf("no trace has %s come to %v", op, code)
			}
		}
	}
}

// runTrace is the script with the results of this run.
func runTrace(t *testing.T, script string, seen map[string]bool) string {
	var out strings.Builder
	s := &scene{seen: seen}
	lines := strings.Split(strings.TrimRight(script, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		if lines[i] == "" || strings.HasPrefix(lines[i], "#") {
			out.WriteString(lines[i] + "\n")
			continue
		}
		var step []string
		for ; i < len(lines) && lines[i] != "----"; i++ {
			if lines[i] == "" {
				t.Fatalf("line %d: a step without ----", i+1)
			}
			step = append(step, lines[i])
		}
		for ; i < len(lines) && lines[i] != ""; i++ { // what it gave last time
		}
		fmt.Fprintf(&out, "%s\n----\n%s", strings.Join(step, "\n"), s.run(t, step))
		if i < len(lines) {
			out.WriteString("\n")
		}
	}
	return out.String()
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d\nwant %s\ngot  %s", i+1, w[i], g[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

// run does one step and says what came of it.
func (s *scene) run(t *testing.T, step []string) string {
	t.Helper()
	words := strings.Fields(step[0])
	switch command, args := words[0], newArgs(t, words[1:]); command {
	case "genesis":
		return s.genesis(t, args)
	case "block":
		return s.block(t, args, step[1:])
	case "show":
		return s.show(t, args)
	default:
		t.Fatalf("there is no command %q", command)
		return ""
	}
}

// block applies a block and describes it.
func (s *scene) block(t *testing.T, a args, lines []string) string {
	t.Helper()
	s.time += a.duration("+", 0).Nanoseconds()
	s.names["this"] = ""
	var txs [][]byte
	next := map[string]uint64{}
	for _, line := range lines {
		txs = append(txs, s.transaction(t, strings.TrimSpace(line), next))
	}
	block := Block{Height: s.height + 1, Time: s.time, Txs: txs}
	before := s.Tree.Root()
	parallel, err := s.Apply(block, Options{Workers: 3, eager: true})
	if err != nil {
		t.Fatal(err)
	}
	out := s.commit(t, Options{Workers: 1}, txs...)
	if s.Tree.Root() != parallel.Tree.Root() || !reflect.DeepEqual(out.Results, parallel.Results) ||
		!reflect.DeepEqual(out.Changes, parallel.Changes) {
		t.Fatalf("3 workers come to another result than one")
	}
	checkState(t, s.network)
	var b strings.Builder
	for i, e := range out.Events {
		// Of many epochs in a row that paid nothing the first and the last are enough.
		quiet := func(j int) bool {
			return j >= 0 && j < len(out.Events) &&
				reflect.DeepEqual(out.Events[j], ledger.Event{Kind: ledger.EventEpoch, Epoch: out.Events[j].Epoch})
		}
		switch {
		case !quiet(i-1) || !quiet(i) || !quiet(i+1):
			b.WriteString(s.describe(e) + "\n")
		case !quiet(i - 2):
			b.WriteString("…\n")
		}
	}
	for i, r := range out.Results {
		s.note(txs[i], r)
		who, _, _ := strings.Cut(strings.TrimSpace(lines[i]), " ")
		who = strings.TrimSuffix(who, ":")
		if r.Code == ledger.CodeOK {
			fmt.Fprintf(&b, "%s: ok, fee %d, spent %d\n", who, r.Fee, r.Spent)
		} else {
			fmt.Fprintf(&b, "%s: %v, fee %d: %s\n", who, r.Code, r.Fee, r.Err())
		}
		for _, e := range r.Events {
			b.WriteString("  " + s.describe(e) + "\n")
		}
	}
	if root := s.Tree.Root(); root == before {
		b.WriteString("root unchanged\n")
	} else {
		fmt.Fprintf(&b, "root %x\n", root[:8])
	}
	return s.inWords(b.String())
}

// checkState checks what holds of every state.
func checkState(t testing.TB, n *network) {
	t.Helper()
	var all []Change
	for key, value := range n.values {
		all = append(all, Change{Key: []byte(key), Value: bytes.Clone(value)})
	}
	if merkle.Build(all).Root() != n.Tree.Root() {
		t.Fatal("the tree made of the values has another root")
	}
	if err := audit(n.values, n.genesis); err != nil {
		t.Fatal(err)
	}
}
