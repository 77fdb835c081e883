package pages

import (
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
)

// monitorSite serves a fixture with what monitors saw.
func monitorSite(t testing.TB, m Monitor) http.Handler {
	t.Helper()
	f := newFixture()
	h, err := New(Config{Monitor: m}, f, f, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// has checks that a page has texts.
func has(t *testing.T, h http.Handler, path string, want ...string) string {
	t.Helper()
	w := get(t, h, path)
	body := w.Body.String()
	if w.Code != http.StatusOK {
		t.Errorf("%s: status %d", path, w.Code)
	}
	for _, text := range want {
		if !strings.Contains(body, text) {
			t.Errorf("%s lacks %q", path, text)
		}
	}
	return body
}

func TestMonitorPages(t *testing.T) {
	h := monitorSite(t, newMonitored(7, 0))
	body := has(t, h, "/explorer/monitors",
		"2 nodes in trouble.", "2\u202f930\u202f113", "<b>3</b> good", "1 weak, 2 bad, 1 without data", `href="/explorer/monitors/`+peerName(3),
		"no data", "840 ms", "71.3", "unreachable", `<path class="missing" d="M`, "each lasts 10 min", `class="strip" viewBox="0 0 48 12"`,
		"From <time", "Show <a href=\"/explorer/monitors?span=month\">the last 30 days",
		`aria-label="node-3 in the last 48 hours, rounds: `, `href="/v1/monitor"`, `aria-current="page">Monitors</a>`, `aria-current="page">Nodes</a>`)
	has(t, h, "/explorer/seen", "no bond: does not count", "14.00 %", "first those that node-0 reached", "Each bar is one of 7 nodes", "4 of 5",
		`class="strip" viewBox="0 0 7 12"`, `<bdi>no data</bdi>`, `href="/v1/monitor/matrix"`, "Round 2\u202f930\u202f112 began")
	if strings.Index(body, ">node-3<") > strings.Index(body, ">node-0<") {
		t.Error("nodes in trouble do not come first")
	}
	if strings.Contains(body, "may be split") {
		t.Error("a network that is whole is called split")
	}
	has(t, h, "/explorer/monitors?span=month", `class="strip" viewBox="0 0 90 12"`, "Each bar is 8 hours", `?span=days">the last 48 hours`)
	has(t, h, "/explorer/monitors/node-3", "In trouble.", "In the last round it was missing", "durability</span>", "round trip</span>", "node-3, as monitors saw it",
		`href="/v1/monitor/evidence/`, `download="evidence-0000000000000000.json"`, "walrus monitor verify FILE", "primary sliver 3", "secondary sliver 96, symbol 41",
		`/v1/monitor/badge/`+peerName(3)+`.svg`, "the last week", `class="line third"`, "11 h", "<li>100</li>", "<b>2\u202f930\u202f112</b>")
	has(t, h, "/explorer/monitors/"+peerName(2), "No data.", "This does not mean that all is well")
	has(t, h, "/explorer/risk", "Of 1 blob fewer rows answered", "431 blobs", `href="/explorer/blobs/`+blobID(4).String(), "-1", "41 of 100", `class="bar good"`,
		"288 blobs with all rows", "2 blobs with 10 to 20 % of the rows beyond", "34 of its 100 rows")
	for path, code := range map[string]int{
		"/explorer/monitors/nobody": 404, "/explorer/monitors?span=year": 400, "/explorer/monitors?page=0": 400, "/explorer/monitors?page=2": 400,
		"/explorer/seen?page=9": 400, "/explorer/monitors?page=x": 400,
	} {
		if w := get(t, h, path); w.Code != code {
			t.Errorf("%s: status %d, want %d", path, w.Code, code)
		}
	}
}

// TestNobodyMonitors: without data no page says that all is well.
func TestNobodyMonitors(t *testing.T) {
	f := newFixture()
	h, err := New(Config{}, f, f, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/explorer/monitors", "/explorer/monitors/node-0", "/explorer/seen", "/explorer/risk"} {
		w := get(t, h, path)
		if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "docs/monitors.md") {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if strings.Contains(get(t, h, "/").Body.String(), "/explorer/monitors") {
		t.Error("the menu leads to pages that are not there")
	}
	m := newMonitored(7, 0)
	for i := range m.overview.Nodes {
		n := &m.overview.Nodes[i]
		n.Level, n.Durability, n.Reachability, n.Speed, n.Outcome = LevelNoData, -1, -1, -1, ""
	}
	for i := range m.overview.Monitors {
		m.overview.Monitors[i].Fresh = false
	}
	m.matrix, m.hours, m.risk, m.evidence = &MonitorMatrix{}, nil, &BlobRisks{}, nil
	h = monitorSite(t, m)
	for path, want := range map[string]string{
		"/explorer/monitors": "No data.", "/explorer/monitors?span=month": "No data.", "/explorer/monitors/node-0": "No data.", "/explorer/risk": "No samples.",
	} {
		if body := has(t, h, path, want); strings.Contains(body, `class="notice good"`) {
			t.Errorf("%s says that something is well", path)
		}
	}
	m.err = errNetwork
	if w := get(t, h, "/explorer/monitors"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("without an answer: %d", w.Code)
	}
}

// TestSplitNetwork: a partition is named, and its two sides stand apart.
func TestSplitNetwork(t *testing.T) {
	h := monitorSite(t, newMonitored(12, 4))
	has(t, h, "/explorer/monitors", "The network may be split.", `href="/explorer/seen"`)
	body := has(t, h, "/explorer/seen", "The network may be split.", "4 monitors with 32.7 % of the weight", "its round is void")
	if a, b := strings.LastIndex(body, `monitors/`+peerName(7)+`"`), strings.LastIndex(body, `monitors/`+peerName(8)+`"`); a > b {
		t.Error("the other side does not stand behind")
	}
	// The five nodes that node-0 reached come first, then the five that it did not; node-2 was not asked, nor itself.
	if !strings.Contains(body, `<path class="unreachable" d="M5 2h5v10h-5z"/>`) {
		t.Error("the nodes of the other side do not stand together")
	}
}

// TestHostileMonitors: names of nodes break out of nothing, neither of pages nor of badges.
func TestHostileMonitors(t *testing.T) {
	m := newMonitored(7, 0)
	for i := range m.overview.Nodes {
		m.overview.Nodes[i].Name, m.overview.Monitors[i].Name = hostile, hostile
	}
	for i := range m.matrix.Rows {
		m.matrix.Rows[i].Name = hostile
	}
	m.evidence[0].Verdict, m.evidence[0].ID, m.evidence[0].Blob, m.risk.Nearest[0].Blob = hostile, hostile, hostile, hostile
	h := monitorSite(t, m)
	for _, path := range []string{"/explorer/monitors", "/explorer/monitors/" + peerName(3), "/explorer/seen", "/explorer/risk"} {
		if body := has(t, h, path, "alert(1)"); strings.Contains(body, "<script>alert") || strings.Contains(body, "<img src=x") {
			t.Errorf("%s was broken out of", path)
		}
	}
	b, err := Badge(&m.overview.Nodes[3])
	if err != nil || strings.Contains(string(b), "<script") || strings.Contains(string(b), "<img") {
		t.Errorf("badge: %v, %s", err, b)
	}
}

func TestBadge(t *testing.T) {
	for state, want := range map[string]string{LevelGood: "node-0: good 99.9", LevelWarn: "node-0: warn 99.9", LevelBad: "node-0: bad 99.9", LevelNoData: "node-0: no data"} {
		n := newMonitored(7, 0).overview.Nodes[0]
		n.Level = state
		b, err := Badge(&n)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Title string   `xml:"title"`
			Text  []string `xml:"g>text"`
		}
		if err := xml.Unmarshal(b, &doc); err != nil || doc.Title != want || len(doc.Text) != 2 {
			t.Errorf("%s: %+v, %v: %s", state, doc, err, b)
		}
	}
	n := NodeScore{Name: strings.Repeat("x", 4000) + hostile, Level: LevelGood}
	if b, err := Badge(&n); err != nil || len(b) > 2000 {
		t.Errorf("a long name: %d bytes, %v", len(b), err)
	}
	n.Name = "a\x00\x1b\u202e\ufffe"
	b, err := Badge(&n)
	for dec := xml.NewDecoder(strings.NewReader(string(b))); err == nil; {
		_, err = dec.Token()
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("a badge that is no XML: %v: %s", err, b)
	}
}

// TestManyNodes: pages of 1,000 nodes over 720 hours are of bounded size, and list all nodes and monitors.
func TestManyNodes(t *testing.T) {
	m := newMonitored(1000, 300)
	h := monitorSite(t, m)
	const bound = 400 << 10
	var names strings.Builder
	for page := "/explorer/monitors?span=month"; page != ""; {
		w := get(t, h, page)
		if w.Code != http.StatusOK || w.Body.Len() > bound {
			t.Fatalf("%s: status %d, %d bytes", page, w.Code, w.Body.Len())
		}
		body := w.Body.String()
		names.WriteString(body)
		next := ""
		for _, link := range strings.Split(body, `href="`)[1:] {
			url, text, _ := strings.Cut(link, `"`)
			if strings.HasPrefix(text, ">More<") && strings.Contains(url, "page=") {
				next = strings.ReplaceAll(url, "&amp;", "&")
			}
		}
		page = next
	}
	for _, n := range m.overview.Nodes {
		if !strings.Contains(names.String(), `href="/explorer/monitors/`+n.Peer+`"`) {
			t.Errorf("%s is on no page", n.Name)
		}
	}
	for _, path := range []string{"/explorer/monitors/node-17", "/explorer/seen", "/explorer/seen?page=26"} {
		if w := get(t, h, path); w.Code != http.StatusOK || w.Body.Len() > bound {
			t.Errorf("%s: status %d, %d bytes", path, w.Code, w.Body.Len())
		}
	}
}

// BenchmarkMonthOf1000 makes pages of a month of 1,000 nodes.
func BenchmarkMonthOf1000(b *testing.B) {
	h := monitorSite(b, newMonitored(1000, 300))
	for name, path := range map[string]string{"grid": "/explorer/monitors?span=month", "node": "/explorer/monitors/node-17", "seen": "/explorer/seen"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				begun := time.Now()
				w := get(&testing.T{}, h, path)
				b.ReportMetric(float64(w.Body.Len()), "bytes")
				b.ReportMetric(float64(time.Since(begun).Milliseconds()), "ms/last")
			}
		})
	}
}
