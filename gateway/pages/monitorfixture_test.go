package pages

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// monitored is a network as monitors saw it, generated for any number of nodes. Change its fields before the pages ask.
type monitored struct {
	overview *MonitorOverview
	matrix   *MonitorMatrix
	risk     *BlobRisks
	hours    map[string][]Hour
	evidence []Evidence
	err      error
}

// newMonitored generates a network of nodes that monitor each other, over a month of hours. The node with index 5 is
// unreachable, 3 lacks slivers, 4 is slow, and 2 has no data. split is the number of monitors that see only each other.
func newMonitored(nodes, split int) *monitored {
	r := rand.New(rand.NewPCG(1, uint64(nodes)))
	m := &monitored{
		overview: &MonitorOverview{Time: start, Round: MonitorRound{Number: 2_930_113, Start: start.Add(-4 * time.Minute), Length: 10 * time.Minute, Epoch: 12}},
		hours:    map[string][]Hour{},
		matrix:   &MonitorMatrix{Round: 2_930_112, Start: start.Add(-14 * time.Minute)},
	}
	for i := range nodes {
		n := NodeScore{Peer: peerName(i), Name: fmt.Sprintf("node-%d", i), Shards: 100 / nodes, Level: LevelGood, Durability: 100, Reachability: 99.9,
			Speed: 97.5, Round: m.matrix.Round, At: m.matrix.Start, Outcome: OutcomeOK, RTT: 23 * time.Millisecond, Rate: 12 << 20, Monitors: min(nodes-1, 31)}
		switch i {
		case 2:
			n.Level, n.Durability, n.Reachability, n.Speed, n.Round, n.Outcome, n.RTT, n.Rate, n.Monitors = LevelNoData, -1, -1, -1, 0, "", 0, 0, 0
			n.At = time.Time{}
		case 3:
			n.Level, n.Durability, n.Outcome = LevelBad, 71.3, OutcomeMissing
		case 4:
			n.Level, n.Speed, n.Outcome, n.RTT = LevelWarn, 41, OutcomeSlow, 840*time.Millisecond
		case 5:
			n.Level, n.Reachability, n.Outcome, n.RTT, n.Rate = LevelBad, 12.5, OutcomeUnreachable, 0, 0
		}
		m.overview.Nodes = append(m.overview.Nodes, n)
		m.matrix.Nodes = append(m.matrix.Nodes, n.Peer)
		m.hours[n.Peer] = monthOf(r, i)
	}
	m.addMonitors(nodes, split)
	m.evidence = []Evidence{
		{ID: fmt.Sprintf("%064x", 0xabc), Node: peerName(3), Monitor: peerName(0), Round: m.matrix.Round, At: m.matrix.Start,
			Blob: blobID(1).String(), Verdict: "missing", Axis: "primary", Sliver: 3, Symbol: -1, Size: 412},
		{ID: fmt.Sprintf("%064x", 0xabd), Node: peerName(3), Monitor: peerName(1), Round: m.matrix.Round - 7, At: m.matrix.Start.Add(-70 * time.Minute),
			Blob: blobID(2).String(), Verdict: "wrong", Axis: "secondary", Sliver: 96, Symbol: 41, Size: 2310},
	}
	m.risk = &BlobRisks{Sampling: true, Sampled: 431, Shards: 100, Least: 34, Lost: 1, Histogram: make([]int, 11), Nearest: []BlobRisk{
		{Blob: blobID(4).String(), Size: 40_000, At: m.matrix.Start, Rows: 33, Shards: 100, Least: 34, Margin: -1},
		{Blob: blobID(1).String(), Size: 1_500_000, At: m.matrix.Start, Rows: 41, Shards: 100, Least: 34, Margin: 7},
		{Blob: blobID(2).String(), Size: 4000, At: m.matrix.Start, Rows: 85, Shards: 100, Least: 34, Margin: 51},
	}}
	m.risk.Histogram[1], m.risk.Histogram[7], m.risk.Histogram[10] = 2, 140, 288
	return m
}

// monthOf generates the hours of a node.
func monthOf(r *rand.Rand, node int) (hours []Hour) {
	from := start.UTC().Truncate(time.Hour).Add(time.Hour - Month)
	for h := range 720 {
		x := Hour{Start: from.Add(time.Duration(h) * time.Hour), Counts: Counts{OK: 6}, Durability: 100, Reachability: 99.5 + r.Float64()/2,
			Speed: 95 + 5*r.Float64(), RTT: time.Duration(20+r.IntN(9)) * time.Millisecond, Rate: 12<<20 + r.Uint64N(1<<20)}
		switch {
		case node == 2 && h > 700, h > 300 && h < 312: // a time in which nobody monitored
			continue
		case node == 3 && h > 690:
			x.Counts, x.Durability = Counts{OK: 2, Missing: 4}, 100-float64(h-690)
		case node == 4 && h > 600:
			x.Counts, x.Speed, x.RTT = Counts{Slow: 6}, 41, 840*time.Millisecond
		case node == 5 && h > 705:
			x.Counts, x.Reachability, x.RTT, x.Rate = Counts{Unreachable: 6}, 100-5*float64(h-705), 0, 0
		case r.IntN(200) == 0:
			x.Counts = Counts{OK: 5, Timeout: 1}
		}
		hours = append(hours, x)
	}
	return hours
}

// addMonitors makes every node a monitor of all others, and adds three outsiders: one with a bond, one without, and one
// that has stopped.
func (m *monitored) addMonitors(nodes, split int) {
	for i := range nodes + 3 {
		row := MonitorRow{MonitorInfo: MonitorInfo{Peer: peerName(i), Name: fmt.Sprintf("node-%d", i), Kind: MonitorMember, Weight: 0.98 / float64(nodes),
			Round: m.matrix.Round, At: m.matrix.Start, Fresh: true}, Seen: make([]Outcome, nodes)}
		switch i - nodes {
		case 0:
			row.Name, row.Kind, row.Weight = "", MonitorBonded, 0.02
		case 1:
			row.Name, row.Kind, row.Weight = "", MonitorUnbonded, 0
		case 2:
			row.Name, row.Kind, row.Weight, row.Fresh, row.At = "", MonitorBonded, 0.01, false, start.Add(-50*time.Hour)
		}
		if i == 5 || i == 2 {
			row.Fresh, row.At = false, start.Add(-14*time.Hour)
		}
		apart := i < nodes && i >= nodes-split
		for k := range row.Seen {
			row.Seen[k] = m.overview.Nodes[k].Outcome
			if (k >= nodes-split) != apart {
				row.Seen[k] = OutcomeUnreachable
			}
			if k == i || nodes > 40 && (k+i)%max(1, nodes/31) != 0 {
				row.Seen[k] = ""
			}
			row.Counts.count(row.Seen[k])
		}
		row.Void = apart && split*2 < nodes
		m.overview.Monitors = append(m.overview.Monitors, row.MonitorInfo)
		if row.Fresh {
			m.matrix.Rows = append(m.matrix.Rows, row)
		}
	}
	slices.SortStableFunc(m.overview.Monitors, func(a, b MonitorInfo) int { return int(1e6 * (b.Weight - a.Weight)) })
}

func (c *Counts) count(o Outcome) {
	switch o {
	case OutcomeOK:
		c.OK++
	case OutcomeSlow:
		c.Slow++
	case OutcomeTimeout:
		c.Timeout++
	case OutcomeUnreachable:
		c.Unreachable++
	case OutcomeMissing:
		c.Missing++
	case OutcomeWrong:
		c.Wrong++
	}
}

func (m *monitored) Overview(context.Context) (*MonitorOverview, error) { return m.overview, m.err }

func (m *monitored) Hours(_ context.Context, nodes []string, from time.Time) ([]NodeHours, error) {
	var list []NodeHours
	for _, n := range nodes {
		h := NodeHours{Peer: n, Hours: []Hour{}}
		for _, x := range m.hours[n] {
			if !x.Start.Before(from) {
				h.Hours = append(h.Hours, x)
			}
		}
		list = append(list, h)
	}
	return list, m.err
}

func (m *monitored) Matrix(context.Context) (*MonitorMatrix, error) { return m.matrix, m.err }

func (m *monitored) Risk(context.Context) (*BlobRisks, error) { return m.risk, m.err }

func (m *monitored) Evidence(_ context.Context, node string) (list []Evidence, err error) {
	for _, e := range m.evidence {
		if e.Node == node {
			list = append(list, e)
		}
	}
	return list, m.err
}

func (m *monitored) EvidenceFile(_ context.Context, id string) ([]byte, error) {
	return []byte(`{"id":` + strconv.Quote(id) + `}`), m.err
}
