package monitor

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/monitor/round"
	"walrus/monitor/score"
)

// MaxSpan bounds the time that one query for hours covers.
const MaxSpan = 366 * 24 * time.Hour

// Unknown stands for a score that nobody knows.
const Unknown = -1

// Round tells which round it is.
func (w *Watch) Round() RoundInfo {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := round.Number(w.nowLocked(), w.length)
	info := RoundInfo{Number: n, Start: w.start(n), Length: w.length}
	if w.view != nil {
		info.Epoch = w.view.epoch
	}
	return info
}

// Scores tells how each member of the committee fares, in the order of the committee; nothing before the ledger was
// read.
func (w *Watch) Scores() []NodeScore {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.view == nil {
		return nil
	}
	current := round.Number(w.nowLocked(), w.length)
	numbers := w.newest(current)
	list := make([]NodeScore, len(w.view.nodes))
	for i := range list {
		m := &w.view.com.Members()[i]
		n := &list[i]
		n.Node, n.Name, n.Shards = m.Node, m.Name, len(m.Shards)
		s := w.standingNow(m.Node, current)
		n.Durability, n.Reachability, n.Speed = points(s.Durability), points(s.Reachability), points(s.Speed)
		n.Level = min(s.Durability.Level(), s.Reachability.Level(), s.Speed.Level())
		for _, number := range numbers {
			v := w.verdictOn(number, m.Node)
			if v.Outcome == round.NotAsked {
				continue
			}
			n.Round, n.At, n.Outcome, n.RTT, n.Rate, n.Monitors = number, w.start(number), v.Outcome, v.RTT.RTT(), v.Rate.Rate(), v.Reports
			if v.Outcome != round.OK && v.Outcome != round.Slow {
				n.Level = min(n.Level, score.Bad)
			}
			break
		}
	}
	return list
}

// points returns a score from 0 to 100, or Unknown.
func points(l score.Line) float64 {
	s, ok := l.Score()
	if !ok {
		return Unknown
	}
	return float64(s) / 100
}

// Hours returns the hours of one node in [from, to), the oldest first; none for a node that nobody knows. Errors are
// those of the database, or name a span that is too long.
func (w *Watch) Hours(node peer.ID, from, to time.Time) ([]Hour, error) {
	list, err := w.grid(from, to, node)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list[0].Hours, nil
}

// Grid returns the hours of all nodes that were members in [from, to), the committee's first and in its order. It reads
// some 6 KB for each hour of 1,000 nodes. Errors as of Hours.
func (w *Watch) Grid(from, to time.Time) ([]NodeHours, error) { return w.grid(from, to, "") }

// grid returns the hours of one node, or of all.
func (w *Watch) grid(from, to time.Time, only peer.ID) ([]NodeHours, error) {
	if to.Sub(from) > MaxSpan {
		return nil, fmt.Errorf("hours from %s to %s: at most a year at a time", from.UTC().Format(time.DateOnly), to.UTC().Format(time.DateOnly))
	}
	if !from.Before(to) {
		return nil, nil
	}
	g := newGrid(w, only)
	first := uint32(max(from.Unix(), 0) / 3600)
	last := uint32((max(to.Unix(), 0) + 3599) / 3600)
	err := w.db.each(hourKey(first), hourKey(last), func(key, v []byte) (bool, error) {
		hour, err := hourOf(key)
		if err != nil {
			return false, err
		}
		return true, g.add(hour, v, int(last-first))
	})
	return g.list, err
}

// gridder collects hours by node.
type gridder struct {
	w       *Watch
	only    peer.ID // empty: all
	list    []NodeHours
	at      map[peer.ID]int
	rosters map[uint32][]int // places in list by index in the roster; −1: not wanted
}

func newGrid(w *Watch, only peer.ID) *gridder {
	g := &gridder{w: w, only: only, at: map[peer.ID]int{}, rosters: map[uint32][]int{}}
	w.mu.Lock()
	v := w.view
	w.mu.Unlock()
	if v == nil {
		return g
	}
	for i := range v.com.Members() {
		if m := &v.com.Members()[i]; only == "" || only == m.Node {
			g.at[m.Node] = len(g.list)
			g.list = append(g.list, NodeHours{Node: m.Node, Name: m.Name})
		}
	}
	return g
}

// places finds the places of a roster's members in the list.
func (g *gridder) places(n uint32) ([]int, error) {
	if p, ok := g.rosters[n]; ok {
		return p, nil
	}
	raw, err := g.w.db.get(rosterKey(n))
	if err != nil {
		return nil, err
	}
	nodes, err := unmarshalRoster(raw)
	if err != nil {
		return nil, err
	}
	p := make([]int, len(nodes))
	for i, id := range nodes {
		p[i] = -1
		if g.only != "" && g.only != id {
			continue
		}
		at, known := g.at[id]
		if !known {
			at = len(g.list)
			g.at[id] = at
			g.list = append(g.list, NodeHours{Node: id})
		}
		p[i] = at
	}
	g.rosters[n] = p
	return p, nil
}

// add adds an hour. most is the number of hours in all.
func (g *gridder) add(hour uint32, raw []byte, most int) error {
	r, err := newHourReader(raw)
	if err != nil {
		return err
	}
	places, err := g.places(r.roster)
	if err != nil {
		return err
	}
	var c hourCell
	for i := 0; ; i++ {
		more, err := r.next(&c)
		if err != nil || !more {
			return err
		}
		if i >= len(places) || places[i] < 0 {
			continue
		}
		n := &g.list[places[i]]
		if n.Hours == nil {
			n.Hours = make([]Hour, 0, most)
		}
		n.Hours = append(n.Hours, c.hour(hour))
	}
}

func (c *hourCell) hour(number uint32) Hour {
	h := Hour{Start: time.Unix(int64(number)*3600, 0).UTC(), Outcomes: c.counts, RTT: c.rtt.RTT(), Rate: c.rate.Rate()}
	for _, o := range badness {
		h.Rounds += *c.counts.of(o)
	}
	for k, to := range []*float64{&h.Durability, &h.Reachability, &h.Speed} {
		if *to = Unknown; c.lines[k] != unknownLine {
			*to = float64(c.lines[k])
		}
	}
	return h
}

// Monitors lists the monitors that have weight, and all that attested within a month, by weight, the greatest first.
func (w *Watch) Monitors() []MonitorInfo {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.view == nil {
		return nil
	}
	known := map[peer.ID]bool{}
	for _, m := range w.view.monitors {
		known[m.Key.Peer()] = true
	}
	for text, last := range w.state.Last {
		if id, err := peer.Decode(text); err == nil && w.start(last.Round).Add(RoundTime).After(w.nowLocked()) {
			known[id] = true
		}
	}
	for _, r := range w.recent {
		for k := range r.attested {
			known[k.Peer()] = true
		}
	}
	list := make([]MonitorInfo, 0, len(known))
	for id := range known {
		list = append(list, w.monitor(id))
	}
	sortMonitors(list, func(m *MonitorInfo) *MonitorInfo { return m })
	return list
}

func sortMonitors[T any](list []T, of func(*T) *MonitorInfo) {
	slices.SortFunc(list, func(a, b T) int {
		x, y := of(&a), of(&b)
		return cmp.Or(cmp.Compare(y.Weight, x.Weight), cmp.Compare(y.Round, x.Round), cmp.Compare(x.Monitor, y.Monitor))
	})
}

// monitor describes one monitor. w.mu is held.
func (w *Watch) monitor(id peer.ID) MonitorInfo {
	info := MonitorInfo{Monitor: id, Kind: Unbonded, Name: w.view.name(id)}
	key, err := round.KeyOf(id)
	if err != nil {
		return info
	}
	info.Kind, info.Weight = w.view.kind(key), w.view.share(key)
	if last := w.state.Last[id.String()]; last.Round > 0 {
		info.Round, info.Void = last.Round, last.Void
	}
	for n, r := range w.recent {
		info.Unproven = info.Unproven || r.unproven[key]
		if a := r.attested[key]; a != nil && n >= info.Round {
			info.Round, info.Void = n, !a.Counts()
			info.Counts = Counts{}
			for _, res := range a.Results {
				info.Counts.add(res.Outcome)
			}
		}
	}
	if info.Round > 0 {
		info.At = w.start(info.Round)
	}
	if until, silent := w.book.Silent(key, w.nowLocked()); silent {
		info.Silenced = until
	}
	return info
}

// Matrix returns what each monitor saw in the newest round for which most have attested; false if there is none.
func (w *Watch) Matrix() (m Matrix, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.view == nil {
		return m, false
	}
	best, most := uint64(0), 0
	for _, n := range w.newest(round.Number(w.nowLocked(), w.length)) {
		if len(w.recent[n].attested) > most {
			best, most = n, len(w.recent[n].attested)
		}
	}
	if most == 0 {
		return m, false
	}
	v := w.viewOf(w.recent[best])
	m = Matrix{Round: best, Start: w.start(best), Nodes: v.roster()}
	for k, a := range w.recent[best].attested {
		if a.Epoch != v.epoch {
			continue
		}
		row := MatrixRow{MonitorInfo: w.monitor(k.Peer())}
		for _, r := range a.Results {
			row.Seen = append(row.Seen, r.Outcome)
		}
		m.Rows = append(m.Rows, row)
	}
	sortMonitors(m.Rows, func(r *MatrixRow) *MonitorInfo { return &r.MonitorInfo })
	return m, true
}
