package main

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"syscall"

	"github.com/spf13/pflag"

	"walrus/compose"
	"walrus/config"
	"walrus/node"
	"walrus/pinnode"
)

// devnetMaxBody is the default bound, in bytes, of blobs and quilt forms at a devnet's gateway: the users of a devnet
// run it themselves and have the disk space.
const devnetMaxBody = 1 << 30

// devnetGateway configures the gateway of a devnet.
type devnetGateway struct {
	bind, metrics string
	pins          bool  // run a pinner, too, and show its pins
	monitors      int   // nodes with a monitor beside them; −1: all
	maxBody       int64 // KiB
	given         func(flag string) bool
}

func (g *devnetGateway) add(flags *pflag.FlagSet) {
	site := compose.DefaultGateway().Site
	flags.StringVar(&g.bind, "gateway", site.API.Bind,
		"`ADDRESS` to serve HTTP on: publisher, aggregator and pages; \"\" for none")
	flags.Int64Var(&g.maxBody, "max-body-size", devnetMaxBody>>10,
		"largest blob, and largest quilt form, accepted over HTTP, in `KiB`")
	flags.StringVar(&g.metrics, "metrics-address", site.Metrics,
		"`ADDRESS` and port for the gateway's Prometheus metrics, at /metrics; \"\" for none; a taken default is skipped")
	flags.BoolVar(&g.pins, "pins", false, "run a pin process, too, with its home in the folder \"pins\" of the devnet")
	flags.IntVar(&g.monitors, "monitors", -1, "a monitor runs beside the first `N` nodes; -1 for all")
	g.given = flags.Changed
}

// apply copies the flags that were given into the configuration.
func (g *devnetGateway) apply(gw *compose.Gateway) error {
	site := &gw.Site
	if g.maxBody < 1 || g.maxBody > 1<<40 {
		return usagef("--max-body-size %d: must be 1 to %d KiB", g.maxBody, int64(1)<<40)
	}
	if g.monitors < -1 {
		return usagef("--monitors %d: must be a number of nodes, or -1 for all", g.monitors)
	}
	site.API.Store.MaxBody, site.API.Store.MaxQuiltBody = g.maxBody<<10, g.maxBody<<10
	site.Metrics, site.MetricsIfFree = g.metrics, !g.given("metrics-address")
	site.Listen(g.bind)
	return nil
}

// open opens the gateway of a devnet, which shows what the first node saw of monitors. If the default address is taken,
// it uses any free port. The gateway logs as the nodes in the same process do.
func (g *devnetGateway) open(ctx context.Context, a *app, devnet *config.Devnet, first *node.Node) (*node.GatewayNode, error) {
	conf, err := config.LoadClient(devnet.Client)
	if err != nil {
		return nil, err
	}
	conf.Own = first.Newest
	beside, err := config.LoadNode(devnet.Homes[0])
	if err != nil {
		return nil, err
	}
	payer, err := conf.LoadWallet()
	if err != nil {
		return nil, err
	}
	log, err := a.logger(beside.Log)
	if err != nil {
		return nil, err
	}
	gw, err := compose.ClientGateway(conf, version, payer, log)
	if err != nil {
		return nil, err
	}
	if err := g.apply(gw); err != nil {
		return nil, err
	}
	gw.Site.API.Store.UploadDir = filepath.Join(devnet.Dir, "uploads")
	gw.Site.API.Monitor = compose.MonitorPage(first.Watch(), g.monitors != 0)
	if g.pins {
		gw.Site.API.Pins = compose.PinPage(devnetPins(devnet))
	}
	opened, err := node.OpenGateway(ctx, gw.Client, gw.Open, gw.Site, gw.Observe)
	if errors.Is(err, syscall.EADDRINUSE) && !g.given("gateway") {
		a.warn("%s is taken, perhaps by another devnet: the gateway uses another port; choose one with --gateway ADDRESS",
			g.bind)
		a.tellWarnings()
		gw.Site.Listen(anyPort)
		opened, err = node.OpenGateway(ctx, gw.Client, gw.Open, gw.Site, gw.Observe)
	}
	return opened, adviseTaken(err, g.bind, "--gateway", gw.Site.Metrics, "--metrics-address")
}

// startMonitors starts the monitors beside the first nodes.
func (g *devnetGateway) startMonitors(ctx context.Context, a *app, devnet *config.Devnet, nodes []*node.Node, start func(task)) error {
	for i, n := range nodes {
		if g.monitors >= 0 && i >= g.monitors {
			break
		}
		conf, err := config.LoadNode(devnet.Homes[i])
		if err != nil {
			return err
		}
		attrs := []any{"node", filepath.Base(devnet.Homes[i])}
		if err := (monitorApp{a}).startMonitor(ctx, n, conf, attrs, start); err != nil {
			return err
		}
	}
	return nil
}

// devnetPins returns the home of a devnet's pins.
func devnetPins(devnet *config.Devnet) string { return filepath.Join(devnet.Dir, "pins") }

// openPins opens the pinner of a devnet. Commands reach it at its home.
func (g *devnetGateway) openPins(ctx context.Context, a *app, devnet *config.Devnet, first *node.Node) (*pinnode.Node, error) {
	conf, err := config.LoadClient(devnet.Client)
	if err != nil {
		return nil, err
	}
	conf.Own = first.Newest
	log, err := a.logger(conf.Log.Serving())
	if err != nil {
		return nil, err
	}
	cfg, open, err := compose.Pinner(conf, devnetPins(devnet), version, log.With("node", "pins"))
	if err != nil {
		return nil, err
	}
	cfg.Client.P2P.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
	return pinnode.Open(ctx, cfg, open)
}

// anyPort lets the system choose a port.
var anyPort = net.JoinHostPort("127.0.0.1", "0")
