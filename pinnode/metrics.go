package pinnode

import (
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"walrus/pin"
)

// metricsAtOnce limits the scrapes under way.
const metricsAtOnce = 4

// statsCollector reports a keeper's counts. They cost the same however many pins there are.
type statsCollector struct {
	stats   func() pin.Stats
	started time.Time
}

// figure is one of the counts, as a metric.
type figure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*pin.Stats) float64
	state string // label of walrus_pin_blobs
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("walrus_pin_"+name, help, labels, nil)
}

var (
	blobsDesc = describe("blobs", "Blobs that somebody asked for, by state: pinned, queued, pinning, failing (tried again), refused (not tried again).", "status")
	upDesc    = describe("uptime_seconds", "Time since the pinner started.")
	figures   = []figure{
		{blobsDesc, prometheus.GaugeValue, func(s *pin.Stats) float64 { return float64(s.Pinned) }, "pinned"},
		{blobsDesc, prometheus.GaugeValue, func(s *pin.Stats) float64 { return float64(s.Queued) }, "queued"},
		{blobsDesc, prometheus.GaugeValue, func(s *pin.Stats) float64 { return float64(s.Fetching) }, "pinning"},
		{blobsDesc, prometheus.GaugeValue, func(s *pin.Stats) float64 { return float64(s.Failing) }, "failing"},
		{blobsDesc, prometheus.GaugeValue, func(s *pin.Stats) float64 { return float64(s.Refused) }, "refused"},
		{describe("requests", "Requests for pins."), prometheus.GaugeValue, func(s *pin.Stats) float64 { return float64(s.Requests) }, ""},
		{describe("foreign_requests", "Requests for CIDs of something else than blobs of this network."), prometheus.GaugeValue, func(s *pin.Stats) float64 { return float64(s.Foreign) }, ""},
		{describe("disk_bytes", "Bytes of disk that pins and their records take."), prometheus.GaugeValue, func(s *pin.Stats) float64 { return float64(s.Bytes) }, ""},
		{describe("disk_limit_bytes", "Limit of walrus_pin_disk_bytes; 0 for none."), prometheus.GaugeValue, func(s *pin.Stats) float64 { return float64(s.Limit) }, ""},
		{describe("served_today_bytes", "Bytes sent to others since midnight UTC."), prometheus.GaugeValue, func(s *pin.Stats) float64 { return float64(s.Today) }, ""},
		{describe("served_daily_limit_bytes", "Limit of walrus_pin_served_today_bytes; 0 for none."), prometheus.GaugeValue, func(s *pin.Stats) float64 { return float64(s.Daily) }, ""},
		{describe("served_bytes_total", "Bytes sent to others."), prometheus.CounterValue, func(s *pin.Stats) float64 { return float64(s.Served) }, ""},
		{describe("rows_fetched_total", "Rows fetched and written since the start."), prometheus.CounterValue, func(s *pin.Stats) float64 { return float64(s.Fetched) }, ""},
		{describe("announcements_looked_for_total", "Announcements looked for from outside since the start."), prometheus.CounterValue, func(s *pin.Stats) float64 { return float64(s.Looked) }, ""},
		{describe("announcements_missing_total", "Announcements looked for and not found, and made again."), prometheus.CounterValue, func(s *pin.Stats) float64 { return float64(s.Missing) }, ""},
	}
)

// Describe implements prometheus.Collector.
func (c *statsCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- upDesc
	for i := range figures {
		if figures[i].state == "" || figures[i].state == "pinned" { // each description once
			ch <- figures[i].desc
		}
	}
}

// Collect implements prometheus.Collector.
func (c *statsCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.stats()
	ch <- prometheus.MustNewConstMetric(upDesc, prometheus.GaugeValue, time.Since(c.started).Seconds())
	for i := range figures {
		f := &figures[i]
		var labels []string
		if f.state != "" {
			labels = []string{f.state}
		}
		ch <- prometheus.MustNewConstMetric(f.desc, f.kind, f.value(&s), labels...)
	}
}

// Collector returns the metrics of the pins.
func (n *Node) Collector() prometheus.Collector { return &statsCollector{n.keeper.Status, n.started} }

// metricsHandler serves metrics and health.
func (n *Node) metricsHandler() (http.Handler, error) {
	reg := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		n.Collector(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
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
