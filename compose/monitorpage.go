package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/gateway"
	"walrus/monitor"
	"walrus/monitor/round"
	"walrus/monitor/score"
)

const (
	// gridSlice is the time of which all nodes' hours are in memory at once, of a page that shows some of them.
	gridSlice = 24 * time.Hour
	// freshRounds: an attestation that is older than so many rounds is no data now.
	freshRounds = 5
	// proofsShown bounds the list of proofs against a node.
	proofsShown = 200
)

// MonitorPage shows what w has seen on a gateway's pages. sampling tells whether a prober in this process takes samples
// of blobs. It returns nil for nil.
func MonitorPage(w *monitor.Watch, sampling bool) gateway.Monitor {
	if w == nil {
		return nil
	}
	return monitorPage{w, sampling}
}

type monitorPage struct {
	watch    *monitor.Watch
	sampling bool
}

// Overview implements gateway.Monitor.
func (p monitorPage) Overview(context.Context) (*gateway.MonitorOverview, error) {
	r := p.watch.Round()
	o := &gateway.MonitorOverview{
		Time:  time.Now().UTC(),
		Round: gateway.MonitorRound{Number: r.Number, Start: r.Start.UTC(), Length: r.Length, Epoch: r.Epoch},
		Nodes: []gateway.NodeScore{}, Monitors: []gateway.MonitorInfo{},
	}
	scores := p.watch.Scores()
	for i := range scores {
		o.Nodes = append(o.Nodes, shownScore(&scores[i]))
	}
	monitors := p.watch.Monitors()
	for i := range monitors {
		o.Monitors = append(o.Monitors, shownMonitor(&monitors[i], r.Number))
	}
	return o, nil
}

// shownLevel names a level.
func shownLevel(l score.Level) string {
	switch l {
	case score.Good:
		return gateway.LevelGood
	case score.Warn:
		return gateway.LevelWarn
	case score.Bad:
		return gateway.LevelBad
	}
	return gateway.LevelNoData
}

func shownOutcome(o round.Outcome) gateway.Outcome {
	if o == round.NotAsked {
		return ""
	}
	return gateway.Outcome(o.String())
}

func shownCounts(c *monitor.Counts) gateway.Counts {
	return gateway.Counts{OK: c.OK, Slow: c.Slow, Timeout: c.Timeout, Unreachable: c.Unreachable, Missing: c.Missing, Wrong: c.Wrong}
}

func shownScore(n *monitor.NodeScore) gateway.NodeScore {
	s := gateway.NodeScore{
		Peer: n.Node.String(), Name: n.Name, Shards: n.Shards, Level: shownLevel(n.Level), Durability: n.Durability, Reachability: n.Reachability,
		Speed: n.Speed, Round: n.Round, At: n.At, Outcome: shownOutcome(n.Outcome), RTT: n.RTT, Rate: n.Rate, Monitors: n.Monitors,
	}
	// A node that never answered has no score for what it did not answer, and is in trouble all the same.
	if n.Level == score.NoData && (n.Outcome.Silent() || n.Outcome.Convicts()) {
		s.Level = gateway.LevelBad
	}
	return s
}

// shownMonitor describes a monitor in a round.
func shownMonitor(m *monitor.MonitorInfo, now uint64) gateway.MonitorInfo {
	return gateway.MonitorInfo{
		Peer: m.Monitor.String(), Name: m.Name, Kind: string(m.Kind), Weight: m.Weight, Round: m.Round, At: m.At,
		Fresh: m.Round > 0 && m.Round+freshRounds >= now, Void: m.Void, Counts: shownCounts(&m.Counts), Silenced: m.Silenced,
	}
}

// Hours implements gateway.Monitor.
func (p monitorPage) Hours(ctx context.Context, nodes []string, from time.Time) ([]gateway.NodeHours, error) {
	list := make([]gateway.NodeHours, len(nodes))
	at := make(map[peer.ID]int, len(nodes))
	for i, n := range nodes {
		list[i] = gateway.NodeHours{Peer: n, Hours: []gateway.Hour{}}
		if id, err := peer.Decode(n); err == nil {
			at[id] = i
		}
	}
	add := func(i int, hours []monitor.Hour) {
		for k := range hours {
			list[i].Hours = append(list[i].Hours, shownHour(&hours[k]))
		}
	}
	to := time.Now().Add(time.Hour)
	if len(at) == 1 {
		for id, i := range at {
			hours, err := p.watch.Hours(id, from, to)
			if err != nil {
				return nil, err
			}
			add(i, hours)
		}
		return list, nil
	}
	for ; from.Before(to); from = from.Add(gridSlice) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		end := from.Add(gridSlice)
		if end.After(to) {
			end = to
		}
		grid, err := p.watch.Grid(from, end)
		if err != nil {
			return nil, err
		}
		for k := range grid {
			if i, wanted := at[grid[k].Node]; wanted {
				add(i, grid[k].Hours)
			}
		}
	}
	return list, nil
}

func shownHour(h *monitor.Hour) gateway.Hour {
	return gateway.Hour{Start: h.Start, Counts: shownCounts(&h.Outcomes), Durability: h.Durability, Reachability: h.Reachability, Speed: h.Speed,
		RTT: h.RTT, Rate: h.Rate}
}

// Matrix implements gateway.Monitor.
func (p monitorPage) Matrix(context.Context) (*gateway.MonitorMatrix, error) {
	out := &gateway.MonitorMatrix{Nodes: []string{}, Rows: []gateway.MonitorRow{}}
	m, ok := p.watch.Matrix()
	if !ok {
		return out, nil
	}
	now := p.watch.Round().Number
	out.Round, out.Start = m.Round, m.Start
	for _, n := range m.Nodes {
		out.Nodes = append(out.Nodes, n.String())
	}
	for i := range m.Rows {
		row := gateway.MonitorRow{MonitorInfo: shownMonitor(&m.Rows[i].MonitorInfo, now), Seen: make([]gateway.Outcome, len(m.Rows[i].Seen))}
		for k, o := range m.Rows[i].Seen {
			row.Seen[k] = shownOutcome(o)
		}
		out.Rows = append(out.Rows, row)
	}
	return out, nil
}

// Risk implements gateway.Monitor.
func (p monitorPage) Risk(context.Context) (*gateway.BlobRisks, error) {
	r := p.watch.Risk()
	out := &gateway.BlobRisks{Sampling: p.sampling, Sampled: r.Sampled, Shards: r.Shards, Least: r.Least, Lost: r.Lost,
		Histogram: slices.Clone(r.Histogram[:]), Nearest: []gateway.BlobRisk{}}
	for _, b := range r.Nearest {
		out.Nearest = append(out.Nearest, gateway.BlobRisk{Blob: b.Blob.String(), Size: b.Bytes, At: b.At, Rows: b.Rows, Shards: b.Shards,
			Least: b.Least, Margin: b.Margin})
	}
	return out, nil
}

// Evidence implements gateway.Monitor.
func (p monitorPage) Evidence(_ context.Context, node string) ([]gateway.Evidence, error) {
	out := []gateway.Evidence{}
	id, err := peer.Decode(node)
	if err != nil {
		return out, nil //nolint:nilerr // nobody has evidence against what is no node
	}
	list, err := p.watch.Evidence(id, proofsShown)
	for i := range list {
		e := &list[i]
		out = append(out, gateway.Evidence{ID: e.ID, Node: node, Monitor: e.Monitor.String(), Round: e.Round, At: e.At, Blob: e.Blob.String(),
			Verdict: e.Verdict, Axis: e.Axis, Sliver: e.Sliver, Symbol: e.Symbol, Size: e.Size})
	}
	return out, err
}

// EvidenceFile implements gateway.Monitor.
func (p monitorPage) EvidenceFile(_ context.Context, id string) ([]byte, error) {
	e, err := p.watch.EvidenceFile(id)
	if errors.Is(err, monitor.ErrNoEvidence) {
		return nil, fmt.Errorf("proof %.64s: %w", id, gateway.ErrNoProof)
	}
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(e, "", "  ")
}
