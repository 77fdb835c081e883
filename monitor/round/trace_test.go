package round

import (
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/blake2b"

	"walrus/certs"
)

var update = flag.Bool("update", false, "write the traces anew")

// TestTraces plays the scripts of testdata. A script says line by line what happens. Below each line, indented, stands
// what is decided. Scripts of an observer's book, whose rounds last ten seconds:
//
//	committee 1 ana ben cem     the nodes of epoch 1
//	weights ana:1 out:1         from now on
//	at 100.5                    in the middle of round 100
//	ana attests 100 1 .ot       round, epoch, and an outcome for each node by its first letter, . for not asked;
//	                            then perhaps: void, forged, elsewhere (signed for another network)
//	ben rebuts 100 1 ana cem    round, epoch, accuser and node; then perhaps: forged, with another's answer
//	again                       the same bytes as before
//	the proof                   the last proof of a contradiction, gossiped
//	another observer            goes on, who has seen nothing so far
//
// Scripts of a probe begin with the length of a round. Then each line has the time since the visit, an event, and
// perhaps the round trip, bytes, and the time until the last byte.
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
			s := &scene{t: t, byName: map[Key]string{}}
			s.book = s.observer()
			got := s.play(string(b))
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

const traceLength = 10 * time.Second

// scene is a trace being played.
type scene struct {
	t      *testing.T
	out    strings.Builder
	now    time.Time
	byName map[Key]string

	book       *Book
	committees map[uint32][]Key
	weights    []Monitor
	last       []byte // message
	proof      *Equivocation

	length time.Duration
	probe  *Probe
}

func (s *scene) play(script string) string {
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "    ") {
			continue
		}
		fmt.Fprintln(&s.out, line)
		if line != "" && line[0] != '#' {
			s.event(strings.Fields(line))
		}
	}
	return s.out.String()
}

func (s *scene) say(format string, args ...any) { fmt.Fprintf(&s.out, "    "+format+"\n", args...) }

func (s *scene) event(words []string) {
	switch {
	case words[0] == "committee":
		epoch := uint32(s.number(words[1]))
		var nodes []Key
		for _, name := range words[2:] {
			nodes = append(nodes, s.key(name))
		}
		if s.committees == nil {
			s.committees = map[uint32][]Key{}
		}
		s.committees[epoch] = nodes
		s.book.SetCommittee(epoch, nodes)
	case words[0] == "weights":
		s.weights = nil
		for _, w := range words[1:] {
			name, weight, _ := strings.Cut(w, ":")
			s.weights = append(s.weights, Monitor{s.key(name), s.number(weight)})
		}
		s.book.SetMonitors(s.weights)
	case words[0] == "at":
		number, part, _ := strings.Cut(words[1], ".")
		s.now = Start(s.number(number), traceLength).Add(time.Duration(s.number(part)) * traceLength / 10)
	case words[0] == "again":
		s.step(s.last)
	case words[0] == "the":
		raw, err := s.proof.Encode()
		s.must(err)
		s.step(raw)
	case words[0] == "another":
		s.book = s.observer()
	case words[0] == "rounds":
		s.length, s.probe = s.duration(words[2]), &Probe{}
		p := PatienceOf(s.length)
		s.say("answer %v, pause %v, slow after %v, whole %v", p.Answer, p.Pause, p.Slow, p.Whole)
	case len(words) > 1 && words[1] == "attests":
		s.attests(words)
	case len(words) > 1 && words[1] == "rebuts":
		s.rebuts(words)
	default:
		s.probeEvent(words)
	}
}

// observer is a new one, who knows committees and weights.
func (s *scene) observer() *Book {
	b := NewBook(testNetwork, traceLength, func(r *Rebuttal) error {
		if want := "answer of " + s.byName[r.Node]; string(r.Receipt) != want {
			return errors.New("not the node's answer")
		}
		return nil
	})
	for epoch, nodes := range s.committees {
		b.SetCommittee(epoch, nodes)
	}
	b.SetMonitors(s.weights)
	return b
}

func (s *scene) attests(words []string) {
	a := &Attestation{Round: s.number(words[2]), Epoch: uint32(s.number(words[3]))}
	for _, letter := range words[4] {
		r := Result{Outcome: Outcome(strings.IndexRune(".osmwtu", letter))}
		if r.Outcome.Answered() {
			r.RTT = 100
		}
		a.Results = append(a.Results, r)
	}
	extra := strings.Join(words[5:], " ")
	a.Void = strings.Contains(extra, "void")
	s.send(words[0], extra, a, func() { a.Receipts[0]++ })
}

func (s *scene) rebuts(words []string) {
	r := &Rebuttal{Round: s.number(words[2]), Epoch: uint32(s.number(words[3])), Accuser: s.key(words[4]),
		Node: s.key(words[5]), Receipt: []byte("answer of " + words[5])}
	extra := strings.Join(words[6:], " ")
	if strings.Contains(extra, "another's") {
		r.Receipt = []byte("answer of another")
	}
	s.send(words[0], extra, r, func() { r.Receipt = append(r.Receipt, 'x') })
}

// send signs and steps; a forged message is changed after that.
func (s *scene) send(by, extra string, m interface {
	Message
	Sign(certs.NetworkID, ed25519.PrivateKey) error
}, forge func()) {
	network := testNetwork
	if strings.Contains(extra, "elsewhere") {
		network[0]++
	}
	s.must(m.Sign(network, s.secret(by)))
	if strings.Contains(extra, "forged") {
		forge()
	}
	raw, err := m.Encode()
	s.must(err)
	s.step(raw)
}

func (s *scene) step(raw []byte) {
	s.last = raw
	d := s.book.Step(s.now, raw)
	if (d.Err == nil) != (d.Verdict == Accept) {
		s.t.Errorf("%v with error %v", d.Verdict, d.Err)
	}
	text := d.Verdict.String()
	if d.Err != nil {
		text += ": " + d.Err.Error()
		for k, name := range s.byName {
			text = strings.ReplaceAll(text, k.String(), name)
		}
	}
	switch d.Keep.(type) {
	case *Attestation:
		text += " and count it"
	case *Rebuttal:
		text += " and keep the rebuttal"
	case *Equivocation:
		text += " and keep the proof"
	}
	s.say("%s", text)
	if d.Proof != nil {
		s.proof = d.Proof
		until, silent := s.book.Silent(d.Proof.First.Monitor, s.now)
		s.say("%s contradicts itself: silent %v, until round %d", s.byName[d.Proof.First.Monitor], silent,
			Number(until, traceLength))
	}
}

var eventNames = map[string]Event{"begin": Begin, "unconnected": NoConnection, "right": Right, "lacking": Lacking,
	"false": False, "denied": Denied, "busy": Busy, "silence": Silence, "again": Again, "late": Late}

func (s *scene) probeEvent(words []string) {
	e, ok := eventNames[words[1]]
	if !ok || s.probe == nil {
		s.t.Fatalf("%q: what is that?", words)
	}
	if s.now.IsZero() {
		s.now = time.Unix(0, 0)
	}
	h := Happened{Event: e}
	if len(words) > 2 {
		h.RTT = s.duration(words[2])
		h.Took = h.RTT
	}
	if len(words) > 3 {
		h.Size = int64(s.number(words[3]))
		h.Took = s.duration(words[4])
	}
	a := s.probe.Step(time.Unix(0, 0).Add(s.duration(words[0])), PatienceOf(s.length), h)
	switch {
	case a.Done:
		s.say("%v, round trip %v, %d bytes/s", a.Result.Outcome, a.Result.RTT.RTT().Round(time.Millisecond), a.Result.Rate.Rate())
		s.probe = &Probe{}
	case a.Ask:
		s.say("ask question %d", a.Question)
	default:
		s.say("try again at %v", a.Wait.Sub(time.Unix(0, 0)))
	}
}

func (s *scene) secret(name string) ed25519.PrivateKey {
	h := blake2b.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(h[:])
}

func (s *scene) key(name string) Key {
	k := keyOf(s.secret(name))
	s.byName[k] = name
	return k
}

func (s *scene) number(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	s.must(err)
	return n
}

func (s *scene) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	s.must(err)
	return d
}

func (s *scene) must(err error) {
	if err != nil {
		s.t.Helper()
		s.t.Fatal(err)
	}
}
