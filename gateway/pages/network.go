package pages

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"walrus/ledger"
	"walrus/shards"
)

// networkView is the page of the network.
type networkView struct {
	*Network
	Chart chart
}

func (s *site) network(w http.ResponseWriter, r *http.Request) {
	n, err := s.data.Network(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.show(w, r, http.StatusOK, "network", view{Title: "Network", Here: "network", Data: networkView{n, drawChart(n.Throughput)}})
}

// live is the part of the network's page that changes, for the page to put into itself.
func (s *site) live(w http.ResponseWriter, r *http.Request) {
	n, err := s.data.Network(r.Context())
	if err != nil { // the page keeps what it has
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	s.render(w, r, http.StatusOK, s.pages["network"], "live", networkView{Network: n})
}

func (s *site) home(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/", http.StatusMovedPermanently)
}

func (s *site) node(w http.ResponseWriter, r *http.Request) {
	n, err := s.data.Node(r.Context(), r.PathValue("key"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.show(w, r, http.StatusOK, "node", view{Title: n.Name, Data: n})
}

// search finds out what somebody means and goes there.
func (s *site) search(w http.ResponseWriter, r *http.Request) {
	query := strings.TrimSpace(r.URL.Query().Get("q"))
	if query == "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	if id, err := shards.ParseBlobID(query); err == nil {
		http.Redirect(w, r, "/explorer/blobs/"+id.String(), http.StatusSeeOther) //nolint:gosec // a path of ours
		return
	}
	var object ledger.ObjectID
	if err := object.UnmarshalText([]byte(query)); err == nil {
		id, err := s.data.Record(r.Context(), object)
		if err != nil {
			s.refuse(w, r, problemOf(err), query)
			return
		}
		http.Redirect(w, r, "/explorer/blobs/"+id.String(), http.StatusSeeOther)
		return
	}
	n, err := s.data.Node(r.Context(), query)
	if err == nil {
		http.Redirect(w, r, "/explorer/nodes/"+url.PathEscape(n.Peer), http.StatusSeeOther)
		return
	}
	p := problemOf(err)
	if p.Status == http.StatusNotFound {
		p.Heading, p.Message = "Nothing of that name", fmt.Sprintf("“%.200s” is no blob ID, no record and no node.", query)
		p.Advice = "A blob ID has 43 letters, digits, - and _; a record 0x and 64 hexadecimal digits; a node its name or peer ID."
	}
	s.refuse(w, r, p, query)
}
