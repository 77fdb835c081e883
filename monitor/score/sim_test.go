package score

import (
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"testing"
	"time"

	"golang.org/x/crypto/blake2b"

	"walrus/monitor/round"
)

var (
	simRounds = flag.Int("sim.rounds", 20, "virtual rounds of 100 nodes in each simulation")
	simDays   = flag.Int("sim.days", 10, "node-days of slow nodes")
	simSeeds  = flag.Int("sim.seeds", 100, "small networks that are replayed")
)

// dice is a deterministic source of chance for one question: SplitMix64 over its seed and names.
type dice uint64

func throw(names ...uint64) dice {
	d := dice(0)
	for _, n := range names {
		d += dice(n)
		d.next()
	}
	return d
}

func (d *dice) next() uint64 {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns true with a probability of parts in a million.
func (d *dice) below(parts uint64) bool { return d.next()%1_000_000 < parts }

// host is a node of the simulation; most have a monitor with the weight of their shards.
type host struct {
	key     round.Key
	rtt     time.Duration // to the middle of the network
	loss    uint64        // packets lost, in a million
	dead    bool          // answers nobody
	lacks   uint64        // cells it has lost, in a million; it says so
	side    int           // of a partition
	hostile bool          // its monitor's word
}

// plot of the hostile monitors: a result instead of the true one, for a node and a round.
type plot func(w *world, n uint64, by, node int, honest round.Result) round.Result

// world is a network in virtual rounds. Each probe goes through round.Probe, event by event.
type world struct {
	seed     uint64
	length   time.Duration
	hosts    []host // first the nodes, then outsiders
	nodes    int
	weights  []round.Monitor
	plot     plot
	cut      bool // sides do not reach each other
	outage   time.Duration
	standing []Standing
	verdicts []Verdict
	counted  map[round.Outcome]int // honest probes of slow nodes

	attested map[round.Key]*round.Attestation // of the last round
}

// newWorld makes nodes with 1 to 20 shards, 10 to 150 ms away and with 0.1 % loss.
func newWorld(seed uint64, nodes int) *world {
	w := &world{seed: seed, length: round.MaxLength, nodes: nodes, standing: make([]Standing, nodes),
		counted: map[round.Outcome]int{}}
	d := throw(seed)
	var ms []Member
	for i := range nodes {
		k := numbered(int(seed)<<20 + i)
		w.hosts = append(w.hosts, host{key: k, rtt: time.Duration(10+d.next()%140) * time.Millisecond, loss: 1000})
		ms = append(ms, Member{k, int(1 + d.next()%20)})
	}
	w.weights = Weights(ms, nil)
	return w
}

// corrupt makes hostile the monitors of random nodes, up to a share of the weight in percent.
func (w *world) corrupt(percent uint64) (share float64) {
	d := throw(w.seed, 99)
	byKey := map[round.Key]uint64{}
	var all, bad uint64
	for _, m := range w.weights {
		byKey[m.Key] = m.Weight
		all += m.Weight
	}
	for range 50 * len(w.hosts) {
		h := &w.hosts[d.next()%uint64(len(w.hosts))]
		if weight := byKey[h.key]; !h.hostile && 100*(bad+weight) <= percent*all {
			h.hostile = true
			bad += weight
		}
	}
	return float64(bad) / float64(all)
}

// step plays one round.
func (w *world) step(n uint64) {
	keys := make([]round.Key, w.nodes)
	for i := range keys {
		keys[i] = w.hosts[i].key
	}
	a := round.Assign(round.NewSeed([32]byte{1}, [32]byte(numbered(int(w.seed))), n), w.weights, keys)
	w.attested = make(map[round.Key]*round.Attestation, len(w.hosts))
	for j := range w.hosts {
		at := &round.Attestation{Round: n, Epoch: 1, Monitor: w.hosts[j].key, Results: make([]round.Result, w.nodes)}
		for _, i := range a.NodesOf(at.Monitor) {
			r := w.probe(n, j, i)
			if w.hosts[j].hostile && w.plot != nil {
				r = w.plot(w, n, j, i, r)
			}
			at.Results[i] = r
		}
		w.attested[at.Monitor] = at
	}
	w.count(a, w.attested)
}

func (w *world) count(a *round.Assignment, attested map[round.Key]*round.Attestation) {
	w.verdicts = Tally(a, 1, attested, nil)
	for i := range w.standing {
		w.standing[i] = Step(w.standing[i], w.verdicts[i])
	}
}

// probe plays what happens between monitor j and node i, and lets round.Probe decide.
func (w *world) probe(n uint64, j, i int) round.Result {
	from, to := &w.hosts[j], &w.hosts[i]
	d := throw(w.seed, n, uint64(j)<<32|uint64(i))
	patience := round.PatienceOf(w.length)
	at := time.Duration(d.next() % uint64(w.length*8/10))
	var p round.Probe
	act := p.Step(time.Unix(0, int64(at)), patience, round.Happened{Event: round.Begin})
	connected, began := false, at
	for !act.Done {
		h := round.Happened{Event: round.Again}
		switch {
		case !act.Ask:
			at = time.Duration(act.Wait.UnixNano())
		case w.down(n, i, at) || to.dead || w.cut && from.side != to.side:
			h.Event = round.NoConnection
			if connected {
				h.Event = round.Silence
			}
			at += patience.Answer
		default:
			took := w.exchange(&d, from, to)
			if !connected { // TCP, security and multiplexing: three more
				took += w.exchange(&d, from, to) + w.exchange(&d, from, to) + w.exchange(&d, from, to)
			}
			switch {
			case took > patience.Answer && !connected:
				h.Event, at = round.NoConnection, at+patience.Answer
			case took > patience.Answer:
				h.Event, at = round.Silence, at+patience.Answer
			default:
				connected = true
				h = round.Happened{Event: round.Right, RTT: took, Size: 1000, Took: took}
				if d.below(to.lacks) {
					h.Event = round.Lacking
				}
				at += took
			}
		}
		if at-began > patience.Whole {
			h.Event = round.Late
		}
		act = p.Step(time.Unix(0, int64(at)), patience, h)
	}
	return act.Result
}

// exchange is one request and its answer over TCP: a lost packet, either way, comes again after 1 s, then 2 s, 4 s.
func (w *world) exchange(d *dice, from, to *host) time.Duration {
	took := from.rtt + to.rtt
	for wait := time.Second; d.below(from.loss + to.loss); wait *= 2 {
		took += wait
	}
	return took
}

// down: each node is away once in a day, for the time of outage.
func (w *world) down(n uint64, i int, at time.Duration) bool {
	if w.outage == 0 {
		return false
	}
	day := uint64(24 * time.Hour / w.length)
	d := throw(w.seed, n/day, uint64(i), 7)
	begin := time.Duration(d.next() % uint64(24*time.Hour-w.outage))
	t := time.Duration(n%day)*w.length + at
	return t >= begin && t < begin+w.outage
}

// The plots.
func slander(_ *world, n uint64, _, node int, _ round.Result) round.Result {
	return [...]round.Result{{Outcome: round.Missing, RTT: 255, Rate: 1}, {Outcome: round.Unreachable},
		{Outcome: round.Wrong, RTT: 255}, {Outcome: round.Slow, RTT: 255, Rate: 1}}[(n/50+uint64(node))%4]
}

func whitewash(*world, uint64, int, int, round.Result) round.Result {
	return round.Result{Outcome: round.OK, RTT: 1, Rate: 255}
}

// crafty slanders all but the nodes of its own, and joins in whenever somebody honest has seen trouble.
func crafty(w *world, n uint64, by, node int, honest round.Result) round.Result {
	switch {
	case w.hosts[node].hostile:
		return whitewash(w, n, by, node, honest)
	case w.down(n, node, w.length/2):
		return round.Result{Outcome: round.Unreachable}
	}
	return slander(w, n, by, node, honest)
}

func silent(*world, uint64, int, int, round.Result) round.Result { return round.Result{} }

// lines returns a standing's three scores in hundredths; -1 without data.
func lines(s Standing) [3]int {
	out := [3]int{}
	for k, l := range []Line{s.Durability, s.Reachability, s.Speed} {
		var ok bool
		if out[k], ok = l.Score(); !ok {
			out[k] = -1
		}
	}
	return out
}

// TestHostile: 100 nodes, of which each is away for two minutes a day. 30 % of the weight, lying in any way, moves no
// line of any node by more than five points, in no round; 45 % moves none below warn.
func TestHostile(t *testing.T) {
	type attack struct {
		name          string
		percent       uint64
		plot          plot
		world         *world
		share         float64
		worst, lowest int
	}
	honest := newWorld(1, 100)
	honest.outage = 2 * time.Minute
	var attacks []*attack
	for _, percent := range []uint64{30, 45} {
		for _, a := range []attack{{name: "slander", plot: slander}, {name: "whitewash", plot: whitewash},
			{name: "crafty", plot: crafty}, {name: "silent", plot: silent}} {
			a.percent, a.lowest, a.world = percent, Whole, newWorld(1, 100)
			a.world.outage, a.world.plot = honest.outage, a.plot
			a.share = a.world.corrupt(percent)
			attacks = append(attacks, &a)
		}
	}
	for n := range uint64(*simRounds) {
		honest.step(n)
		for _, a := range attacks {
			a.world.step(n)
			for i := range honest.standing {
				before, after := lines(honest.standing[i]), lines(a.world.standing[i])
				if a.name == "crafty" && a.world.hosts[i].hostile {
					continue // its own nodes
				}
				for k := range before {
					a.worst = max(a.worst, before[k]-after[k], after[k]-before[k])
					a.lowest = min(a.lowest, after[k])
				}
			}
		}
	}
	for _, a := range attacks {
		t.Logf("%s by %.1f %% of the weight: scores moved by %.2f points at most, the least is %.2f", a.name, 100*a.share,
			float64(a.worst)/100, float64(a.lowest)/100)
		if a.share < float64(a.percent)/100-0.01 || a.percent == 30 && a.worst > 500 || a.lowest < WarnFrom {
			t.Errorf("%s by %d %%: %+v", a.name, a.percent, a)
		}
	}
}

// TestWhitewash: 30 % of the weight does not hide a node that is dead, or has lost half of its cells.
func TestWhitewash(t *testing.T) {
	w := newWorld(2, 40)
	w.corrupt(30)
	w.plot = whitewash
	w.hosts[3].dead, w.hosts[4].lacks = true, 500_000
	for n := range uint64(max(*simRounds, 80)) {
		w.step(n)
	}
	if got := w.standing[3]; got.Reachability.Level() != Bad || got.Durability.Level() != NoData {
		t.Errorf("a dead node: %+v", lines(got))
	}
	if got := w.standing[4]; got.Durability.Level() != Bad {
		t.Errorf("a node that lost half: %+v", lines(got))
	}
}

// TestMajorityOfSample: more monitors than AllPairs, of which only 31 probe a node. What chance gives to 30 % costs few
// points.
func TestMajorityOfSample(t *testing.T) {
	honest, hostile := newWorld(3, 40), newWorld(3, 40)
	for _, w := range []*world{honest, hostile} {
		for i := range 260 { // monitors beside the nodes' own
			k := numbered(9_000_000 + i)
			w.hosts = append(w.hosts, host{key: k, rtt: 20 * time.Millisecond})
			w.weights = append(w.weights, round.Monitor{Key: k, Weight: 10 * ShardWeight})
		}
	}
	hostile.corrupt(30)
	hostile.plot = slander
	worst := 0
	for n := range uint64(max(*simRounds, 150)) {
		honest.step(n)
		hostile.step(n)
		if n < 100 {
			continue // a line of few rounds moves by much
		}
		for i := range honest.standing {
			before, after := lines(honest.standing[i]), lines(hostile.standing[i])
			for k := range before {
				worst = max(worst, before[k]-after[k], after[k]-before[k])
			}
		}
	}
	t.Logf("31 of 299 probers: moved by %.2f points at most", float64(worst)/100)
	if worst > 500 {
		t.Errorf("30 %% moved a score by %d hundredths", worst)
	}
}

// TestSlowNodes: nodes 300 ms away, with 1 % loss, are ok or slow in at least 99.9 % of rounds.
func TestSlowNodes(t *testing.T) {
	const nodes = 20
	w := newWorld(4, nodes)
	for i := range w.hosts {
		w.hosts[i].rtt, w.hosts[i].loss = 150*time.Millisecond, 5000 // both ends together: 300 ms, 1 %
	}
	rounds, well, probes, good := 0, 0, 0, 0
	for n := range uint64(*simDays * 144 / nodes) {
		w.step(n)
		for i, v := range w.verdicts {
			rounds++
			if v.Outcome == round.OK || v.Outcome == round.Slow {
				well++
			}
			for _, at := range w.attested {
				if o := at.Results[i].Outcome; o != round.NotAsked {
					probes++
					if o == round.OK || o == round.Slow {
						good++
					}
				}
			}
		}
	}
	t.Logf("%d node-days: %d of %d rounds and %d of %d probes were ok or slow", rounds/144, well, rounds, good, probes)
	if rounds == 0 || 1000*well < 999*rounds || 1000*good < 999*probes {
		t.Errorf("%d of %d rounds, %d of %d probes", well, rounds, good, probes)
	}
}

// TestPartition: a third of the nodes, by weight, is cut off. Its monitors' rounds are void; those of the others count.
// Whoever sees only the minority's attestations sees no data.
func TestPartition(t *testing.T) {
	w := newWorld(5, 99)
	for i := range w.hosts {
		w.hosts[i].side = min(i%3, 1)
	}
	for n := range uint64(20) {
		w.step(n)
	}
	w.cut = true
	inside := newWorld(5, 99)
	inside.standing = append([]Standing(nil), w.standing...)
	for n := uint64(20); n < 40; n++ {
		w.step(n)
		minority := map[round.Key]*round.Attestation{}
		for _, h := range w.hosts {
			if at := w.attested[h.key]; at.Counts() != (h.side == 1) {
				t.Fatalf("round %d: the word of side %d counts: %v", n, h.side, at.Counts())
			} else if h.side == 0 {
				minority[h.key] = at
			}
		}
		inside.count(round.Assign(round.Seed{}, w.weights, keysOf(w)), minority)
		for i, h := range w.hosts {
			if v := w.verdicts[i]; (v.Outcome == round.Unreachable) != (h.side == 0) {
				t.Fatalf("round %d: a node of side %d is %v", n, h.side, v.Outcome)
			}
		}
	}
	for i, h := range w.hosts {
		if l := inside.standing[i]; l.Reachability.Level() != NoData || l.Durability.Level() != NoData || l.Speed.Level() != NoData {
			t.Fatalf("inside of the minority, node %d is %v", i, lines(l))
		}
		if h.side == 1 && w.standing[i].Reachability.Level() != Good {
			t.Errorf("outside, node %d is %v", i, lines(w.standing[i]))
		}
	}
}

func keysOf(w *world) (keys []round.Key) {
	for _, h := range w.hosts[:w.nodes] {
		keys = append(keys, h.key)
	}
	return keys
}

// TestUnbonded: a thousand identities without weight attest whatever they like, and every score stays bit for bit what
// it is without them.
func TestUnbonded(t *testing.T) {
	without, with := newWorld(6, 100), newWorld(6, 100)
	for i := range 1000 {
		with.hosts = append(with.hosts, host{key: numbered(8_000_000 + i), rtt: 30 * time.Millisecond, hostile: true})
	}
	with.plot = slander
	asked := make([]int, with.nodes)
	const rounds = 10
	for n := range uint64(rounds) {
		without.step(n)
		with.step(n)
		for _, h := range with.hosts[with.nodes:] {
			for i, r := range with.attested[h.key].Results {
				if r.Outcome != round.NotAsked {
					asked[i]++
				}
			}
		}
	}
	for i := range without.standing {
		if without.standing[i] != with.standing[i] {
			t.Fatalf("node %d: %+v became %+v", i, without.standing[i], with.standing[i])
		}
		if mean := asked[i] / rounds; mean < 22 || mean > 38 {
			t.Errorf("node %d is probed by %d of them in a round, want about 30", i, mean)
		}
	}
}

// TestReplay: small networks with everything in them, drawn from a seed, come to the same scores again, bit for bit.
func TestReplay(t *testing.T) {
	run := func(seed uint64) [32]byte {
		d := throw(seed, 1)
		w := newWorld(seed, 4+int(d.next()%7))
		w.outage = time.Duration(d.next()%600) * time.Minute
		w.corrupt(d.next() % 50)
		w.plot = []plot{slander, whitewash, crafty, silent}[d.next()%4]
		w.hosts[0].dead, w.hosts[1].lacks, w.hosts[2].loss = d.next()%3 == 0, d.next()%500_000, d.next()%300_000
		h, _ := blake2b.New256(nil)
		for n := range uint64(10) {
			w.hosts[n%4].side = int(d.next() % 2)
			w.cut = d.next()%4 == 0
			w.step(n)
			for i := range w.standing {
				for _, l := range []Line{w.standing[i].Durability, w.standing[i].Reachability, w.standing[i].Speed} {
					var b []byte
					b = binary.LittleEndian.AppendUint64(b, l.Good)
					b = binary.LittleEndian.AppendUint64(b, l.Bad)
					h.Write(binary.LittleEndian.AppendUint32(b, l.Age))
				}
				fmt.Fprintln(h, w.verdicts[i])
			}
		}
		return [32]byte(h.Sum(nil))
	}
	var sum [32]byte
	for seed := range uint64(*simSeeds) {
		one := run(seed)
		if one != run(seed) {
			t.Fatalf("seed %d came to two ends", seed)
		}
		if seed < 100 {
			sum = blake2b.Sum256(append(sum[:], one[:]...))
		}
	}
	const want = "de0dc7a3c8d945d7"
	if got := hex.EncodeToString(sum[:8]); *simSeeds >= 100 && got != want {
		t.Errorf("the first 100 networks have hash %s, want %s", got, want)
	}
}
