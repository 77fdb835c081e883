package pages

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// seen compares what monitors saw.
type seen struct {
	overview *MonitorOverview
	matrix   *MonitorMatrix
	rows     map[string]*MonitorRow
	ref      *MonitorRow // the heaviest one whose round counts; nil without any
	groups   map[string]int
}

func newSeen(o *MonitorOverview, x *MonitorMatrix) *seen {
	s := &seen{overview: o, matrix: x, rows: map[string]*MonitorRow{}, ref: reference(x), groups: map[string]int{}}
	for i := range x.Rows {
		s.rows[x.Rows[i].Peer] = &x.Rows[i]
	}
	for i := range o.Monitors {
		peer := o.Monitors[i].Peer
		s.groups[peer] = groupOf(s.ref, s.rows[peer])
	}
	return s
}

// split tells of monitors that see another network than the heaviest one; empty if there are none with weight.
func (s *seen) split() string {
	others, weight := 0, 0.0
	for i := range s.overview.Monitors {
		if m := &s.overview.Monitors[i]; s.groups[m.Peer] == groupOther && m.Weight > 0 {
			others, weight = others+1, weight+m.Weight
		}
	}
	if others == 0 {
		return ""
	}
	return fmt.Sprintf("%s with %s of the weight: most of what they reach or miss is the other way round for %s, the heaviest one",
		plural(others, "monitor"), shareOf(weight), nameOf(&s.ref.MonitorInfo))
}

type seenView struct {
	*MonitorMatrix
	Time     time.Time
	Split    string
	Columns  string // tells which nodes are shown
	Legend   []legendEntry
	Monitors table
	Pages    paging
}

// seen is the page of monitors with what each saw of the nodes. Monitors that agree stand together, and so do the nodes
// that the heaviest of them reached: if the network is split, two blocks are visible.
func (m monitoring) seen(r *http.Request) (string, view, error) {
	o, err := m.Overview(r.Context())
	if err != nil {
		return "", view{}, err
	}
	x, err := m.Matrix(r.Context())
	if err != nil {
		return "", view{}, err
	}
	all := newSeen(o, x)
	v := seenView{MonitorMatrix: x, Time: o.Time, Split: all.split(), Legend: stripLegend()}
	list := make([]*MonitorInfo, len(o.Monitors))
	for i := range list {
		list[i] = &o.Monitors[i]
	}
	slices.SortStableFunc(list, func(a, b *MonitorInfo) int { return cmp.Compare(all.groups[a.Peer], all.groups[b.Peer]) })
	if v.Pages, err = pageOfList(r.URL.Query().Get("page"), len(list), maxGridMonitors, "/explorer/seen?page="); err != nil {
		return "", view{}, err
	}
	order := nodeOrder(x, all.ref)
	v.Columns = fmt.Sprintf("Each bar is one of %s", plural(len(order), "node"))
	if len(order) < len(x.Nodes) {
		v.Columns = fmt.Sprintf("Each bar is one of the %d of %d nodes about which monitors complain most", len(order), len(x.Nodes))
	}
	if all.ref != nil {
		v.Columns += ", first those that " + nameOf(&all.ref.MonitorInfo) + " reached"
	}
	v.Monitors = table{Name: "Monitors, and what they saw", ID: "monitor-table", Cols: cols("Monitor", "Kind", "Weight#", "Last round", "Nodes that answered#", "What it saw")}
	for _, one := range list[v.Pages.First:v.Pages.Last] {
		var bars *strip
		if row := all.rows[one.Peer]; row != nil && one.Fresh {
			picked := make([]Outcome, len(order))
			for i, at := range order {
				picked[i] = row.at(at)
			}
			bars = newStrip(nameOf(one)+" saw in its last round, nodes: "+countsText(&one.Counts), picked)
		}
		v.Monitors.Rows = append(v.Monitors.Rows, monitorRow(one, o.Time, bars))
	}
	return "seen", view{Title: "Who sees what", Tab: "seen", JSON: "/v1/monitor/matrix", Data: v}, nil
}

// at returns what a monitor saw of a node.
func (r *MonitorRow) at(node int) Outcome {
	if node >= len(r.Seen) {
		return ""
	}
	return r.Seen[node]
}

// reached reports whether the node answered, whatever it said.
func reached(o Outcome) bool { return o != "" && o != OutcomeTimeout && o != OutcomeUnreachable }

func nameOf(m *MonitorInfo) string {
	if m.Name != "" {
		return m.Name
	}
	return shortText(m.Peer)
}

// reference returns the heaviest monitor whose round counts; nil without any.
func reference(x *MonitorMatrix) *MonitorRow {
	for i := range x.Rows {
		if r := &x.Rows[i]; !r.Void && r.Weight > 0 && r.Counts.Sum() > 0 {
			return r
		}
	}
	return nil
}

// Groups of monitors.
const (
	groupSame = iota
	groupOther
	groupSilent // said nothing in this round
)

// minShared is the number of nodes that two monitors must both have asked before they are compared.
const minShared = 3

// groupOf compares what two monitors reached.
func groupOf(ref, row *MonitorRow) int {
	if row == nil || ref == nil {
		return groupSilent
	}
	shared, same := 0, 0
	for i, o := range row.Seen {
		if p := ref.at(i); o != "" && p != "" {
			shared++
			if reached(o) == reached(p) {
				same++
			}
		}
	}
	if shared >= minShared && 2*same < shared {
		return groupOther
	}
	return groupSame
}

// nodeOrder chooses the nodes that are shown, by index, and their order.
func nodeOrder(x *MonitorMatrix, ref *MonitorRow) []int {
	complaints := make([]float64, len(x.Nodes))
	for i := range x.Rows {
		r := &x.Rows[i]
		for k := range min(len(r.Seen), len(complaints)) {
			if o := r.Seen[k]; o != "" && o != OutcomeOK {
				complaints[k] += r.Weight
			}
		}
	}
	order := make([]int, len(x.Nodes))
	for i := range order {
		order[i] = i
	}
	if len(order) > maxMatrixNodes {
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(complaints[b], complaints[a]) })
		order = order[:maxMatrixNodes]
		slices.Sort(order)
	}
	if ref != nil {
		rank := func(i int) int {
			switch o := ref.at(i); {
			case reached(o):
				return 0
			case o != "":
				return 1
			}
			return 2
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rank(a), rank(b)) })
	}
	return order
}
