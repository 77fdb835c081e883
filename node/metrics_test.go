package node_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"walrus/node"
)

// get asks the metrics server of node i.
func (c *cluster) get(i int, path string) (int, string) {
	c.t.Helper()
	res, err := http.Get("http://" + c.nodes[i].MetricsAddr() + path)
	must(c.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(c.t, err)
	return res.StatusCode, string(b)
}

// awaitMetrics waits until the metrics of node i have all these lines: a store does not wait for the last node. It
// returns all metrics.
func (c *cluster) awaitMetrics(i int, lines ...string) string {
	c.t.Helper()
	for end := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
		code, text := c.get(i, "/metrics")
		if code != 200 {
			c.t.Fatalf("/metrics is %d %s", code, text)
		}
		lack := slices.DeleteFunc(slices.Clone(lines),
			func(line string) bool { return strings.Contains(text, "\n"+line+"\n") })
		if len(lack) == 0 {
			return text
		}
		if time.Now().After(end) {
			c.t.Fatalf("metrics lack %q", lack)
		}
	}
}

// TestMetrics: a node reports its state to Prometheus and supervisors, its counters match what happened, and
// dashboard and alerts use only metrics that exist.
func TestMetrics(t *testing.T) {
	c := newCluster(t, 4, 16)
	c.useLoopback()
	c.adjust = func(i int, cfg *node.Config) {
		if i == 0 {
			cfg.Metrics, cfg.Alerts.Webhook = "127.0.0.1:0", "http://127.0.0.1:1/"
		}
		if i == 3 {
			cfg.Store.Limit = 1
		}
	}
	defer c.stopAll()
	c.start(0)
	if code, text := c.get(0, "/healthz"); code != 200 || text != "ok\n" {
		t.Errorf("alone, /healthz is %d %q", code, text)
	}
	if code, text := c.get(0, "/readyz"); code != 503 || !strings.HasPrefix(text, "not ready: is joining") {
		t.Errorf("alone, /readyz is %d %q", code, text)
	}
	for i := 1; i < 4; i++ {
		c.start(i)
	}
	for i := range c.nodes {
		c.awaitServing(i)
	}
	cn := c.client(0)
	defer func() { must(t, cn.Close()) }()
	data := random(t, 100_000)
	res := c.store(cn.Client(), data)
	c.mustRead(cn.Client(), res.BlobID, data)
	if code, text := c.get(0, "/readyz"); code != 200 || text != "ok\n" {
		t.Errorf("/readyz is %d %q", code, text)
	}
	text := c.awaitMetrics(0,
		`walrus_current_node_status{status="serving"} 1`, `walrus_current_node_status{status="read-only"} 0`,
		`walrus_shards_owned{status="ready"} 4`,
		`walrus_slivers_stored_total{sliver_type="primary"} 4`, `walrus_slivers_stored_total{sliver_type="secondary"} 4`,
		`walrus_metadata_stored_total 1`,
		`walrus_storage_confirmations_issued_total 1`, `walrus_node_slivers 8`, `walrus_node_blobs 1`,
		`walrus_node_slivers_owed 0`, `walrus_node_refuses_writes 0`,
		`walrus_build_info{version="test"} 1`, `walrus_ledger_caught_up 1`, `walrus_recover_blob_backlog{state="queued"} 0`,
	)
	if code, _ := c.get(0, "/"); code != 404 {
		t.Errorf("/ is %d", code)
	}
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+) `).FindAllStringSubmatch(text, -1) {
		names[m[1]] = true
	}
	checkDashboard(t, names)
	checkAlerts(t, names)
}

// checkMetrics requires the metrics in an expression to be among names, and adds them to used.
func checkMetrics(t *testing.T, where, expr string, names, used map[string]bool) {
	t.Helper()
	found := regexp.MustCompile(`\b(walrus|go|process)_[a-z_]+`).FindAllString(expr, -1)
	if len(found) == 0 && !strings.Contains(expr, "up{") {
		t.Errorf("%s: no metric in %s", where, expr)
	}
	for _, name := range found {
		base := name
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			base = strings.TrimSuffix(base, suffix)
		}
		if used[base] = true; !names[base] {
			t.Errorf("%s: there is no metric %s", where, name)
		}
	}
}

// checkDashboard requires the dashboard to show all metrics of the node's own.
func checkDashboard(t *testing.T, names map[string]bool) {
	t.Helper()
	b, err := os.ReadFile("../docs/grafana-node.json")
	must(t, err)
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	must(t, json.Unmarshal(b, &board))
	used := map[string]bool{}
	for _, p := range board.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			checkMetrics(t, p.Title, target.Expr, names, used)
		}
	}
	for name := range names {
		if strings.HasPrefix(name, "walrus_") && !used[name] {
			t.Errorf("%s is not on the dashboard", name)
		}
	}
}

func checkAlerts(t *testing.T, names map[string]bool) {
	t.Helper()
	b, err := os.ReadFile("../docs/alerts.yaml")
	must(t, err)
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	must(t, dec.Decode(&file))
	rules := 0
	for _, g := range file.Groups {
		if g.Name == "walrus-pin" { // a pinner's; package pinnode checks them
			continue
		}
		for _, r := range g.Rules {
			rules++
			checkMetrics(t, r.Alert, r.Expr, names, map[string]bool{})
			if _, err := time.ParseDuration(r.For); err != nil || r.Labels["severity"] == "" || r.Annotations["summary"] == "" ||
				r.Annotations["description"] == "" {
				t.Errorf("alert %s: for %q, %v, %v", r.Alert, r.For, r.Labels, r.Annotations)
			}
		}
	}
	if rules == 0 {
		t.Error("there are no alerts")
	}
}

// TestMetricsTaken: a node fails if a configured metrics address is taken; if the default address is taken, it runs
// without. A node that takes no data tells supervisors, too.
func TestMetricsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	c := newCluster(t, 4, 16)
	c.useLoopback()
	cfg := c.config(0)
	cfg.Metrics = l.Addr().String()
	if n, err := node.New(cfg, c.openLedger(0, &cfg)); err == nil ||
		!strings.Contains(err.Error(), "metrics: listen tcp") {
		t.Fatalf("opened %v with a taken address: %v", n, err)
	}
	c.adjust = func(_ int, cfg *node.Config) { cfg.Metrics, cfg.MetricsIfFree = l.Addr().String(), true }
	defer c.stopAll()
	c.start(0)
	if addr := c.nodes[0].MetricsAddr(); addr != "" || !c.logs.of(0).contains("serves no metrics") {
		t.Errorf("metrics at %q", addr)
	}
	c.adjust = func(_ int, cfg *node.Config) { cfg.Metrics, cfg.Store.Limit = "127.0.0.1:0", 1 }
	c.start(1)
	if code, text := c.get(1, "/healthz"); code != 200 ||
		!strings.HasPrefix(text, "ok\ntakes no new data: disk is full: the store uses ") {
		t.Errorf("/healthz of a full node is %d %q", code, text)
	}
	if _, text := c.get(1, "/metrics"); !strings.Contains(text, "\nwalrus_node_refuses_writes 1\n") ||
		!strings.Contains(text, fmt.Sprintf("\nwalrus_node_disk_limit_bytes %d\n", 1)) {
		t.Error("the metrics of a full node do not say so")
	}
}
