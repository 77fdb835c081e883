package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"walrus/gateway"
	"walrus/gateway/pages"
)

// seenNet is a network of two nodes as monitors saw it. asked counts the overviews.
type seenNet struct {
	asked atomic.Int64
	err   error
}

var proofID = strings.Repeat("0a", 32)

func (s *seenNet) Overview(context.Context) (*gateway.MonitorOverview, error) {
	s.asked.Add(1)
	at := time.Date(2026, 3, 14, 15, 0, 0, 0, time.UTC)
	return &gateway.MonitorOverview{
		Time: at, Round: gateway.MonitorRound{Number: 7, Start: at, Length: 5 * time.Second, Epoch: 1},
		Nodes: []gateway.NodeScore{
			{Peer: "12D3first", Name: `<script>"&`, Shards: 5, Level: pages.LevelGood, Durability: 100, Reachability: 99, Speed: 98, Round: 6, At: at, Outcome: pages.OutcomeOK, RTT: time.Millisecond, Rate: 1, Monitors: 1},
			{Peer: "12D3second", Name: "12D3first", Shards: 5, Level: pages.LevelNoData, Durability: -1, Reachability: -1, Speed: -1},
		},
		Monitors: []gateway.MonitorInfo{{Peer: "12D3second", Kind: pages.MonitorMember, Weight: 1, Round: 6, At: at, Fresh: true, Counts: gateway.Counts{OK: 1}}},
	}, s.err
}

func (s *seenNet) Hours(_ context.Context, nodes []string, from time.Time) (list []gateway.NodeHours, err error) {
	for _, n := range nodes {
		list = append(list, gateway.NodeHours{Peer: n, Hours: []gateway.Hour{{Start: from, Counts: gateway.Counts{OK: 6}, Durability: 100, Reachability: 100, Speed: -1}}})
	}
	return list, s.err
}

func (s *seenNet) Matrix(context.Context) (*gateway.MonitorMatrix, error) {
	return &gateway.MonitorMatrix{Round: 6, Nodes: []string{"12D3first", "12D3second"}, Rows: []gateway.MonitorRow{
		{MonitorInfo: gateway.MonitorInfo{Peer: "12D3second", Kind: pages.MonitorMember, Weight: 1, Fresh: true}, Seen: []gateway.Outcome{pages.OutcomeOK, ""}}}}, s.err
}

func (s *seenNet) Risk(context.Context) (*gateway.BlobRisks, error) {
	return &gateway.BlobRisks{Histogram: make([]int, 11), Nearest: []gateway.BlobRisk{{Blob: "x", Rows: 5, Shards: 10, Least: 4, Margin: 1}}}, s.err
}

func (s *seenNet) Evidence(_ context.Context, node string) ([]gateway.Evidence, error) {
	return []gateway.Evidence{{ID: proofID, Node: node, Verdict: "missing", Axis: "primary", Symbol: -1}}, s.err
}

func (s *seenNet) EvidenceFile(_ context.Context, id string) ([]byte, error) {
	if id != proofID {
		return nil, fmt.Errorf("proof %s: %w", id, pages.ErrNotFound)
	}
	return []byte(`{"proof":true}`), s.err
}

// TestMonitorRoutes: each route answers as documented, with data, without a node, without data, and when reading fails.
func TestMonitorRoutes(t *testing.T) {
	net := &seenNet{}
	s := serve(t, func(c *gateway.Config) { c.Monitor = net })
	nobody := serve(t, nil)
	paths := []string{"/v1/monitor", "/v1/monitor/nodes/12D3first", "/v1/monitor/matrix", "/v1/monitor/risk", "/v1/monitor/evidence/" + proofID,
		"/v1/monitor/badge/12D3first.svg"}
	for _, path := range paths {
		if a := do(t, http.MethodGet, s.URL+path, nil); a.code != http.StatusOK {
			t.Errorf("%s: %d: %s", path, a.code, a.body)
		}
		if a := do(t, http.MethodGet, nobody.URL+path, nil); a.code != http.StatusNotFound || !strings.Contains(string(a.body), "NOT_MONITORING") {
			t.Errorf("%s without data: %d: %s", path, a.code, a.body)
		}
	}
	for path, code := range map[string]int{
		"/v1/monitor/nodes/nobody": 404, "/v1/monitor/badge/nobody.svg": 404, "/v1/monitor/badge/12D3first.png": 400,
		"/v1/monitor/evidence/" + strings.Repeat("0b", 32): 404, "/v1/monitor/evidence/..": 400, "/v1/monitor?x=1": 400, "/v1/monitor/evidence/x": 400,
	} {
		if a := do(t, http.MethodGet, s.URL+path, nil); a.code != code {
			t.Errorf("%s: %d, want %d: %s", path, a.code, code, a.body)
		}
	}
	var d pages.NodeDetail
	// A node whose name is another's ID does not pose as it.
	if err := json.Unmarshal(do(t, http.MethodGet, s.URL+"/v1/monitor/nodes/12D3first", nil).body, &d); err != nil || d.Shards != 5 || d.Level != pages.LevelGood ||
		len(d.Hours) != 1 || len(d.Evidence) != 1 {
		t.Errorf("detail %+v, %v", d, err)
	}
	badge := do(t, http.MethodGet, s.URL+"/v1/monitor/badge/12D3first.svg", nil)
	if badge.header.Get("Content-Type") != "image/svg+xml" || badge.header.Get("Cache-Control") != "public, max-age=300" ||
		badge.header.Get("Cross-Origin-Resource-Policy") != "cross-origin" || strings.Contains(string(badge.body), "<script") {
		t.Errorf("badge: %v\n%s", badge.header, badge.body)
	}
	proof := do(t, http.MethodGet, s.URL+"/v1/monitor/evidence/"+proofID, nil)
	if proof.header.Get("Content-Disposition") != `attachment; filename="evidence-0a0a0a0a0a0a0a0a.json"` || string(proof.body) != `{"proof":true}` {
		t.Errorf("proof: %v %s", proof.header, proof.body)
	}
	net.err = &fs.PathError{Op: "open", Path: "/home/operator/secret", Err: errors.New("no")}
	for _, path := range paths {
		if a := do(t, http.MethodGet, s.URL+path, nil); a.code != http.StatusServiceUnavailable || strings.Contains(string(a.body), "secret") {
			t.Errorf("%s when reading fails: %d: %s", path, a.code, a.body)
		}
	}
}

// TestMonitorShared: many readers of pages, badges and JSON cost one question, and pages tell no paths.
func TestMonitorShared(t *testing.T) {
	net := &seenNet{}
	s := visit(t, func(c *gateway.SiteConfig) { c.API.Monitor = net })
	for range 20 {
		for _, path := range []string{"/v1/monitor", "/v1/monitor/badge/12D3first.svg", "/v1/monitor/badge/12D3second.svg"} {
			if a := do(t, http.MethodGet, s.URL+path, nil); a.code != http.StatusOK {
				t.Fatalf("%s: %d", path, a.code)
			}
		}
	}
	if n := net.asked.Load(); n > 20 { // one in two seconds; some more on a slow machine
		t.Errorf("60 readers asked %d times", n)
	}
	other := &seenNet{err: &fs.PathError{Op: "open", Path: "/home/operator/secret", Err: errors.New("no")}}
	s = visit(t, func(c *gateway.SiteConfig) { c.API.Monitor = other })
	for _, path := range []string{"/explorer/monitors", "/explorer/monitors/12D3first", "/explorer/seen", "/explorer/risk"} {
		res, err := http.Get(s.URL + path) //nolint:noctx // a page, not a documented route
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != http.StatusServiceUnavailable || strings.Contains(string(body), "secret") {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
}
