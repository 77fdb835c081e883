package monitornode

import (
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"walrus/monitor"
)

// metricsAtOnce limits the scrapes under way.
const metricsAtOnce = 4

// figure is one number of a Prober, as a metric.
type figure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*monitor.ProberStatus) float64
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("walrus_monitor_"+name, help, labels, nil)
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

var (
	outcomesDesc = describe("nodes", "Nodes probed in the last attested round, by outcome.", "outcome")
	figures      = []figure{
		{describe("idle", "1 while nothing certified is known, so nothing is probed."), prometheus.GaugeValue, func(s *monitor.ProberStatus) float64 { return flag(s.Idle) }},
		{describe("blobs", "Blobs known, from which questions are drawn."), prometheus.GaugeValue, func(s *monitor.ProberStatus) float64 { return float64(s.Blobs) }},
		{describe("rounds_total", "Rounds attested since the start."), prometheus.CounterValue, func(s *monitor.ProberStatus) float64 { return float64(s.Rounds) }},
		{describe("void_rounds_total", "Rounds in which fewer than half of the nodes asked were reached."), prometheus.CounterValue, func(s *monitor.ProberStatus) float64 { return float64(s.VoidRounds) }},
		{describe("last_round_seconds", "Start of the last attested round, in Unix time; 0 for none."), prometheus.GaugeValue, func(s *monitor.ProberStatus) float64 {
			if s.LastAt.IsZero() {
				return 0
			}
			return float64(s.LastAt.Unix())
		}},
		{describe("questions_total", "Questions put to nodes since the start."), prometheus.CounterValue, func(s *monitor.ProberStatus) float64 { return float64(s.Questions) }},
		{describe("convictions_total", "Answers since the start that convict a node."), prometheus.CounterValue, func(s *monitor.ProberStatus) float64 { return float64(s.Convicted) }},
		{describe("told_total", "Pieces of evidence since the start that the accused took."), prometheus.CounterValue, func(s *monitor.ProberStatus) float64 { return float64(s.Told) }},
	}
)

// collector reports a Prober's numbers. They cost the same however much is kept.
type collector struct{ status func() monitor.ProberStatus }

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- outcomesDesc
	for i := range figures {
		ch <- figures[i].desc
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c.status()
	for i := range figures {
		ch <- prometheus.MustNewConstMetric(figures[i].desc, figures[i].kind, figures[i].value(&s))
	}
	for name, n := range map[string]int{
		"ok": s.Outcomes.OK, "slow": s.Outcomes.Slow, "missing": s.Outcomes.Missing, "wrong": s.Outcomes.Wrong,
		"timeout": s.Outcomes.Timeout, "unreachable": s.Outcomes.Unreachable,
	} {
		ch <- prometheus.MustNewConstMetric(outcomesDesc, prometheus.GaugeValue, float64(n), name)
	}
}

// metricsHandler serves metrics and health.
func (n *Node) metricsHandler() (http.Handler, error) {
	reg := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		collector{n.prober.Status}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: metricsAtOnce}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { health(w, "") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		why := ""
		if n.dht.TableSize() == 0 {
			why = "no node of the network is reached"
		}
		health(w, why)
	})
	return mux, nil
}

// health answers ok, or why not.
func health(w http.ResponseWriter, why string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	text := "ok\n"
	if why != "" {
		w.WriteHeader(http.StatusServiceUnavailable)
		text = "not ready: " + why + "\n"
	}
	_, _ = w.Write([]byte(text)) // a reader who has left needs no answer
}
