package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"walrus/compose"
	"walrus/config"
	"walrus/ledger"
	"walrus/node"
)

// devnetFlags select the devnet.
type devnetFlags struct {
	dir           string
	nodes, shards int
	epoch         time.Duration
}

func (d *devnetFlags) options() config.DevnetOptions {
	return config.DevnetOptions{Nodes: d.nodes, Shards: d.shards, Epoch: d.epoch}
}

func devnetCommand(a *app) *cobra.Command {
	c := group(&cobra.Command{
		Use:   "devnet",
		Short: "make and run a network on this machine, for development",
		Long: `A devnet is a complete network on this machine, in one folder:

  D/genesis.yaml            the definition of the network
  D/client.yaml             a configuration for clients, with a funded wallet
  D/node-0, D/node-1, ...   the homes of the storage nodes

All its addresses are on 127.0.0.1.`,
		Example: "  walrus devnet up --dir D\n  walrus devnet init --dir D --nodes 7 --shards 100",
	})
	c.AddCommand(devnetInitCommand(a), devnetUpCommand(a))
	return c
}

func (d *devnetFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&d.dir, "dir", "", "`FOLDER` of the devnet (required)")
	f.IntVar(&d.nodes, "nodes", config.DefaultDevnetNodes, "`N`umber of storage nodes")
	f.IntVar(&d.shards, "shards", config.DefaultDevnetShards, "`N`umber of shards, spread over the nodes")
	f.DurationVar(&d.epoch, "epoch", config.DefaultDevnetEpoch,
		"`TIME` that an epoch lasts, such as 1m or 24h; counts only when the devnet is made")
	check := c.Args
	c.Args = func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return err
		}
		if d.dir == "" {
			return usagef("%s: --dir FOLDER is missing", c.CommandPath())
		}
		if err := config.CheckDevnetSize(d.nodes, d.shards); err != nil {
			return &usageError{err}
		}
		if d.epoch < ledger.MinEpochDuration || d.epoch > ledger.MaxEpochDuration {
			return usagef("--epoch %s: must be between %s and %s", d.epoch, ledger.MinEpochDuration, ledger.MaxEpochDuration)
		}
		return nil
	}
}

func devnetInitCommand(a *app) *cobra.Command {
	var d devnetFlags
	c := &cobra.Command{
		Use:   "init --dir FOLDER",
		Short: "make the files of a devnet",
		Long: `Make the keys, the genesis and the configurations of a devnet, in a new or empty folder. Then run each node as a
process of its own, or all of them in one process with walrus devnet up.

  walrus devnet init --dir D --nodes 7 --shards 100
  walrus node run --home D/node-0      # the same for every node, each in its own terminal
  walrus --config D/client.yaml health`,
		Args: args(cobra.NoArgs, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			made, err := config.InitDevnet(c.Context(), d.dir, d.options())
			if err != nil {
				return err
			}
			return a.result(newDevnetReport(made), "made a devnet of %d nodes and %d shards in %s\n"+
				"run it: walrus devnet up --dir %s\nuse it: walrus --config %s health\n",
				len(made.Homes), made.Shards, visible(made.Dir), visible(made.Dir), visible(made.Client))
		},
	}
	d.add(c)
	return c
}

func devnetUpCommand(a *app) *cobra.Command {
	var d devnetFlags
	var g devnetGateway
	c := &cobra.Command{
		Use:   "up --dir FOLDER",
		Short: "run a whole devnet in one process until interrupted",
		Long: `Run all nodes of a devnet in this process, in the foreground. In a new or empty folder the devnet is made first.
Otherwise it continues with the data in the folder.

Once every node serves, one line that begins with "ready" appears on standard output, or with --json the object
{"ready":true,"dir","config","nodes","shards","addresses","gateway","metrics","pins"} on one line. Logs go to standard error.

A gateway serves HTTP and pays with the devnet's wallet. It has the API of the original Walrus, and pages that show the
network. If its default port is taken, it uses another one, shown in the ready line; a taken port given with --gateway is
an error. The gateway logs every request. With --pins a pin process runs, too; commands find it with --home D/pins.

A monitor runs beside each node, and probes the others once something is stored. Rounds last six seconds for each node; with
--epoch 12m, five seconds. walrus monitor status --home D/node-0 shows one; --monitors 0 runs none. "pins", "gateway" and
"monitor.enabled" in node.yaml count only with walrus node run.

  walrus devnet up --dir D
  walrus --config D/client.yaml store README.md      # in another terminal
  curl -T README.md http://127.0.0.1:31415/v1/blobs
  xdg-open http://127.0.0.1:31415/`,
		Args: args(cobra.NoArgs, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := g.apply(new(compose.Gateway)); err != nil { // check before anything is created
				return err
			}
			net, err := d.loadOrInit(c.Context(), c.Flags().Changed("nodes"), c.Flags().Changed("shards"))
			if err != nil {
				return err
			}
			return a.devnetUp(c.Context(), net, &g)
		},
	}
	d.add(c)
	g.add(c.Flags())
	return c
}

// loadOrInit loads the devnet or creates it. Flags that contradict an existing devnet are an error.
func (d *devnetFlags) loadOrInit(ctx context.Context, nodesGiven, shardsGiven bool) (*config.Devnet, error) {
	net, err := config.LoadDevnet(d.dir)
	if errors.Is(err, config.ErrNoDevnet) {
		return config.InitDevnet(ctx, d.dir, d.options())
	}
	if err != nil {
		return nil, err
	}
	if nodesGiven && d.nodes != len(net.Homes) {
		return nil, fmt.Errorf("--nodes %d: the devnet in %s has %d nodes: leave --nodes out or choose another folder",
			d.nodes, net.Dir, len(net.Homes))
	}
	if shardsGiven && d.shards != net.Shards {
		return nil, fmt.Errorf("--shards %d: the devnet in %s has %d shards: leave --shards out or choose another folder",
			d.shards, net.Dir, net.Shards)
	}
	return net, nil
}

// devnetUp runs the devnet, with a gateway if it has an address.
func (a *app) devnetUp(ctx context.Context, net *config.Devnet, web *devnetGateway) error {
	var nodes []*node.Node
	var addrs []string
	for _, home := range net.Homes {
		n, err := a.openNode(home, []any{"node", filepath.Base(home)}, func(c *config.Node) error {
			c.StoodStill = true // all members are started here
			return nil
		})
		if err != nil {
			return errors.Join(fmt.Errorf("open node %s: %w", home, err), closeAll(nodes))
		}
		nodes = append(nodes, n.Node)
		addrs = append(addrs, n.Addrs()...)
	}
	return runAll(ctx, nodes, (*node.Node).Serving, func(ctx context.Context, start func(task)) error {
		if err := renewTrust(net, nodes[0]); err != nil {
			return err
		}
		r := newDevnetReport(net)
		r.Ready, r.Addresses = true, addrs
		if web.bind != "" {
			g, err := web.open(ctx, a, net, nodes[0])
			if err != nil {
				return err
			}
			start(g.Run)
			r.Gateway, r.Metrics = g.URL(), g.MetricsURL()
		}
		if err := web.startMonitors(ctx, a, net, nodes, start); err != nil {
			return err
		}
		if web.pins {
			p, err := web.openPins(ctx, a, net, nodes[0])
			if err != nil {
				return err
			}
			start(func(ctx context.Context) error { return p.Run(ctx, func() error { return nil }) })
			r.Pins = devnetPins(net)
		}
		orAt := ""
		if r.Gateway != "" {
			orAt = " or at " + r.Gateway
		}
		return a.ready(r, "ready: %d nodes, %d shards; use them with --config %s%s\n", len(nodes), net.Shards,
			visible(net.Client), orAt)
	})
}

// renewTrust lets the clients of the devnet trust its newest block: after a week's pause the one they know is too old.
func renewTrust(net *config.Devnet, n *node.Node) error {
	conf, err := config.LoadClient(net.Client)
	if err != nil {
		return err
	}
	at, ok := n.Newest()
	if !ok {
		return nil
	}
	return conf.KeepTrust(at)
}

// devnetReport is the JSON output of devnet init and up.
type devnetReport struct {
	Ready     bool     `json:"ready,omitempty"`
	Dir       string   `json:"dir"`
	Config    string   `json:"config"`
	Nodes     []string `json:"nodes"` // homes
	Shards    int      `json:"shards"`
	Addresses []string `json:"addresses"`
	Gateway   string   `json:"gateway,omitempty"` // where it serves HTTP
	Metrics   string   `json:"metrics,omitempty"` // of the gateway
	Pins      string   `json:"pins,omitempty"`    // home of the pin process
}

func newDevnetReport(d *config.Devnet) devnetReport {
	return devnetReport{Dir: d.Dir, Config: d.Client, Nodes: d.Homes, Shards: d.Shards, Addresses: d.Addresses}
}
