package pages

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

type monitoredView struct {
	*NodeScore
	Time                 time.Time
	Month                *strip
	Legend               []legendEntry
	Sums                 table
	Lines, Trip, Traffic chart
	Proofs               table
	All                  int // proofs
	Badge                string
}

// Detail adds the month of a node to its score.
func Detail(r *http.Request, m Monitor, key string) (*NodeDetail, *MonitorOverview, error) {
	o, err := m.Overview(r.Context())
	if err != nil {
		return nil, nil, err
	}
	n := o.Named(key)
	if n == nil {
		return nil, nil, fmt.Errorf("node %.100s: %w in the committee", key, ErrNotFound)
	}
	d := &NodeDetail{NodeScore: *n, Hours: []Hour{}, Evidence: []Evidence{}}
	hours, err := m.Hours(r.Context(), []string{n.Peer}, o.Since(Month))
	if err != nil {
		return nil, nil, err
	}
	for _, h := range hours {
		d.Hours = append(d.Hours, h.Hours...)
	}
	proofs, err := m.Evidence(r.Context(), n.Peer)
	d.Evidence = append(d.Evidence, proofs...)
	return d, o, err
}

// monitored is the page of what monitors saw of a node.
func (m monitoring) monitored(r *http.Request) (string, view, error) {
	d, o, err := Detail(r, m, r.PathValue("key"))
	if err != nil {
		return "", view{}, err
	}
	v := monitoredView{NodeScore: &d.NodeScore, Time: o.Time, Legend: stripLegend(), All: len(d.Evidence),
		Badge: "/v1/monitor/badge/" + d.Peer + ".svg"}
	from := o.Since(Month)
	v.Sums = sumsTable(d.Hours, o)
	month := &spans[1]
	var sum Counts
	for i := range d.Hours {
		sum.add(&d.Hours[i].Counts)
	}
	v.Month = newStrip(d.Name+" in "+month.Name+", rounds: "+countsText(&sum), month.bars(d.Hours, from))
	v.Lines, v.Trip, v.Traffic = monthCharts(d.Hours, from)
	v.Proofs = proofsTable(d.Evidence[:min(len(d.Evidence), maxEvidence)])
	return "monitornode", view{Title: d.Name + ", as monitors saw it", JSON: "/v1/monitor/nodes/" + d.Peer, Data: v}, nil
}

// sumsTable sums up the rounds of a day, a week and a month.
func sumsTable(hours []Hour, o *MonitorOverview) table {
	t := table{Name: "Rounds in which monitors judged this node", ID: "rounds-table",
		Cols: cols("Time", "Answered rightly", "Rounds#", "ok#", "slow#", "timeout#", "unreachable#", "missing#", "wrong#", "No data#")}
	for _, x := range []struct {
		name string
		span time.Duration
	}{{"the last day", 24 * time.Hour}, {"the last week", 7 * 24 * time.Hour}, {"the last 30 days", Month}} {
		from := o.Since(x.span)
		var c Counts
		known := 0
		for i := range hours {
			if !hours[i].Start.Before(from) && hours[i].Counts.Sum() > 0 {
				c.add(&hours[i].Counts)
				known++
			}
		}
		right := text("no data")
		if n := c.Sum(); n > 0 {
			right = text(percentText(uint64(c.OK+c.Slow), uint64(n)))
		}
		gap := int(x.span/time.Hour) - known
		t.Rows = append(t.Rows, []cell{text(x.name), right, number(c.Sum()), number(c.OK), number(c.Slow), number(c.Timeout),
			number(c.Unreachable), number(c.Missing), number(c.Wrong), text(fmt.Sprintf("%d h", max(0, gap)))})
	}
	return t
}

// monthCharts draws the three lines, the round trip and the rate of a month. Hours without data are gaps.
func monthCharts(hours []Hour, from time.Time) (lines, trip, traffic chart) {
	n := int(Month / time.Hour)
	times := make([]time.Time, n)
	all := make([]series, 5)
	for i := range all {
		all[i].Values = make([]float64, n)
		for k := range all[i].Values {
			all[i].Values[k] = -1
		}
	}
	for i := range times {
		times[i] = from.Add(time.Duration(i) * time.Hour)
	}
	known := false
	for i := range hours {
		h := &hours[i]
		at := int(h.Start.Sub(from) / time.Hour)
		if h.Start.Before(from) || at >= n || h.Counts.Sum() == 0 {
			continue
		}
		known = true
		for k, v := range []float64{h.Durability, h.Reachability, h.Speed, float64(h.RTT) / 1e6, float64(h.Rate)} {
			if k < 3 || v > 0 {
				all[k].Values[at] = v
			}
		}
	}
	if !known {
		return lines, trip, traffic
	}
	all[0].Name, all[1].Name, all[2].Name, all[3].Name, all[4].Name = "durability", "reachability", "speed", "round trip", "received from it"
	lines = drawLines("Durability, reachability and speed of this node over 30 days, 0 to 100", times, 100/chartLevels,
		func(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) }, all[:3]...)
	trip = drawLines("Round trip of questions to this node over 30 days, in milliseconds", times, roundNumber(greatest(all[3:4])/chartLevels),
		func(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) + " ms" }, all[3])
	traffic = drawChart("Bytes per second of the answers of this node over 30 days", "/s", times, all[4])
	return lines, trip, traffic
}

// roundNumber returns the least of 1, 2 and 5 times a power of ten that is at least v and 1.
func roundNumber(v float64) float64 {
	for n := 1.0; ; n *= 10 {
		for _, m := range []float64{1, 2, 5} {
			if n*m >= v {
				return n * m
			}
		}
	}
}

func proofsTable(list []Evidence) table {
	t := table{Name: "Proofs against this node, newest first", ID: "proof-table",
		Cols: cols("Verdict", "Round", "Blob", "Where", "From monitor", "Size#", "")}
	for i := range list {
		e := &list[i]
		where := fmt.Sprintf("%s sliver %d", e.Axis, e.Sliver)
		if e.Symbol >= 0 {
			where += fmt.Sprintf(", symbol %d", e.Symbol)
		}
		t.Rows = append(t.Rows, []cell{
			{Text: e.Verdict, State: "bad"}, when(e.At), ident(e.Blob, "blobs"), text(where), {Text: e.Monitor, Code: true},
			text(bytesText(uint64(max(0, e.Size)))), {Text: "Download", Link: "/v1/monitor/evidence/" + e.ID, Save: "evidence-" + shortID(e.ID) + ".json"},
		})
	}
	return t
}

func shortID(id string) string { return id[:min(len(id), 16)] }
