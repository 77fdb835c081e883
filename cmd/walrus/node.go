package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"

	"walrus/alert"
	"walrus/clientnode"
	"walrus/compose"
	"walrus/config"
	"walrus/ledger/light"
	"walrus/node"
	"walrus/p2p"
)

// nodeApp runs the commands about storage nodes.
type nodeApp struct{ *app }

func nodeCommand(a *app) *cobra.Command {
	c := group(&cobra.Command{
		Use:   "node",
		Short: "make, run and inspect a storage node",
		Long: `A storage node lives in a folder, its home, with node.yaml, keys/ and the data. Make the home with init. Have its entry
added to the genesis before the network starts (walrus genesis add). Then run the node.`,
		Example: "  walrus node init --home /var/lib/walrus --network example-net > alpha.yaml\n" +
			"  walrus node run --home /var/lib/walrus\n  walrus node status --home /var/lib/walrus",
	})
	c.AddCommand(nodeInitCommand(a), nodeRunCommand(a), nodeStatusCommand(a), nodeAlertsCommand(alertApp{a}), nodeTestAlertCommand(alertApp{a}))
	return c
}

// homeFlag adds the required flag --home.
func homeFlag(c *cobra.Command, home *string) {
	c.Flags().StringVar(home, "home", "", "home `FOLDER` of the node (required)")
	check := c.Args
	c.Args = func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return err
		}
		if *home == "" {
			return usagef("%s: --home FOLDER is missing", c.CommandPath())
		}
		return nil
	}
}

func nodeRunCommand(a *app) *cobra.Command {
	var o runFlags
	c := &cobra.Command{
		Use:   "run --home FOLDER",
		Short: "run a storage node until interrupted",
		Long: `Run a storage node in the foreground. Its home was made by walrus node init or walrus devnet init.

Once the node answers requests and has joined the others, or has waited three seconds for them, it prints one line that
begins with "ready" on standard output, or with --json the object {"ready":true,"name","peerId","addresses"} on one line.
With gateway.bind in node.yaml it also serves HTTP, and the ready line names the URL. With pins.enabled it also keeps pins:
walrus pin finds them with the node's home. With monitor.enabled it also probes others: see walrus monitor. Logs go to
standard error. The first interrupt (Ctrl-C, or SIGTERM) stops the node in order, a second one at once. SIGHUP reads "allow"
of node.yaml and its files again: peers that are not on the list any more are disconnected.

A node whose newest block is older than the trust period (two epochs) does not start without --trust HEIGHT:HASH, a
checkpoint that somebody you trust has printed with walrus checkpoint. HEIGHT:HASH:stalled vouches that the ledger stood still
after that block, and genesis that the network begins only now.

  walrus node run --home /var/lib/walrus
  walrus node run --home D/node-0 --log-level debug`,
		Args: args(cobra.NoArgs, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error { return nodeApp{a}.nodeRun(c.Context(), o) },
	}
	homeFlag(c, &o.home)
	c.Flags().BoolVar(&o.newState, "new-consensus-state", false,
		"make keys/consensus.state anew if it is missing: only for a key that never signed, or whose last use is long over")
	return c
}

// runFlags are the flags of node run.
type runFlags struct {
	home     string
	newState bool
}

func (a nodeApp) nodeRun(ctx context.Context, o runFlags) error {
	home := o.home
	asked := reloads()
	n, err := a.openNode(home, nil, func(c *config.Node) error {
		c.NewConsensusState = o.newState
		if a.global.trust == "" {
			return nil
		}
		at, err := light.ParseCheckpoint(a.global.trust)
		c.Trust = &at
		return err
	})
	if err != nil {
		return err
	}
	return runAll(ctx, []*node.Node{n.Node}, (*node.Node).Ready, func(ctx context.Context, start func(task)) error {
		start(func(ctx context.Context) error {
			read := func() (func(peer.ID) bool, error) { return compose.NodeAllowed(home) }
			return reloadAllowed(ctx, asked, n.log, read, n.SetAllowed)
		})
		url, err := a.startNodeGateway(ctx, n.Node, home, start)
		if err != nil {
			return err
		}
		if err := (pinApp{a.app}).startNodePins(ctx, n.Node, home, start); err != nil {
			return err
		}
		if err := (monitorApp{a.app}).startNodeMonitor(ctx, n.Node, home, start); err != nil {
			return err
		}
		return a.ready(struct {
			Ready     bool     `json:"ready"`
			Name      string   `json:"name"`
			PeerID    string   `json:"peerId"`
			Addresses []string `json:"addresses"`
			Gateway   string   `json:"gateway,omitempty"`
		}{true, n.name, n.peer, n.Addrs(), url},
			"ready %s %s\n", visible(n.name), strings.TrimSpace(strings.Join(n.Addrs(), " ")+" "+url))
	})
}

// startNodePins starts the pinner that the configuration of a running node asks for, on the node's host.
func (a pinApp) startNodePins(ctx context.Context, n *node.Node, home string, start func(task)) error {
	conf, err := config.LoadNode(home)
	if err != nil || !conf.Pins.Enabled {
		return err
	}
	log, err := a.logger(conf.Log)
	if err != nil {
		return err
	}
	p, err := compose.NodePins(ctx, conf, n, version, log)
	if err != nil {
		return err
	}
	start(func(ctx context.Context) error {
		if err := p.Run(ctx, func() error { return nil }); err != nil && ctx.Err() == nil { // slivers come first
			log.Error("the pins beside this node have stopped; the node goes on: restart it to have them again", "err", err)
		}
		return nil
	})
	return nil
}

// openedNode is a node that listens but does not run yet.
type openedNode struct {
	*node.Node
	name, peer string
	log        *slog.Logger
}

// openNode opens the node of home after a change of its configuration. Its log lines carry attrs.
func (a *app) openNode(home string, attrs []any, change func(*config.Node) error) (*openedNode, error) {
	conf, err := config.LoadNode(home)
	if err != nil {
		return nil, err
	}
	if err := change(conf); err != nil {
		return nil, err
	}
	log, err := a.logger(conf.Log)
	if err != nil {
		return nil, err
	}
	id, err := conf.PeerID()
	if err != nil {
		return nil, err
	}
	cfg, open, err := compose.Node(conf, version, log.With(attrs...))
	if err != nil {
		return nil, err
	}
	n, err := node.New(cfg, open)
	if err != nil {
		return nil, adviseTaken(err, conf.Metrics, `"metrics" in node.yaml`)
	}
	return &openedNode{n, conf.Name, id.String(), log}, nil
}

// statusTimeout bounds one question to one node on this machine.
const statusTimeout = 15 * time.Second

func nodeStatusCommand(a *app) *cobra.Command {
	var home string
	c := &cobra.Command{
		Use:   "status --home FOLDER",
		Short: "show the status of a running storage node",
		Long: `Ask a running node for its status, at the node's own address. If the node is not running, the exit code is 1.
The keys in FOLDER prove that you operate the node: only you see where its files are damaged.

  walrus node status --home /var/lib/walrus

--json prints {"nodeId","nodeName","address","state","epoch","ledgerHeight","ledger","version","shards","blobs","slivers","owed","corrupt",
"repairedPerHour","repairSecondsLeft","diskBytes","diskLimit","diskFree","diskReserve","refuses","uptimeSeconds","peers","reach","clockAheadSeconds","incidents",
"alertsFiring","seen"}. "alertsFiring" lists the causes of trouble that is not over; walrus node alerts tells more.
"seen" tells what monitors said of the node lately: the outcome of their last round, and three scores from 0 to 100.
"repairedPerHour" and "repairSecondsLeft" are present while slivers are owed and some have been rebuilt lately.
"refuses" is present while the node takes no new data, and gives the reason. "clockAheadSeconds" is present if the node's
clock differs from the others'; a negative number means that it is behind. "reach" tells how others reach the node: the best
way (reachable, mapped, punchable, relayed only, blocked or unknown), then that of each transport.`,
		Args: args(cobra.NoArgs, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error { return nodeApp{a}.nodeStatus(c.Context(), home) },
	}
	homeFlag(c, &home)
	return c
}

func (a nodeApp) nodeStatus(ctx context.Context, home string) error {
	ctx, cancel := a.withTimeout(ctx, statusTimeout)
	defer cancel()
	conf, err := config.LoadNode(home)
	if err != nil {
		return err
	}
	level := conf.Log
	level.Level = "" // a command's, not a node's
	log, err := a.logger(level)
	if err != nil {
		return err
	}
	id, err := conf.PeerID()
	if err != nil {
		return err
	}
	addr, err := conf.LocalAddr()
	if err != nil {
		return err
	}
	cfg, err := conf.ComposeQuery(version, log)
	if err != nil {
		return err
	}
	st, err := clientnode.QueryStatus(ctx, cfg, addr)
	if errors.Is(err, p2p.ErrUnavailable) {
		log.Debug("the node does not answer", "err", err)
		return &silentNode{home, addr, err}
	}
	if err != nil {
		return fmt.Errorf("ask the node of %s: %w", home, err)
	}
	r := nodeStatusReport{NodeID: id.String(), NodeName: conf.Name, Address: addr, Shards: st.Shards,
		nodeState: newNodeState(&st), Seen: oneLine(st.Seen)}
	rows := [][]string{
		{"node", r.NodeName},
		{"peer ID", r.NodeID},
		{"address", r.Address},
		{"state", r.State},
		{"epoch", fmt.Sprint(r.Epoch)},
		{"ledger", fmt.Sprintf("height %d: %s", r.LedgerHeight, r.Ledger)},
		{"version", r.Version},
		{"up for", st.Uptime.Round(time.Second).String()},
		{"peers", fmt.Sprint(r.Peers)},
		{"reach", r.Reach},
		{"seen", r.Seen},
		{"shards", shardList(r.Shards)},
		{"blobs", fmt.Sprint(r.Blobs)},
		{"slivers", r.sliversText()},
		{"disk", r.diskText()},
	}
	alerts, err := loadAlerts(conf)
	if err != nil {
		return err
	}
	r.AlertsFiring = alerts.Firing
	rows = append(rows, alertsRow(&alerts))
	if r.Refuses != "" {
		rows = append(rows, []string{"new data", "refused: " + r.Refuses})
	}
	if max(st.ClockAhead, -st.ClockAhead) >= light.ClockWarning {
		rows = append(rows, []string{"clock", light.ClockText(st.ClockAhead) + " the network's: correct it"})
	}
	for _, incident := range r.Incidents {
		rows = append(rows, []string{"incident", incident})
	}
	return a.resultTable(r, rows)
}

// silentNode is the error for a node of this machine that does not answer. It leaves out the dialer's report.
type silentNode struct {
	home, addr string
	err        error
}

func (e *silentNode) Error() string {
	return fmt.Sprintf("ask the node of %s: nothing answers at %s: start it with walrus node run --home %s; if it runs, its log says why it does not answer",
		e.home, e.addr, e.home)
}

func (e *silentNode) Unwrap() error { return e.err }

// nodeStatusReport is the JSON output of node status.
type nodeStatusReport struct {
	NodeID   string `json:"nodeId"`
	NodeName string `json:"nodeName"`
	Address  string `json:"address"`
	Shards   []int  `json:"shards"`
	nodeState
	AlertsFiring []alert.Cause `json:"alertsFiring"`
	Seen         string        `json:"seen,omitempty"` // what monitors said of it lately
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
