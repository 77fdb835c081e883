package round

import (
	"errors"
	"testing"
	"time"
)

// TestContradictionsBounded: a monitor that contradicts itself in every round of a month makes others keep and pass on
// about one proof for each day of it.
func TestContradictionsBounded(t *testing.T) {
	b := NewBook(testNetwork, traceLength, nil)
	b.SetCommittee(1, []Key{keyOf(secret(0))})
	b.SetMonitors([]Monitor{{keyOf(secret(1)), 1}})
	last := Number(Start(1, traceLength).Add(40*24*time.Hour), traceLength)
	now, kept, sent := Start(last, traceLength), 0, 0
	for number := last - uint64(29*24*time.Hour/traceLength); number <= last; number += uint64(time.Hour / traceLength) {
		var two [2]*Attestation
		for i := range two {
			two[i] = &Attestation{Round: number, Epoch: 1, Count: uint16(i), Results: []Result{{Outcome: Timeout}}}
			if err := two[i].Sign(testNetwork, secret(1)); err != nil {
				t.Fatal(err)
			}
		}
		proof, err := NewEquivocation(two[0], two[1])
		if err != nil {
			t.Fatal(err)
		}
		sent++
		if d := b.Step(now, mustEncode(t, proof)); d.Keep != nil {
			kept++
		}
	}
	if days := int(SilenceTime / (24 * time.Hour)); kept < 1 || kept > days || sent < 600 {
		t.Errorf("%d of %d proofs were kept: want at most one for each of %d days", kept, sent, days)
	}
	if until, silent := b.Silent(keyOf(secret(1)), now); !silent || now.Add(SilenceTime).Sub(until) > LongerSilence {
		t.Errorf("silent until %v at %v", until, now)
	}
}

// TestStrangersTakeNoRebuttals: rebuttals of what strangers attest, which counts nothing, take no place from others.
func TestStrangersTakeNoRebuttals(t *testing.T) {
	nodes := make([]Key, 30)
	for i := range nodes {
		nodes[i] = keyOf(secret(i))
	}
	b := NewBook(testNetwork, traceLength, func(*Rebuttal) error { return nil })
	b.SetCommittee(1, nodes)
	b.SetMonitors(equal(nodes, 1))
	now := Start(100, traceLength)
	rebut := func(by, accuser int) Decision {
		a := &Attestation{Round: 100, Epoch: 1, Results: make([]Result, len(nodes))}
		a.Results[20], a.Results[29] = Result{Outcome: OK, RTT: 1}, Result{Outcome: Timeout}
		if err := a.Sign(testNetwork, secret(accuser)); err != nil {
			t.Fatal(err)
		}
		if d := b.Step(now, mustEncode(t, a)); d.Verdict != Accept {
			t.Fatal(d.Err)
		}
		r := &Rebuttal{Round: 100, Epoch: 1, Accuser: keyOf(secret(accuser)), Node: nodes[29], Receipt: []byte{1}}
		if err := r.Sign(testNetwork, secret(by)); err != nil {
			t.Fatal(err)
		}
		return b.Step(now, mustEncode(t, r))
	}
	for i := range MaxRebuttals {
		if d := rebut(i, 100+i); !errors.Is(d.Err, ErrRebuttal) {
			t.Errorf("a rebuttal of a stranger: %v, %v", d.Verdict, d.Err)
		}
	}
	if d := rebut(11, 10); d.Verdict != Accept {
		t.Errorf("a rebuttal of a member: %v", d.Err)
	}
}
