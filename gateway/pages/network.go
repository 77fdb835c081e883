package pages

import (
	"net/http"
	"strconv"
)

type networkView struct {
	*Network
	NodeTable table
	Chart     chart
	Samples   table
}

func newNetworkView(n *Network) networkView {
	return networkView{n, nodesTable(n.Nodes), throughput(n.Throughput), samplesTable(n.Throughput)}
}

func nodesTable(nodes []NodeSummary) table {
	t := table{Name: "Nodes", ID: "node-table", Cols: cols("Name", "State", "Shards#", "Blobs#", "Disk#", "To repair#",
		"Epoch#", "Height#", "Version", "Peer")}
	for i := range nodes {
		n := &nodes[i]
		peer := cell{Text: n.Peer, Code: true}
		row := []cell{link(n.Name, "/explorer/nodes/"+n.Peer), {Text: n.State, State: "good", Note: n.Why, Wide: true},
			number(n.Shards)}
		switch {
		case !n.Reachable:
			row[1].Text, row[1].State = "unreachable", "bad"
			t.Rows = append(t.Rows, append(row, text("–"), text("–"), text("–"), text("–"), text("–"), text("–"), peer))
			continue
		case !n.OK:
			row[1].State = "warn"
		}
		t.Rows = append(t.Rows, append(row, number(n.Blobs), text(bytesText(n.DiskBytes)), number(n.Owed), number(n.Epoch),
			number(n.Height), text(n.Version), peer))
	}
	return t
}

func (s *site) network(w http.ResponseWriter, r *http.Request) {
	n, err := s.data.Network(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.show(w, r, http.StatusOK, "network", view{Title: "Network", Here: "network", Data: newNetworkView(n)})
}

// live serves the changing part of the network's page, which the page's script inserts.
func (s *site) live(w http.ResponseWriter, r *http.Request) {
	n, err := s.data.Network(r.Context())
	if err != nil { // the page keeps its old content
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	part := "live"
	if r.URL.Query().Get("part") == "chart" {
		part = "chart-live"
	}
	s.render(w, r, http.StatusOK, s.pages["network"], part, newNetworkView(n))
}

func (s *site) home(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/", http.StatusMovedPermanently)
}
