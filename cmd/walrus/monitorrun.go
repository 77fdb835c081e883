package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"walrus/compose"
	"walrus/config"
	"walrus/monitor"
	"walrus/monitor/round"
	"walrus/monitornode"
	"walrus/node"
)

// monitorListen lists the default addresses of a monitor: one port for TCP and QUIC.
var monitorListen = []string{"/ip4/0.0.0.0/tcp/4041", "/ip4/0.0.0.0/udp/4041/quic-v1", "/ip6/::/tcp/4041", "/ip6/::/udp/4041/quic-v1"}

// monitorRunFlags are the flags of monitor run.
type monitorRunFlags struct {
	home, receipts, metrics string
	listen, announce        []string
}

func monitorRunCommand(a monitorApp) *cobra.Command {
	var f monitorRunFlags
	c := &cobra.Command{
		Use:   "run",
		Short: "probe storage nodes and attest, until interrupted",
		Long: `Run a monitor in the foreground. In each round it asks nodes for a few random symbols, checks what they sign, and at the end
of the round tells everybody what it saw. It belongs to the network of the client configuration and needs no wallet. It works
behind a home router. A round lasts six seconds for each member of the first epoch, but at most a 144th of an epoch, and
five seconds to ten minutes.

The home keeps the monitor's key, what all monitors said, for 30 days, and the nodes' signed answers. Without a bond, the
monitor's word is shown, and does not count: walrus monitor bond gives it weight. A monitor beside a storage node weighs as much
as the node's shards: set monitor.enabled in node.yaml instead of running this.

Once commands are answered, one line that begins with "ready" appears on standard output, or with --json the object
{"ready":true,"peerId","addresses","metrics"} on one line. Logs go to standard error. The first interrupt (Ctrl-C, or
SIGTERM) stops the process in order, a second one at once.`,
		Example: "  walrus monitor run --home /srv/monitor\n  walrus monitor run --metrics-address 127.0.0.1:9188",
		Args:    args(cobra.NoArgs, "no arguments"),
		RunE:    func(c *cobra.Command, _ []string) error { return a.monitorRun(c.Context(), &f) },
	}
	flags := c.Flags()
	monitorHomeFlag(c, &f.home)
	flags.StringVar(&f.receipts, "receipts", "", "keep at most `SIZE` of signed answers, such as 1GiB (default: 1GiB)")
	flags.StringArrayVar(&f.listen, "listen", monitorListen, "`MULTIADDR` to accept connections on; may be repeated")
	flags.StringArrayVar(&f.announce, "announce", nil, "`MULTIADDR` to tell others instead of the detected ones; may be repeated")
	flags.StringVar(&f.metrics, "metrics-address", "", "serve Prometheus metrics, /healthz and /readyz at `ADDR`, such as 127.0.0.1:9188 (default: off)")
	return c
}

func (a monitorApp) monitorRun(ctx context.Context, f *monitorRunFlags) error {
	home, err := a.monitorHome(f.home)
	if err != nil {
		return err
	}
	receipts, err := sizeFlag("receipts", f.receipts)
	if err != nil {
		return err
	}
	conf, err := a.loadClient()
	if err != nil {
		return err
	}
	log, err := a.logger(conf.Log.Serving())
	if err != nil {
		return err
	}
	cfg, open, err := compose.Monitor(conf, home, version, log)
	if err != nil {
		return err
	}
	cfg.Client.P2P.Listen, cfg.Client.P2P.Announce = f.listen, f.announce
	cfg.ReceiptBytes, cfg.Metrics = receipts, f.metrics
	n, err := monitornode.Open(ctx, cfg, open)
	if err != nil {
		return adviseTaken(err, f.metrics, "--metrics-address")
	}
	return n.Run(ctx, func() error {
		return a.ready(struct {
			Ready     bool     `json:"ready"`
			PeerID    string   `json:"peerId"`
			Addresses []string `json:"addresses"`
			Metrics   string   `json:"metrics,omitempty"`
		}{true, n.ID().String(), n.Addrs(), n.MetricsAddr()}, "ready %s\n", n.ID())
	})
}

// startNodeMonitor starts the monitor that the configuration of a running node asks for, on the node's host.
func (a monitorApp) startNodeMonitor(ctx context.Context, n *node.Node, home string, start func(task)) error {
	conf, err := config.LoadNode(home)
	if err != nil || !conf.Monitor.Enabled {
		return err
	}
	return a.startMonitor(ctx, n, conf, nil, start)
}

// startMonitor starts a monitor beside a node. Its log lines carry attrs.
func (a monitorApp) startMonitor(ctx context.Context, n *node.Node, conf *config.Node, attrs []any, start func(task)) error {
	log, err := a.logger(conf.Log)
	if err != nil {
		return err
	}
	m, err := compose.NodeMonitor(ctx, conf, n, version, log.With(attrs...))
	if err != nil {
		return err
	}
	start(func(ctx context.Context) error { return m.Run(ctx, func() error { return nil }) })
	return nil
}

func monitorStatusCommand(a monitorApp) *cobra.Command {
	var home string
	c := &cobra.Command{
		Use:   "status",
		Short: "show a running monitor, and what all monitors say",
		Long: `Ask a running monitor for its rounds and for the scores of all nodes. If none runs with that home, the exit code is 1.

The scores are from 0 to 100, by the weighted median of all monitors' rounds, smoothed over some hours. Durability counts
right and wrong answers, reachability counts answers, speed counts how long they took. "no data" means that monitors with more
than a third of the weight have not spoken lately: it is not a good sign.

--json prints {"running","version","network","peerId","addresses","started","round":{"number","start","lengthNanos","epoch"},
"prober":{"monitor","idle","blobs","rounds","lastRound","lastAt","outcomes","void","questions","convicted","told","voidRounds",
"trouble"},"self","nodes":[{"node","name","shards","level","durability","reachability","speed","round","at","outcome",
"rttNanos","bytesPerSecond","monitors"}],"monitors":[{"monitor","name","kind","weight","round","at","void","outcomes",
"silencedUntil","unproven"}],"risk":{"sampled","shards","least","lost","histogram","nearest"}}. A score of -1 is unknown.`,
		Example: "  walrus monitor status --home /srv/monitor\n  walrus monitor status --home D/node-0 --json",
		Args:    args(cobra.NoArgs, "no arguments"),
		RunE:    func(c *cobra.Command, _ []string) error { return a.monitorStatus(c.Context(), home) },
	}
	monitorHomeFlag(c, &home)
	return c
}

func (a monitorApp) monitorStatus(ctx context.Context, flag string) error {
	ctx, cancel := a.withTimeout(ctx, statusTimeout)
	defer cancel()
	home, err := a.monitorHome(flag)
	if err != nil {
		return err
	}
	s, err := monitornode.QueryStatus(ctx, home)
	if err != nil {
		return err
	}
	if a.global.json {
		return a.printJSON(&s)
	}
	if err := table(a.stdout, "", monitorRows(&s)); err != nil {
		return err
	}
	if len(s.Nodes) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(a.stdout); err != nil {
		return err
	}
	return table(a.stdout, "", scoreRows(s.Nodes))
}

// monitorRows describes the monitor itself.
func monitorRows(s *monitornode.Status) [][]string {
	p := &s.Prober
	did := fmt.Sprintf("%d, of which %d void", p.Rounds, p.VoidRounds)
	if p.LastRound > 0 {
		did += fmt.Sprintf("; last %d at %s: %s", p.LastRound, p.LastAt.UTC().Format(time.DateTime), outcomeText(p.Outcomes))
	}
	rows := [][]string{
		{"peer ID", s.PeerID},
		{"network", s.Network},
		{"version", s.Version},
		{"round", fmt.Sprintf("%d, of %s each", s.Round.Number, s.Round.Length)},
		{"weight", fmt.Sprintf("%.2f %% (%s)", 100*s.Self.Weight, s.Self.Kind)},
		{"blobs", fmt.Sprintf("%d known, %d sampled", p.Blobs, s.Risk.Sampled)},
		{"rounds attested", did},
		{"questions", fmt.Sprintf("%d, of which %d convict", p.Questions, p.Convicted)},
	}
	if p.Idle {
		rows = append(rows, []string{"idle", "no blob is known that was certified for at least a minute, so nothing is probed"})
	}
	if p.Trouble != "" {
		rows = append(rows, []string{"trouble", p.Trouble})
	}
	if !s.Self.Silenced.IsZero() {
		rows = append(rows, []string{"silenced", "until " + s.Self.Silenced.UTC().Format(time.DateOnly) + ": two different attestations for one round bear its signature"})
	}
	return rows
}

// outcomeText lists the outcomes that occurred.
func outcomeText(c monitor.Counts) string {
	text := ""
	for _, o := range []struct {
		n    int
		name string
	}{{c.OK, "ok"}, {c.Slow, "slow"}, {c.Missing, "missing"}, {c.Wrong, "wrong"}, {c.Timeout, "timeout"}, {c.Unreachable, "unreachable"}} {
		if o.n > 0 {
			text += fmt.Sprintf(", %d %s", o.n, o.name)
		}
	}
	if text == "" {
		return "nobody asked"
	}
	return text[2:]
}

// scoreRows lists the nodes with their scores.
func scoreRows(nodes []monitor.NodeScore) [][]string {
	rows := [][]string{{"NODE", "LEVEL", "DURABILITY", "REACHABILITY", "SPEED", "LAST ROUND", "ROUND TRIP"}}
	for i := range nodes {
		n := &nodes[i]
		last, trip := "no data", "-"
		if n.Outcome != round.NotAsked {
			last = fmt.Sprintf("%s (%d monitors)", n.Outcome, n.Monitors)
		}
		if n.RTT > 0 {
			trip = n.RTT.Round(100 * time.Microsecond).String()
		}
		rows = append(rows, []string{n.Name, n.Level.String(), scoreText(n.Durability), scoreText(n.Reachability), scoreText(n.Speed), last, trip})
	}
	return rows
}

// scoreText returns a score with one decimal, or "-" for an unknown one.
func scoreText(s float64) string {
	if s < 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", s)
}
