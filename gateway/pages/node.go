package pages

import (
	"net/http"
	"time"
)

type nodeView struct {
	*Node
	Spans   table // sums over a day and a month
	Disk    chart
	Traffic chart
}

func (s *site) node(w http.ResponseWriter, r *http.Request) {
	n, err := s.data.Node(r.Context(), r.PathValue("key"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	v := nodeView{Node: n}
	if h := n.History; h != nil {
		v.Spans, v.Disk, v.Traffic = spansTable(h), diskChart(h.Points), trafficChart(h.Points)
	}
	s.show(w, r, http.StatusOK, "node", view{Title: n.Name, Here: "network", Data: v})
}

func spansTable(h *NodeHistory) table {
	t := table{Name: "The node's report of its past", ID: "history-table",
		Cols: cols("Time", "Up", "Received#", "Sent#", "Slivers repaired#")}
	for _, x := range []struct {
		name string
		full time.Duration
		sum  *HistorySum
	}{{"the last day", 24 * time.Hour, &h.Day}, {"the last month", 30 * 24 * time.Hour, &h.Month}} {
		if !x.sum.Known() {
			continue
		}
		head := text(x.name)
		if x.sum.Span < x.full {
			head.Note = "recorded for " + sinceText(x.sum.Span)
		}
		t.Rows = append(t.Rows, []cell{
			head, {Text: x.sum.Percent(), Note: sinceText(x.sum.Up)}, text(bytesText(x.sum.Received)),
			text(bytesText(x.sum.Sent)), number(x.sum.Repaired),
		})
	}
	return t
}

// diskChart charts the bytes a node stored over the month.
func diskChart(points []HistoryPoint) chart {
	var times []time.Time
	disk := series{Name: "on disk"}
	for _, p := range points {
		times, disk.Values = append(times, p.End), append(disk.Values, float64(p.Disk))
	}
	return drawChart("Bytes on the disk of this node over the last month", "", times, disk)
}

// trafficChart charts the bytes a node received and sent per second over the last day.
func trafficChart(points []HistoryPoint) chart {
	var times []time.Time
	received, sent := series{Name: "received"}, series{Name: "sent"}
	for _, p := range points {
		if p.Length <= 0 || points[len(points)-1].End.Sub(p.End) > 24*time.Hour {
			continue
		}
		times = append(times, p.End)
		received.Values = append(received.Values, float64(p.Received)/p.Length.Seconds())
		sent.Values = append(sent.Values, float64(p.Sent)/p.Length.Seconds())
	}
	return drawChart("Bytes that this node received and sent per second over the last day", "/s", times, received, sent)
}
