package round

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/crypto/blake2b"
)

var seeds = flag.Int("round.seeds", 300, "histories of a book that are replayed")

// kind of a message in the pool, as the test made it.
type made struct {
	raw     []byte
	forged  bool // or of another network: must never be accepted
	by      Key
	round   uint64
	variant int
}

// pool makes messages of 4 nodes, 4 bonded monitors and 100 strangers for 4 rounds: two different ones of each, forged
// ones, ones of another network, with vectors of the wrong length, rebuttals, and bytes without sense.
func pool(t *testing.T) (all []made, nodes []Key) {
	for i := range 4 {
		nodes = append(nodes, keyOf(secret(i)))
	}
	add := func(m Message, x made) {
		raw, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		x.raw = raw
		all = append(all, x)
	}
	for i := range 108 {
		for number := uint64(100); number < 104; number++ {
			if i >= 8 && number > 100 {
				continue
			}
			for variant := range 4 {
				a := &Attestation{Round: number, Epoch: 1, Results: make([]Result, 4), Count: uint16(variant & 1)}
				for n := range a.Results {
					if n != i {
						a.Results[n] = Result{Outcome: Timeout}
						if n%2 == 0 {
							a.Results[n] = Result{Outcome: OK, RTT: 9}
						}
					}
				}
				network := testNetwork
				if variant == 2 {
					network[0]++
				}
				if variant == 3 {
					a.Results = a.Results[:3]
				}
				if err := a.Sign(network, secret(i)); err != nil {
					t.Fatal(err)
				}
				add(a, made{forged: variant > 1, by: a.Monitor, round: number, variant: variant})
				forged := *a
				forged.Receipts[3] = 1
				add(&forged, made{forged: true, by: a.Monitor, round: number})
			}
			r := &Rebuttal{Round: number, Epoch: 1, Accuser: keyOf(secret((i + 1) % 8)), Node: nodes[1], Receipt: []byte{1}}
			if err := r.Sign(testNetwork, secret(i)); err != nil {
				t.Fatal(err)
			}
			add(r, made{by: r.Member, round: number})
		}
	}
	all = append(all, made{raw: nil, forged: true}, made{raw: []byte{1}, forged: true}, made{raw: make([]byte, 99), forged: true})
	return all, nodes
}

// history plays random events of a seed on a new book and returns a hash of all decisions.
func history(t *testing.T, seed uint64, all []made, nodes []Key) [32]byte {
	r := rand.New(rand.NewPCG(seed, 13))
	b := NewBook(testNetwork, traceLength, func(*Rebuttal) error { return nil })
	h, _ := blake2b.New256(nil)
	now := Start(100, traceLength)
	kept := map[string]bool{}
	strangers := map[uint64]int{}
	var proofs [][]byte
	weights := func() {
		var ms []Monitor
		for i := range 8 {
			if r.IntN(6) > 0 {
				ms = append(ms, Monitor{keyOf(secret(i)), 1 + uint64(r.IntN(3))})
			}
		}
		b.SetMonitors(ms)
	}
	weights()
	b.SetCommittee(1, nodes)
	for range 60 {
		var m made
		switch r.IntN(20) {
		case 0:
			now = now.Add(time.Duration(r.IntN(int(traceLength))))
			continue
		case 1:
			weights()
			continue
		case 2:
			b.SetCommittee(2, nodes[:3])
			continue
		case 3:
			if len(proofs) == 0 {
				continue
			}
			m.raw = proofs[r.IntN(len(proofs))]
		default:
			m = all[r.IntN(len(all))]
			if r.IntN(3) == 0 { // closer together, so that contradictions are frequent
				m = all[r.IntN(200)]
			}
		}
		var before bool
		if len(m.raw) > 0 {
			_, before = b.Silent(m.by, now)
		}
		weight := b.weights[m.by]
		d := b.Step(now, m.raw)
		fmt.Fprintf(h, "%v %v %T %v\n", d.Verdict, d.Err, d.Keep, d.Proof != nil)
		switch a, isOne := d.Keep.(*Attestation); {
		case m.forged && d.Verdict == Accept:
			t.Fatalf("seed %d: a forged message of %v was accepted", seed, m.by)
		case (d.Err == nil) != (d.Verdict == Accept), d.Verdict != Accept && (d.Keep != nil || d.Proof != nil):
			t.Fatalf("seed %d: %+v", seed, d)
		case isOne && (before || kept[string(m.by[:])+fmt.Sprint(a.Round)] && weight == 0):
			t.Fatalf("seed %d: %v is heard in round %d though silent, or twice", seed, m.by, a.Round)
		case isOne:
			kept[string(m.by[:])+fmt.Sprint(a.Round)] = true
			if weight == 0 {
				if strangers[a.Round]++; strangers[a.Round] > MaxStrangers {
					t.Fatalf("seed %d: %d strangers in round %d", seed, strangers[a.Round], a.Round)
				}
			}
		}
		if d.Proof != nil {
			raw, err := d.Proof.Encode()
			if err != nil || d.Proof.Verify(testNetwork) != nil {
				t.Fatalf("seed %d: a proof that proves nothing: %v", seed, err)
			}
			if _, silent := b.Silent(d.Proof.First.Monitor, now); !silent {
				t.Fatalf("seed %d: a contradiction without silence", seed)
			}
			proofs = append(proofs, raw)
		}
	}
	return [32]byte(h.Sum(nil))
}

// TestReplay: the same events lead to the same decisions, bit for bit, whatever hostile peers send.
func TestReplay(t *testing.T) {
	all, nodes := pool(t)
	var sum [32]byte
	for seed := range uint64(*seeds) {
		one := history(t, seed, all, nodes)
		if one != history(t, seed, all, nodes) {
			t.Fatalf("seed %d was decided in two ways", seed)
		}
		if seed < 100 {
			sum = blake2b.Sum256(append(sum[:], one[:]...))
		}
	}
	const want = "d0f5ef69139ceaee"
	if got := hex.EncodeToString(sum[:8]); *seeds >= 100 && got != want {
		t.Errorf("the first 100 histories have hash %s, want %s", got, want)
	}
}

// TestCrowd: a thousand identities without weight take their places and no more, and take none from others.
func TestCrowd(t *testing.T) {
	nodes := []Key{keyOf(secret(0)), keyOf(secret(1))}
	b := NewBook(testNetwork, traceLength, nil)
	b.SetCommittee(1, nodes)
	b.SetMonitors(equal(nodes, 1))
	now := Start(100, traceLength)
	accepted := 0
	send := func(i int, forge bool) Decision {
		a := &Attestation{Round: 100, Epoch: 1, Results: []Result{{}, {}}}
		if err := a.Sign(testNetwork, secret(i)); err != nil {
			t.Fatal(err)
		}
		if forge {
			a.Count++
		}
		raw, _ := a.Encode()
		return b.Step(now, raw)
	}
	for i := range 1000 {
		if d := send(100+i, i%10 == 0); d.Verdict == Accept {
			accepted++
		} else if i%10 > 0 && !errors.Is(d.Err, ErrCrowded) {
			t.Fatal(d.Err)
		}
	}
	if accepted != MaxStrangers {
		t.Errorf("%d strangers were accepted, want %d", accepted, MaxStrangers)
	}
	for i := range nodes {
		if d := send(i, false); d.Verdict != Accept {
			t.Errorf("a member after them: %v", d.Err)
		}
	}
	b.Step(now.Add(time.Hour), nil)
	b.Step(now.Add(time.Hour), mustEncode(t, &Rebuttal{Receipt: []byte{1}}))
	if len(b.rounds) != 0 {
		t.Errorf("%d rounds are remembered for ever", len(b.rounds))
	}
}

// TestRebuttalsBounded: friends do not fill the memory.
func TestRebuttalsBounded(t *testing.T) {
	nodes := make([]Key, 30)
	for i := range nodes {
		nodes[i] = keyOf(secret(i))
	}
	b := NewBook(testNetwork, traceLength, func(*Rebuttal) error { return nil })
	b.SetCommittee(1, nodes)
	b.SetMonitors(equal(nodes, 1))
	now := Start(100, traceLength)
	step := func(m Message) Decision { return b.Step(now, mustEncode(t, m)) }
	for i := range 20 {
		a := &Attestation{Round: 100, Epoch: 1, Results: make([]Result, len(nodes))}
		for n := range a.Results {
			if n != i {
				a.Results[n] = Result{Outcome: OK, RTT: 1}
			}
		}
		a.Results[29] = Result{Outcome: Timeout}
		if err := a.Sign(testNetwork, secret(i)); err != nil {
			t.Fatal(err)
		}
		if d := step(a); d.Verdict != Accept {
			t.Fatal(d.Err)
		}
	}
	accepted := 0
	for i := range 20 {
		r := &Rebuttal{Round: 100, Epoch: 1, Accuser: nodes[i], Node: nodes[29], Receipt: []byte{1}}
		if err := r.Sign(testNetwork, secret((i+1)%20)); err != nil {
			t.Fatal(err)
		}
		if d := step(r); d.Verdict == Accept {
			accepted++
		} else if !errors.Is(d.Err, ErrCrowded) {
			t.Fatal(d.Err)
		}
	}
	if accepted != MaxRebuttals {
		t.Errorf("%d rebuttals, want %d", accepted, MaxRebuttals)
	}
}

func mustEncode(t *testing.T, m Message) []byte {
	t.Helper()
	raw, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
