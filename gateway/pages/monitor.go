package pages

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Bounds of the monitors' pages.
const (
	maxGridNodes    = 50  // on one page
	maxGridMonitors = 40  // on one page
	maxMatrixNodes  = 200 // beside each monitor: those with the most trouble
	maxEvidence     = 50  // on a node's page
)

type monitorsView struct {
	*MonitorOverview
	Good, Weak, Bad, NoData int
	Heard                   int     // monitors with weight that spoke lately
	Weight                  float64 // theirs, 0 to 1
	Span                    *span
	Others                  []spanLink
	From                    time.Time
	Legend                  []legendEntry
	Nodes                   table
	Pages                   paging
	Split                   string // tells of monitors that see another network
}

type spanLink struct{ Name, URL string }

// paging is a place in a long list.
type paging struct {
	First, Last, All int
	Earlier, Later   string // URLs; empty for none
}

// pageOfList cuts a page of most entries out of n. The number of a page, from 1, ends its URL.
func pageOfList(text string, n, most int, url string) (p paging, err error) {
	page := 1
	if text != "" {
		if page, err = strconv.Atoi(text); err != nil || page < 1 || page > max(1, (n+most-1)/most) {
			return p, malformed{fmt.Errorf("page %.40q: must be a number from 1 to %d", text, max(1, (n+most-1)/most))}
		}
	}
	p = paging{First: (page - 1) * most, All: n}
	p.Last = min(p.First+most, n)
	if page > 1 {
		p.Earlier = url + strconv.Itoa(page-1)
	}
	if p.Last < n {
		p.Later = url + strconv.Itoa(page+1)
	}
	return p, nil
}

// errNoMonitor is shown where nobody monitors.
var errNoMonitor = &Refusal{Status: http.StatusNotFound, Class: "NOT_FOUND", Message: "This gateway does not listen to monitors. Start it with --monitors FOLDER, or beside a storage node: see docs/monitors.md."}

// monitoring has the pages of monitors.
type monitoring struct{ Monitor }

// monitorPages adds the pages of monitors.
func (s *site) monitorPages(mux *http.ServeMux) {
	m := monitoring{s.cfg.Monitor}
	for path, page := range map[string]func(r *http.Request) (string, view, error){
		"monitors": m.monitors, "monitors/{key}": m.monitored, "seen": m.seen, "risk": m.risk,
	} {
		mux.HandleFunc("GET /explorer/"+path, func(w http.ResponseWriter, r *http.Request) {
			if m.Monitor == nil {
				s.refuse(w, r, problem{Status: errNoMonitor.Status, Heading: "Nobody monitors here", Message: errNoMonitor.Message}, "")
				return
			}
			name, v, err := page(r)
			if err != nil {
				p := problemOf(err)
				if p.Status == http.StatusServiceUnavailable { // the text may name files of this machine
					s.log.Warn("reading the data of monitors failed", "err", err)
					p.Heading, p.Message = "No data now", "The data of monitors cannot be read now: the gateway's log has the reason."
				}
				s.refuse(w, r, p, "")
				return
			}
			v.Here = "monitors"
			s.show(w, r, http.StatusOK, name, v)
		})
	}
}

func (m monitoring) monitors(r *http.Request) (string, view, error) {
	q := r.URL.Query()
	v := monitorsView{Legend: stripLegend()}
	for i := range spans {
		if x := &spans[i]; x.Key == q.Get("span") || v.Span == nil && q.Get("span") == "" {
			v.Span = x
		}
	}
	if v.Span == nil {
		return "", view{}, malformed{fmt.Errorf("span=%.40q: must be %s or %s", q.Get("span"), spans[0].Key, spans[1].Key)}
	}
	for i := range spans {
		if spans[i].Key != v.Span.Key {
			v.Others = append(v.Others, spanLink{spans[i].Name, "/explorer/monitors?span=" + spans[i].Key})
		}
	}
	var err error
	if v.MonitorOverview, err = m.Overview(r.Context()); err != nil {
		return "", view{}, err
	}
	v.count()
	v.From = v.Since(v.Span.whole)
	if err := v.nodes(r, m); err != nil {
		return "", view{}, err
	}
	x, err := m.Matrix(r.Context())
	if err != nil {
		return "", view{}, err
	}
	v.Split = newSeen(v.MonitorOverview, x).split()
	return "monitors", view{Title: "Monitors", Tab: "nodes", JSON: "/v1/monitor", Data: &v}, nil
}

// count sums up the states.
func (v *monitorsView) count() {
	for i := range v.MonitorOverview.Nodes {
		switch v.MonitorOverview.Nodes[i].Level {
		case LevelGood:
			v.Good++
		case LevelWarn:
			v.Weak++
		case LevelBad:
			v.Bad++
		default:
			v.NoData++
		}
	}
	for i := range v.MonitorOverview.Monitors {
		if m := &v.MonitorOverview.Monitors[i]; m.Fresh && !m.Void && m.Weight > 0 {
			v.Heard, v.Weight = v.Heard+1, v.Weight+m.Weight
		}
	}
}

// nodes makes the grid of nodes, those in trouble first.
func (v *monitorsView) nodes(r *http.Request, m Monitor) (err error) {
	var list []*NodeScore
	for _, state := range []string{LevelBad, LevelWarn, LevelNoData, LevelGood} {
		for i := range v.MonitorOverview.Nodes {
			if n := &v.MonitorOverview.Nodes[i]; n.Level == state {
				list = append(list, n)
			}
		}
	}
	v.Pages, err = pageOfList(r.URL.Query().Get("page"), len(list), maxGridNodes, "/explorer/monitors?span="+v.Span.Key+"&page=")
	if err != nil {
		return err
	}
	list = list[v.Pages.First:v.Pages.Last]
	peers := make([]string, len(list))
	for i, n := range list {
		peers[i] = n.Peer
	}
	hours, err := m.Hours(r.Context(), peers, v.From)
	if err != nil {
		return err
	}
	byPeer := map[string][]Hour{}
	for _, h := range hours {
		byPeer[h.Peer] = h.Hours
	}
	v.Nodes = table{Name: "Nodes, those in trouble first", ID: "monitored-table",
		Cols: cols("Node", "State", "Durability#", "Reachability#", "Speed#", "Round trip#", "In "+v.Span.Name)}
	for _, n := range list {
		var sum Counts
		for i := range byPeer[n.Peer] {
			sum.add(&byPeer[n.Peer][i].Counts)
		}
		bars := newStrip(n.Name+" in "+v.Span.Name+", rounds: "+countsText(&sum), v.Span.bars(byPeer[n.Peer], v.From))
		v.Nodes.Rows = append(v.Nodes.Rows, []cell{
			link(n.Name, "/explorer/monitors/"+n.Peer), stateCell(n), scoreCell(n.Durability), scoreCell(n.Reachability),
			scoreCell(n.Speed), text(roundTrip(n.RTT)), {Strip: bars},
		})
	}
	return nil
}

// stateCell shows what monitors say of a node.
func stateCell(n *NodeScore) cell {
	c := cell{Text: n.Level, Note: string(n.Outcome)}
	switch n.Level {
	case LevelGood:
		c.State = "good"
	case LevelWarn:
		c.State = "warn"
	case LevelBad:
		c.State = "bad"
	default:
		c.Text, c.Note, c.State = "no data", "", "warn"
	}
	return c
}

// scoreCell shows a score of 0 to 100; negative ones are unknown.
func scoreCell(v float64) cell { return text(scoreText(v)) }

func scoreText(v float64) string {
	if v < 0 {
		return "–"
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

// shareOf formats a share of 0 to 1.
func shareOf(v float64) string { return strconv.FormatFloat(100*v, 'f', 1, 64) + " %" }

func roundTrip(d time.Duration) string {
	switch {
	case d <= 0:
		return "–"
	case d < 10*time.Millisecond:
		return strconv.FormatFloat(float64(d)/1e6, 'f', 1, 64) + " ms"
	case d < 10*time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	}
	return sinceText(d)
}

// monitorNote explains a monitor whose word does not count.
func monitorNote(m *MonitorInfo, now time.Time) (state, note string) {
	switch {
	case m.Silenced.After(now):
		return "bad", "signed two different attestations: silent until " + timeText(m.Silenced)
	case !m.Fresh:
		return "bad", "no data"
	case m.Void:
		return "warn", "badly connected: its round is void"
	case m.Weight == 0:
		return "", "no bond: does not count"
	}
	return "good", ""
}

func monitorRow(m *MonitorInfo, now time.Time, bars *strip) []cell {
	name := cell{Text: m.Peer, Code: true}
	if m.Name != "" {
		name = link(m.Name, "/explorer/monitors/"+m.Peer)
	}
	last := text("never")
	if !m.At.IsZero() {
		last = when(m.At)
	}
	state, note := monitorNote(m, now)
	saw := text("–")
	if n := m.Counts.Sum(); n > 0 {
		saw = text(fmt.Sprintf("%d of %d", n-m.Counts.Timeout-m.Counts.Unreachable, n))
	}
	seen := cell{Strip: bars}
	if bars == nil {
		seen = text("no data")
	}
	word := cell{Text: m.Kind, State: state, Note: note, Wide: note != ""}
	return []cell{name, word, text(strconv.FormatFloat(100*m.Weight, 'f', 2, 64) + " %"), last, saw, seen}
}
