package pinnode

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"walrus/pin"
)

// TestMetrics: every figure of a keeper is told with its own value, and the alerts name no others.
func TestMetrics(t *testing.T) {
	stats := pin.Stats{
		Requests: 1, Foreign: 2, Pinned: 3, Queued: 4, Fetching: 5, Failing: 6, Refused: 7, Bytes: 8, Limit: 9, Served: 10, Today: 11, Daily: 12,
		Fetched: 13, Looked: 14, Missing: 15,
	}
	reg := prometheus.NewRegistry()
	if err := reg.Register(&statsCollector{func() pin.Stats { return stats }, time.Now()}); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names, seen := map[string]bool{}, map[float64]bool{}
	for _, f := range families {
		names[f.GetName()] = true
		for _, m := range f.GetMetric() {
			if f.GetName() != "walrus_pin_uptime_seconds" {
				seen[m.GetGauge().GetValue()+m.GetCounter().GetValue()] = true
			}
		}
	}
	for v := 1.0; v <= 15; v++ {
		if !seen[v] {
			t.Errorf("no metric has the value %v", v)
		}
	}
	raw, err := os.ReadFile("../docs/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, group, _ := strings.Cut(string(raw), "- name: walrus-pin\n")
	used := regexp.MustCompile(`walrus_pin_\w+`).FindAllString(group, -1)
	if len(used) < 5 {
		t.Errorf("the alerts use %v", used)
	}
	for _, name := range used {
		if !names[name] {
			t.Errorf("an alert uses %s, which is no metric", name)
		}
	}
}
