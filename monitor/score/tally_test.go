package score

import (
	"testing"

	"walrus/monitor/round"
)

// scene of ten monitors, none of them a node, and one node.
func ten() (*round.Assignment, map[round.Key]*round.Attestation) {
	var ms []round.Monitor
	attested := map[round.Key]*round.Attestation{}
	for i := range 10 {
		ms = append(ms, round.Monitor{Key: numbered(i), Weight: ShardWeight})
	}
	return round.Assign(round.Seed{1}, ms, []round.Key{numbered(100)}), attested
}

func says(attested map[round.Key]*round.Attestation, from, to int, r round.Result) {
	for i := from; i < to; i++ {
		attested[numbered(i)] = &round.Attestation{Epoch: 1, Monitor: numbered(i), Results: []round.Result{r}}
	}
}

func result(o round.Outcome) round.Result {
	if o.Answered() {
		return round.Result{Outcome: o, RTT: 60}
	}
	return round.Result{Outcome: o}
}

// TestTally: who counts, and what a round's votes come to.
func TestTally(t *testing.T) {
	none, best, worst, half := Datum{}, Datum{Whole, true}, Datum{0, true}, Datum{Whole / 2, true}
	type vote struct {
		count int
		o     round.Outcome
	}
	for _, tt := range []struct {
		name                           string
		votes                          []vote
		outcome                        round.Outcome
		durability, reachability, line Datum
	}{
		{"all well", []vote{{10, round.OK}}, round.OK, best, best, best},
		{"slow is well", []vote{{4, round.OK}, {6, round.Slow}}, round.Slow, best, best, best},
		{"nobody", nil, round.NotAsked, none, none, none},
		{"no more than a third", []vote{{3, round.Missing}}, round.NotAsked, none, none, none},
		{"more than a third", []vote{{4, round.Missing}}, round.Missing, worst, best, none},
		{"four of ten lie", []vote{{4, round.Wrong}, {6, round.OK}}, round.OK, best, best, best},
		{"six see it", []vote{{4, round.OK}, {6, round.Wrong}}, round.Wrong, worst, best, none},
		{"silence is no evidence", []vote{{10, round.Timeout}}, round.Timeout, none, worst, none},
		{"lies about silence are none", []vote{{4, round.Missing}, {6, round.Timeout}}, round.Timeout, none, worst, none},
		{"it answers only some", []vote{{4, round.OK}, {6, round.Unreachable}}, round.Unreachable, none, worst, none},
		{"half and half", []vote{{5, round.OK}, {5, round.Unreachable}}, round.OK, Datum{Whole * 3 / 4, true}, half, none},
		{"half and half, of evidence", []vote{{5, round.OK}, {5, round.Missing}}, round.OK, none, best, none},
		{"not asked says nothing", []vote{{3, round.OK}, {7, round.NotAsked}}, round.NotAsked, none, none, none},
	} {
		a, attested := ten()
		at := 0
		for _, v := range tt.votes {
			says(attested, at, at+v.count, result(v.o))
			at += v.count
		}
		a, widen := wide(a)
		widen(attested)
		got := Tally(a, 1, attested, nil)[0]
		if got.Outcome != tt.outcome || got.Durability != tt.durability || got.Reachability != tt.reachability ||
			got.Speed != tt.line {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}

// wide adds two nodes that all monitors find well, so that the round of one that finds the first silent counts.
func wide(a *round.Assignment) (*round.Assignment, func(map[round.Key]*round.Attestation)) {
	nodes := append(append([]round.Key(nil), a.Nodes...), numbered(101), numbered(102))
	return round.Assign(round.Seed{1}, a.Monitors, nodes), func(attested map[round.Key]*round.Attestation) {
		for _, at := range attested {
			at.Results = append(at.Results[:1:1], result(round.OK), result(round.OK))
		}
	}
}

// TestTallyIgnores: attestations that say nothing about the node do not count, for good or ill.
func TestTallyIgnores(t *testing.T) {
	a, _ := ten()
	bad := result(round.Missing)
	for name, change := range map[string]func(*round.Attestation){
		"void":                       func(at *round.Attestation) { at.Void = true },
		"another epoch":              func(at *round.Attestation) { at.Epoch = 2 },
		"a vector of another length": func(at *round.Attestation) { at.Results = append(at.Results, bad) },
		"a round in which it reached nobody": func(at *round.Attestation) {
			at.Results = []round.Result{result(round.Unreachable)}
		},
	} {
		attested := map[round.Key]*round.Attestation{}
		says(attested, 0, 10, bad)
		for _, at := range attested {
			change(at)
		}
		if got := Tally(a, 1, attested, nil)[0]; got.Reports != 0 || got.Durability.Known || got.Reachability.Known {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// those that were not assigned, or have no weight
	attested := map[round.Key]*round.Attestation{}
	says(attested, 0, 10, result(round.OK))
	honest := Tally(a, 1, attested, nil)[0]
	says(attested, 1000, 2000, bad)
	if got := Tally(a, 1, attested, nil)[0]; got != honest {
		t.Errorf("a thousand without weight changed %+v to %+v", honest, got)
	}
}

// TestRebuttals turn silence into slowness, for an eighth of the weight at most, and for their epoch and accuser alone.
func TestRebuttals(t *testing.T) {
	a, widen := wide(func() *round.Assignment { a, _ := ten(); return a }())
	rebut := func(epoch uint32, from, to int) (rs []*round.Rebuttal) {
		for i := from; i < to; i++ {
			rs = append(rs, &round.Rebuttal{Epoch: epoch, Accuser: numbered(i), Node: numbered(100)})
		}
		return rs
	}
	for _, tt := range []struct {
		name      string
		silent    int
		rebuttals []*round.Rebuttal
		want      uint16
	}{
		{"five are silent", 5, nil, Whole / 2},
		{"one of them is rebutted", 5, rebut(1, 0, 1), Whole},
		{"in another epoch", 5, rebut(2, 0, 1), Whole / 2},
		{"of others", 5, rebut(1, 5, 10), Whole / 2},
		{"friends rebut all", 7, rebut(1, 0, 7), 0},
	} {
		attested := map[round.Key]*round.Attestation{}
		says(attested, 0, tt.silent, result(round.Timeout))
		says(attested, tt.silent, 10, result(round.OK))
		widen(attested)
		if got := Tally(a, 1, attested, tt.rebuttals)[0]; got.Reachability != (Datum{tt.want, true}) {
			t.Errorf("%s: %+v, want %d", tt.name, got.Reachability, tt.want)
		}
	}
}

// TestSpeed: 400 ms and 256 KiB/s hold nobody up; each doubling costs twenty points.
func TestSpeed(t *testing.T) {
	const full, twelfth = round.Code(fullRTT), 12
	if d := full.RTT().Milliseconds(); d < 385 || d > 401 {
		t.Errorf("full speed ends at %d ms", d)
	}
	if r := round.Code(fullRate).Rate() >> 10; r < 248 || r > 256 {
		t.Errorf("full speed ends at %d KiB/s", r)
	}
	for _, tt := range []struct {
		rtt, rate round.Code
		want      uint32
	}{
		{1, 0, Whole}, {full, 0, Whole}, {full + twelfth, 0, 8008}, {full + 5*twelfth, 0, 40}, {255, 0, 0}, {1, fullRate, Whole},
		{1, fullRate - twelfth, 8008}, {1, 1, 0}, {full + twelfth, 255, 8008},
	} {
		if got := speedOf(round.Result{Outcome: round.OK, RTT: tt.rtt, Rate: tt.rate}); got != tt.want {
			t.Errorf("round trip %d, rate %d: %d, want %d", tt.rtt, tt.rate, got, tt.want)
		}
	}
}

func TestHistogram(t *testing.T) {
	var samples []Sample[string]
	for i, answered := range []int{10, 3, 4, 9, 4, 10} {
		samples = append(samples, Sample[string]{string(rune('a' + i)), answered, uint64(i)})
	}
	h, nearest := Histogram(samples, 10, 4, 3)
	want := Redundancy{Lost: 1}
	want.Buckets[0], want.Buckets[8], want.Buckets[10] = 2, 1, 2
	if h != want {
		t.Errorf("%+v, want %+v", h, want)
	}
	if len(nearest) != 3 || nearest[0].Blob != "b" || nearest[1].Blob != "e" || nearest[2].Blob != "c" {
		t.Errorf("nearest to loss: %v", nearest)
	}
	if _, all := Histogram(samples, 10, 4, 99); len(all) != len(samples) {
		t.Error("the limit adds samples")
	}
	if h, _ := Histogram(samples[:1], 4, 4, -1); h.Buckets[10] != 1 {
		t.Error("without redundancy, complete is complete")
	}
}
