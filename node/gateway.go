package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"

	"golang.org/x/sync/errgroup"

	"walrus/clientnode"
	"walrus/gateway"
	"walrus/ledger"
	"walrus/monitor"
	"walrus/monitornode"
)

// GatewayNode serves the network over HTTP, as a client of it.
type GatewayNode struct {
	client   *clientnode.Node
	site     *gateway.Site
	listener net.Listener
	metrics  net.Listener   // nil: none
	watch    *monitor.Watch // nil: none of its own
}

// Observe makes a gateway without a storage node listen to monitors.
type Observe struct {
	// Dir keeps what they say. Empty: the gateway does not listen.
	Dir string
	// Genesis of the network.
	Genesis *ledger.Genesis
	// Show makes the data source of the pages.
	Show func(*monitor.Watch) gateway.Monitor
}

// OpenGateway listens on the configured addresses and joins the network. The result must be run or closed.
func OpenGateway(ctx context.Context, cfg clientnode.Config, open clientnode.OpenChain,
	gw gateway.SiteConfig, observe Observe) (*GatewayNode, error) {
	return openGateway(ctx, cfg.Logger, gw, observe, func() (*clientnode.Node, error) { return clientnode.Open(ctx, cfg, open) })
}

// OpenGatewayBeside opens a gateway on the host of n, which must run until the gateway has ended. The gateway asks n as
// it asks every other node.
func OpenGatewayBeside(ctx context.Context, n *Node, cfg clientnode.Config, open clientnode.OpenChain,
	gw gateway.SiteConfig) (*GatewayNode, error) {
	return openGateway(ctx, cfg.Logger, gw, Observe{}, func() (*clientnode.Node, error) {
		return clientnode.Beside(ctx, cfg, n.host, n.dht, open)
	})
}

// openGateway listens before it opens the client: an address that is taken is the usual mistake.
func openGateway(ctx context.Context, log *slog.Logger, gw gateway.SiteConfig, observe Observe,
	open func() (*clientnode.Node, error)) (g *GatewayNode, err error) {
	g = &GatewayNode{}
	defer func() {
		if err != nil {
			g, err = nil, errors.Join(err, g.Close())
		}
	}()
	if err := g.listen(ctx, gw, log); err != nil {
		return g, err
	}
	if g.client, err = open(); err != nil {
		return g, err
	}
	gw.Light = g.client.Chain().Light
	if observe.Dir != "" {
		cfg := monitornode.WatchConfig(observe.Genesis, g.client.Host(), monitor.NewChain(gw.Light), observe.Dir, log)
		if g.watch, err = monitor.Open(cfg); err != nil {
			return g, err
		}
		gw.API.Monitor = observe.Show(g.watch)
	}
	g.site, err = gateway.NewSite(gw, g.client.Client(), log)
	return g, err
}

func (g *GatewayNode) listen(ctx context.Context, gw gateway.SiteConfig, log *slog.Logger) (err error) {
	var lc net.ListenConfig
	if g.listener, err = lc.Listen(ctx, "tcp", gw.API.Bind); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	if gw.Metrics == "" {
		return nil
	}
	g.metrics, err = lc.Listen(ctx, "tcp", gw.Metrics)
	switch {
	case gw.MetricsIfFree && errors.Is(err, syscall.EADDRINUSE):
		g.metrics = nil // nil again: the interface may hold a nil pointer
		log.Warn("the gateway serves no metrics: their address is taken", "addr", gw.Metrics)
	case err != nil:
		return fmt.Errorf("gateway: metrics: %w", err)
	}
	return nil
}

// URL returns the gateway's base URL.
func (g *GatewayNode) URL() string { return "http://" + g.listener.Addr().String() }

// MetricsURL returns the URL of the gateway's Prometheus metrics, or "" without metrics.
func (g *GatewayNode) MetricsURL() string {
	if g.metrics == nil {
		return ""
	}
	return "http://" + g.metrics.Addr().String() + "/metrics"
}

// Run serves until ctx ends and the last requests have drained, and closes the client.
func (g *GatewayNode) Run(ctx context.Context) error {
	tasks, run := errgroup.WithContext(ctx)
	tasks.Go(func() error { return g.site.Serve(run, g.listener, g.metrics) })
	if g.watch != nil {
		tasks.Go(func() error {
			topics, err := g.client.Host().Join(run, g.watch.Topic())
			if err == nil {
				err = g.watch.Run(run, topics[0])
			}
			if ctx.Err() != nil {
				return nil
			}
			return err
		})
	}
	return errors.Join(tasks.Wait(), g.closeWatch(), g.client.Close())
}

func (g *GatewayNode) closeWatch() error {
	if g.watch == nil {
		return nil
	}
	return g.watch.Close()
}

// Close releases the listeners and the client of a gateway that was never Run.
func (g *GatewayNode) Close() (err error) {
	for _, l := range []net.Listener{g.listener, g.metrics} {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
	}
	err = errors.Join(err, g.closeWatch())
	if g.client != nil {
		err = errors.Join(err, g.client.Close())
	}
	return err
}
