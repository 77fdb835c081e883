package guard

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestDashboard: the dashboard uses only metrics that exist, and all of them.
func TestDashboard(t *testing.T) {
	b, err := os.ReadFile("../../docs/grafana-gateway.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &board); err != nil {
		t.Fatal(err)
	}
	names := everyMetric(t)
	used := map[string]bool{}
	word := regexp.MustCompile(`\b(http_server|walrus)_[a-z_]+`)
	for _, p := range board.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			found := word.FindAllString(target.Expr, -1)
			if len(found) == 0 {
				t.Errorf("%s: no metric in %s", p.Title, target.Expr)
			}
			for _, name := range found {
				base := name
				for _, suffix := range []string{"_bucket", "_sum", "_count"} {
					base = strings.TrimSuffix(base, suffix)
				}
				if used[base] = true; !names[base] {
					t.Errorf("%s: there is no metric %s", p.Title, name)
				}
			}
		}
	}
	for name := range names {
		if !used[name] {
			t.Errorf("%s is not on the dashboard", name)
		}
	}
}

// everyMetric makes each metric of the guard appear once and returns their names.
func everyMetric(t *testing.T) map[string]bool {
	t.Helper()
	reg := prometheus.NewRegistry()
	cfg := Default()
	cfg.JWT.Secret = secret
	g, err := New(cfg, slog.New(slog.DiscardHandler), reg)
	if err != nil {
		t.Fatal(err)
	}
	h := g.Wrap(http.HandlerFunc(reader))
	do(h, request("PUT", "/v1/blobs", "x"))
	r := request("GET", "/", "")
	r.Host = "evil.org"
	do(h, r)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range families {
		names[f.GetName()] = true
	}
	return names
}
