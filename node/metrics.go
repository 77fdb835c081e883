package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"walrus/alert"
	"walrus/monitor/round"
	"walrus/node/keeper"
	"walrus/p2p"
)

const (
	// metricsHeader bounds the time a client takes to send its request, metricsAnswer the whole exchange.
	metricsHeader, metricsAnswer = 5 * time.Second, 30 * time.Second
	// metricsAtOnce limits the scrapes under way.
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
		n.log.Warn("the metrics address is taken: the node serves no metrics and no /healthz; set \"metrics\" in node.yaml to another address, or to none", "addr", n.cfg.Metrics)
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
		Handler: handler, ReadHeaderTimeout: metricsHeader, ReadTimeout: metricsHeader, WriteTimeout: metricsAnswer,
		IdleTimeout:    2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),
	}
	defer context.AfterFunc(ctx, func() { _ = srv.Close() })()
	if err := srv.Serve(n.metrics); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Export adds metrics of what runs beside the node to its own.
func (n *Node) Export(c prometheus.Collector) error {
	if err := n.registry.Register(c); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

func (n *Node) metricsHandler() (http.Handler, error) {
	reg := n.registry
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
	if room := n.room().String(); room != "" {
		text += room + "\n"
	}
	_, _ = io.WriteString(w, text) // an error means that the client has gone away
}

// statusCollector exports the node's status as metrics.
type statusCollector struct{ n *Node }

// Describe implements prometheus.Collector. It names nothing beforehand: Collect alone has names and help.
func (c *statusCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *statusCollector) Collect(ch chan<- prometheus.Metric) {
	st, err := c.n.Status()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
		return
	}
	export := func(kind prometheus.ValueType, name, help string, v float64, labels ...string) { // each name, then value
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, nil, pairs(labels)), kind, v)
	}
	gauge := func(name, help string, v float64, labels ...string) {
		export(prometheus.GaugeValue, name, help, v, labels...)
	}
	for _, state := range []string{keeper.Joining, keeper.Syncing, keeper.Serving, keeper.ReadOnly} {
		gauge("walrus_current_node_status", "1 for the state that the node is in.", truth(state == st.State), "status", state)
	}
	waiting, active := c.n.keeper.Backlog()
	const backlog, lacking = "walrus_recover_blob_backlog", "Blobs that lack something here, waiting or being rebuilt."
	gauge(backlog, lacking, float64(waiting), "state", "queued")
	gauge(backlog, lacking, float64(active), "state", "in-progress")
	received, sent := c.n.host.Traffic()
	const traffic, bytes = "walrus_node_traffic_bytes_total", "Bytes of slivers and what belongs to them."
	export(prometheus.CounterValue, traffic, bytes, float64(received), "direction", "received")
	export(prometheus.CounterValue, traffic, bytes, float64(sent), "direction", "sent")
	gauge("walrus_current_epoch", "Epoch of the ledger here.", float64(st.Epoch))
	gauge("walrus_shards_owned", "Shards of the node.", float64(len(st.Shards)), "status", "ready")
	gauge("walrus_node_blobs", "Certified blobs that the node knows.", float64(st.Blobs))
	gauge("walrus_node_slivers", "Slivers stored.", float64(st.Slivers))
	gauge("walrus_node_slivers_owed", "Slivers that the node should have and lacks.", float64(st.Owed))
	gauge("walrus_node_repair_slivers_per_hour", "Slivers rebuilt per hour, lately; 0 while none is owed.",
		float64(st.RepairRate))
	gauge("walrus_node_repair_left_seconds", "Estimated time until no sliver is owed; 0: none is, or not known.",
		st.RepairLeft.Seconds())
	gauge("walrus_node_slivers_corrupt", "Slivers found damaged and not rebuilt yet.", float64(st.Corrupt))
	gauge("walrus_node_disk_used_bytes", "Disk space of the store.", float64(st.DiskBytes))
	gauge("walrus_node_disk_limit_bytes", "Disk space that the store may use; 0 is no limit.", float64(st.DiskLimit))
	gauge("walrus_node_disk_free_bytes", "Free space of the store's disk.", float64(st.DiskFree))
	gauge("walrus_node_disk_reserve_bytes", "Free space below which the node takes no new data.", float64(st.DiskReserve))
	gauge("walrus_node_invalid_blobs", "Blobs that this node learned to be encoded wrongly since its start.",
		float64(st.Invalid))
	gauge("walrus_node_refuses_writes", "1 while the node takes no new data.", truth(st.Refuses != ""))
	gauge("walrus_node_peers", "Peers connected.", float64(st.Peers))
	c.reach(gauge)
	c.monitored(export, gauge)
	gauge("walrus_node_incidents", "Damage to the disk found since the start.", float64(len(st.Incidents)))
	gauge("walrus_build_info", "1, with the version.", 1, "version", st.Version)
	height, at, trouble := c.n.ledger.Health()
	gauge("walrus_ledger_height", "Newest block here.", float64(height))
	gauge("walrus_ledger_block_age_seconds", "Age of the newest block here.", time.Since(at).Seconds())
	gauge("walrus_ledger_stalled", "1 while the ledger stalls for this node.", truth(trouble != ""))
	c.kept(gauge)
	gauge("walrus_ledger_caught_up", "1 once the ledger here has been as new as the network's.",
		truth(c.n.keeper.CaughtUp()))
}

// kept exports the room on the ledger's disk and the age of its oldest block.
func (c *statusCollector) kept(gauge func(name, help string, v float64, labels ...string)) {
	l, ok := c.n.ledger.(roomy)
	if !ok {
		return
	}
	room := l.Room()
	gauge("walrus_ledger_disk_free_bytes", "Free space of the ledger's disk.", float64(room.Free))
	gauge("walrus_ledger_disk_alarm", "0 with enough room, 1: free some space, 2: takes no transactions, 3: ends.", float64(room.Alarm))
	height, at := l.Kept()
	gauge("walrus_ledger_kept_height", "First block from which on all are kept.", float64(height))
	if !at.IsZero() {
		gauge("walrus_ledger_kept_since_seconds", "Time of that block, in seconds since 1970.", float64(at.Unix()))
	}
}

// monitored exports what monitors say of the node, and its alerts. Without a late verdict there is no score: no data is
// no sign of health.
func (c *statusCollector) monitored(export func(kind prometheus.ValueType, name, help string, v float64, labels ...string),
	gauge func(name, help string, v float64, labels ...string)) {
	for _, cause := range alert.Causes {
		gauge("walrus_node_alert", "1 while there is trouble of this cause, told or not.", truth(c.n.alarms.firing(cause)), "cause", string(cause))
	}
	export(prometheus.CounterValue, "walrus_node_alerts_total", "Alerts and recoveries since the start.", float64(c.n.alarms.sender.Sent()))
	for way, failed := range c.n.alarms.sender.Failed() {
		export(prometheus.CounterValue, "walrus_node_alerts_failed_total", "Alerts that a way could not deliver.", float64(failed), "way", way)
	}
	s := c.n.score()
	gauge("walrus_node_monitors", "Monitors with weight that asked the node in the last round; 0 without a late verdict.", float64(s.Monitors))
	for _, line := range []struct {
		name  string
		value float64
	}{{"durability", s.Durability}, {"reachability", s.Reachability}, {"speed", s.Speed}} {
		if line.value < 0 {
			line.value = math.NaN()
		}
		gauge("walrus_node_score", "What monitors say of the node, 0 to 100; NaN if nothing lately.", line.value, "line", line.name)
	}
	for o := round.OK; o <= round.Unreachable; o++ {
		gauge("walrus_node_seen", "1 for the outcome of the last round of monitors.", truth(s.Monitors > 0 && s.Outcome == o), "outcome", o.String())
	}
}

// reach exports how others reach the node: for each address a verdict, and the best of all.
func (c *statusCollector) reach(gauge func(name, help string, v float64, labels ...string)) {
	r := c.n.host.Outside().Reach()
	const name, help = "walrus_node_reach", "1 for the way in which others reach the node."
	for v := p2p.Blocked; v <= p2p.Reachable; v++ {
		gauge(name, help, truth(r.Verdict == v), "verdict", v.String())
	}
	for _, a := range r.Addrs {
		gauge("walrus_node_reach_address", "1 for the way in which others reach an address of the node.", 1,
			"address", a.Addr.String(), "transport", a.Transport, "verdict", a.Verdict.String())
	}
	gauge("walrus_node_relays", "Nodes that relay signals for this one.", float64(len(r.Relays)))
	gauge("walrus_node_admitted", "1 once enough members have reached the node for it to serve as a member.", truth(c.n.notAdmitted() == nil))
}

// pairs makes labels of names and values in turn.
func pairs(list []string) prometheus.Labels {
	labels := prometheus.Labels{}
	for pair := range slices.Chunk(list, 2) {
		labels[pair[0]] = pair[1]
	}
	return labels
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
