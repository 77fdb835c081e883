// Package score decides who is believed how much, and what a node's scores are. It is pure: no clock, network, disk or
// chance, and integers only, so every observer with the same attestations has the same scores, bit for bit.
//
// Weights turns members and bonds into weights. For each round, Tally takes the attestations of the monitors that were
// assigned, and Step adds the verdict to a node's Standing. Start with Tally.
package score

import (
	"slices"

	"walrus/monitor/round"
)

// Datum is a value from 0 to Whole that a round gave for a line, or nothing.
type Datum struct {
	Value uint16
	Known bool
}

// Whole is the best value of a round and of a score: hundredths of a point, so 100 points.
const Whole = 100 * 100

// Verdict on one node in one round.
type Verdict struct {
	Assigned uint64 // weight of the votes that were assigned
	Reported uint64 // of those, weight of the votes that came and count
	Reports  int    // number of them
	// Outcome is the weighted median in the order of bySeverity, between two the milder. NotAsked if there is no verdict.
	Outcome round.Outcome
	// Lines of the round, by weighted median; not known if too little weight reported, or for want of answers.
	Durability, Reachability, Speed Datum
	RTT, Rate                       round.Code // weighted medians of those that measured
}

// Tally gives the verdict on each node, by index in the committee of epoch. attested has the accepted attestations of
// the round by monitor, rebuttals the accepted ones of the round. An attestation says something about a node only if
// its monitor was assigned to it, its round counts, and its vector is of this committee. If no more than a third of the
// assigned weight reports on a node there is no verdict: perhaps nobody honest is among them.
func Tally(a *round.Assignment, epoch uint32, attested map[round.Key]*round.Attestation,
	rebuttals []*round.Rebuttal) []Verdict {
	turned := rebutted(epoch, rebuttals)
	out := make([]Verdict, len(a.Nodes))
	for i := range out {
		var votes []vote
		for _, p := range a.Probers(i) {
			out[i].Assigned += p.Weight
			monitor := a.Monitors[p.Monitor].Key
			at := attested[monitor]
			if at == nil || at.Epoch != epoch || len(at.Results) != len(a.Nodes) || !at.Counts() {
				continue
			}
			if r := at.Results[i]; r.Outcome != round.NotAsked {
				votes = append(votes, vote{p.Weight, r, turned[pair{monitor, a.Nodes[i]}]})
			}
		}
		out[i].judge(votes)
	}
	return out
}

// pair of an accuser and a node.
type pair struct{ accuser, node round.Key }

func rebutted(epoch uint32, rebuttals []*round.Rebuttal) map[pair]bool {
	turned := map[pair]bool{}
	for _, r := range rebuttals {
		if r.Epoch == epoch {
			turned[pair{r.Accuser, r.Node}] = true
		}
	}
	return turned
}

// vote of one prober on one node.
type vote struct {
	weight   uint64
	result   round.Result
	rebutted bool
}

// judge makes the verdict out of the votes, in the order of the assignment.
func (v *Verdict) judge(votes []vote) {
	var all uint64
	for _, x := range votes {
		all += x.weight
	}
	v.Reported, v.Reports = all, len(votes)
	if all == 0 || 3*all <= v.Assigned {
		return
	}
	room := all / rebuttalShare
	var severe, durable, reachable, speed, rtt, rate []Vote
	for _, x := range votes {
		if o := x.result.Outcome; x.rebutted && o.Silent() && x.weight <= room {
			room -= x.weight
			x.result.Outcome = round.Slow
		}
		o := x.result.Outcome
		severe = append(severe, Vote{uint32(slices.Index(bySeverity, o)), x.weight})
		durable = append(durable, Vote{durabilityOf(o), x.weight})
		reachable = append(reachable, Vote{reachabilityOf(o), x.weight})
		if x.result.RTT > 0 {
			rtt = append(rtt, Vote{uint32(x.result.RTT), x.weight})
			if o == round.OK || o == round.Slow {
				speed = append(speed, Vote{speedOf(x.result), x.weight})
			}
		}
		if x.result.Rate > 0 {
			rate = append(rate, Vote{uint32(x.result.Rate), x.weight})
		}
	}
	mildest, _ := middle(severe)
	v.Outcome = bySeverity[mildest]
	if m := Median(durable); m != neutral {
		v.Durability = Datum{uint16(m), true}
	}
	v.Reachability = Datum{uint16(Median(reachable)), true}
	if 2*sum(speed) > all {
		v.Speed = Datum{uint16(Median(speed)), true}
	}
	v.RTT, v.Rate = round.Code(Median(rtt)), round.Code(Median(rate))
}

// bySeverity orders the outcomes for the median.
var bySeverity = []round.Outcome{round.OK, round.Slow, round.Timeout, round.Unreachable, round.Missing, round.Wrong}

// rebuttalShare: rebuttals turn at most an eighth of the weight that reported on a node. With all of a third that is
// hostile, that does not make a node look well which the others find silent.
const rebuttalShare = 8

// neutral says nothing about durability.
const neutral = Whole / 2

// durabilityOf values an outcome: right, wrong, or no answer and so no evidence.
func durabilityOf(o round.Outcome) uint32 {
	switch o {
	case round.OK, round.Slow:
		return Whole
	case round.Missing, round.Wrong:
		return 0
	}
	return neutral
}

func reachabilityOf(o round.Outcome) uint32 {
	if o.Answered() {
		return Whole
	}
	return 0
}

const (
	// fullRTT is the code of 400 ms: a reader is not held up by less. Each doubling costs twenty points.
	fullRTT = 144 // 1 + 12·log2(4000)
	// fullRate is the code of 256 KiB/s: each halving costs twenty points.
	fullRate = 97 // 1 + 12·log2(256)
	// perStep: a twelfth of a doubling, in hundredths of a point.
	perStep = Whole / 5 / 12
)

// speedOf values how long a reader would be held up, not how near the node is: so monitors near and far agree about all
// nodes that are quick enough.
func speedOf(r round.Result) uint32 {
	lost := max(int(r.RTT)-fullRTT, 0)
	if r.Rate > 0 {
		lost = max(lost, fullRate-int(r.Rate))
	}
	return uint32(max(Whole-lost*perStep, 0))
}
