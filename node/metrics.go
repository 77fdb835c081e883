package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"walrus/node/keeper"
)

const (
	// metricsHeader bounds the time a client takes to send its request, metricsAnswer the whole exchange.
	metricsHeader, metricsAnswer = 5 * time.Second, 30 * time.Second
	// metricsAtOnce limits the scrapes under way: each reads the store's files.
	metricsAtOnce = 4
)

// listenMetrics opens the listener of Config.Metrics, if any.
func (n *Node) listenMetrics() error {
	if n.cfg.Metrics == "" {
		return nil
	}
	at, err := net.ResolveTCPAddr("tcp", n.cfg.Metrics)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	l, err := net.ListenTCP("tcp", at)
	switch {
	case n.cfg.MetricsIfFree && errors.Is(err, syscall.EADDRINUSE):
		n.log.Warn("the node serves no metrics and no /healthz, as their address is taken; \"metrics\" in node.yaml names another, or none", "addr", n.cfg.Metrics)
		return nil
	case err != nil:
		return fmt.Errorf("metrics: %w", err)
	}
	n.metrics = l
	return nil
}

// MetricsAddr returns the address of the metrics server; empty if there is none.
func (n *Node) MetricsAddr() string {
	if n.metrics == nil {
		return ""
	}
	return n.metrics.Addr().String()
}

func (n *Node) closeMetrics() error {
	if n.metrics == nil {
		return nil
	}
	if err := n.metrics.Close(); !errors.Is(err, net.ErrClosed) { // the server closes it, too
		return err
	}
	return nil
}

// runMetrics serves metrics and health until ctx ends.
func (n *Node) runMetrics(ctx context.Context) error {
	if n.metrics == nil {
		return nil
	}
	handler, err := n.metricsHandler()
	if err != nil {
		return err
	}
	srv := &http.Server{
		Handler: handler, ReadHeaderTimeout: metricsHeader, ReadTimeout: metricsHeader, WriteTimeout: metricsAnswer, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),
	}
	defer context.AfterFunc(ctx, func() { _ = srv.Close() })()
	if err := srv.Serve(n.metrics); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (n *Node) metricsHandler() (http.Handler, error) {
	reg := prometheus.NewRegistry()
	all := append(n.keeper.Collectors(), &statusCollector{n},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, c := range all {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: metricsAtOnce}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { n.answerHealth(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { n.answerHealth(w, n.keeper.Unready()) })
	return mux, nil
}

// answerHealth answers ok, or the reasons why not, and adds what needs an operator's attention. A node that answers
// is alive: an error it cannot survive ends the process.
func (n *Node) answerHealth(w http.ResponseWriter, why []string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	text := "ok\n"
	if len(why) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		text = "not ready: " + strings.Join(why, ", ") + "\n"
	}
	if full := n.keeper.Refuses(); full != "" {
		text += "takes no new data: " + full + "\n"
	}
	if _, _, trouble := n.ledger.Health(); trouble != "" {
		text += trouble + "\n"
	}
	_, _ = io.WriteString(w, text) // an error means that the client has gone away
}

// statusCollector exports the node's status as metrics.
type statusCollector struct{ n *Node }

// desc describes a metric of the status.
func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	descStatus  = desc("walrus_current_node_status", "1 for the state that the node is in.", "status")
	descEpoch   = desc("walrus_current_epoch", "Epoch of the ledger here.")
	descShards  = desc("walrus_shards_owned", "Shards of the node.", "status")
	descBacklog = desc("walrus_recover_blob_backlog", "Blobs that lack something here, waiting or being rebuilt.", "state")
	descBlobs   = desc("walrus_node_blobs", "Certified blobs that the node knows.")
	descSlivers = desc("walrus_node_slivers", "Slivers stored.")
	descOwed    = desc("walrus_node_slivers_owed", "Slivers that the node should have and lacks.")
	descCorrupt = desc("walrus_node_slivers_corrupt", "Slivers found damaged and not rebuilt yet.")
	descUsed    = desc("walrus_node_disk_used_bytes", "Disk space of the store.")
	descLimit   = desc("walrus_node_disk_limit_bytes", "Disk space that the store may use; 0 is no limit.")
	descFree    = desc("walrus_node_disk_free_bytes", "Free space of the store's disk.")
	descReserve = desc("walrus_node_disk_reserve_bytes", "Free space below which the node takes no new data.")
	descRefuses = desc("walrus_node_refuses_writes", "1 while the node takes no new data.")
	descPeers   = desc("walrus_node_peers", "Peers connected.")
	descTraffic = desc("walrus_node_traffic_bytes_total", "Bytes of slivers and what belongs to them.", "direction")
	descDamage  = desc("walrus_node_incidents", "Damage to the disk found since the start.")
	descBuild   = desc("walrus_build_info", "1, with the version.", "version")
	descHeight  = desc("walrus_ledger_height", "Newest block here.")
	descAge     = desc("walrus_ledger_block_age_seconds", "Age of the newest block here.")
	descStalled = desc("walrus_ledger_stalled", "1 while the ledger stands still for this node.")
	descReady   = desc("walrus_ledger_caught_up", "1 since the ledger here was first as new as the network's.")
)

// Describe implements prometheus.Collector.
func (c *statusCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descStatus, descEpoch, descShards, descBacklog, descBlobs, descSlivers, descOwed, descCorrupt, descUsed, descLimit, descFree, descReserve,
		descRefuses, descPeers, descTraffic, descDamage, descBuild, descHeight, descAge, descStalled, descReady,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *statusCollector) Collect(ch chan<- prometheus.Metric) {
	st, err := c.n.Status()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(descStatus, err)
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, state := range []string{keeper.Joining, keeper.Syncing, keeper.Serving, keeper.ReadOnly} {
		gauge(descStatus, truth(state == st.State), state)
	}
	gauge(descEpoch, float64(st.Epoch))
	gauge(descShards, float64(len(st.Shards)), "ready")
	waiting, active := c.n.keeper.Backlog()
	gauge(descBacklog, float64(waiting), "queued")
	gauge(descBacklog, float64(active), "in-progress")
	gauge(descBlobs, float64(st.Blobs))
	gauge(descSlivers, float64(st.Slivers))
	gauge(descOwed, float64(st.Owed))
	gauge(descCorrupt, float64(st.Corrupt))
	gauge(descUsed, float64(st.DiskBytes))
	gauge(descLimit, float64(st.DiskLimit))
	gauge(descFree, float64(st.DiskFree))
	gauge(descReserve, float64(st.DiskReserve))
	gauge(descRefuses, truth(st.Refuses != ""))
	gauge(descPeers, float64(st.Peers))
	received, sent := c.n.host.Traffic()
	ch <- prometheus.MustNewConstMetric(descTraffic, prometheus.CounterValue, float64(received), "received")
	ch <- prometheus.MustNewConstMetric(descTraffic, prometheus.CounterValue, float64(sent), "sent")
	gauge(descDamage, float64(len(st.Incidents)))
	gauge(descBuild, 1, st.Version)
	height, at, trouble := c.n.ledger.Health()
	gauge(descHeight, float64(height))
	gauge(descAge, time.Since(at).Seconds())
	gauge(descStalled, truth(trouble != ""))
	gauge(descReady, truth(c.n.keeper.CaughtUp()))
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
