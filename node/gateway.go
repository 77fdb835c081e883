package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"walrus/clientnode"
	"walrus/gateway"
)

// GatewayNode serves the network over HTTP, as a client of it. It has its own host even in the process of a storage
// node, so that it asks all nodes alike, its own neighbor included.
type GatewayNode struct {
	client   *clientnode.Node
	site     *gateway.Site
	listener net.Listener
	metrics  net.Listener // nil: none
}

// OpenGateway listens on the configured addresses and joins the network. The result must be run or closed.
func OpenGateway(ctx context.Context, cfg clientnode.Config, open clientnode.OpenChain, gw gateway.SiteConfig) (*GatewayNode, error) {
	g := &GatewayNode{}
	if err := g.open(ctx, cfg, open, gw); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

func (g *GatewayNode) open(ctx context.Context, cfg clientnode.Config, open clientnode.OpenChain, gw gateway.SiteConfig) (err error) {
	var lc net.ListenConfig
	if g.listener, err = lc.Listen(ctx, "tcp", gw.API.Bind); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	if gw.Metrics != "" {
		g.metrics, err = lc.Listen(ctx, "tcp", gw.Metrics)
		switch {
		case gw.MetricsIfFree && errors.Is(err, syscall.EADDRINUSE):
			g.metrics = nil // nil again: the interface may hold a nil pointer
			cfg.Logger.Warn("the gateway serves no metrics, as their address is taken", "addr", gw.Metrics)
		case err != nil:
			return fmt.Errorf("gateway: metrics: %w", err)
		}
	}
	if g.client, err = clientnode.Open(ctx, cfg, open); err != nil {
		return err
	}
	gw.Light = g.client.Chain().Light
	g.site, err = gateway.NewSite(gw, g.client.Client(), cfg.Logger)
	return err
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

// Run serves until ctx ends, and leaves the network.
func (g *GatewayNode) Run(ctx context.Context) error {
	err := g.site.Serve(ctx, g.listener, g.metrics)
	return errors.Join(err, g.client.Close())
}

// Close releases the listeners and the client of a gateway that was never Run.
func (g *GatewayNode) Close() (err error) {
	for _, l := range []net.Listener{g.listener, g.metrics} {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
	}
	if g.client != nil {
		err = errors.Join(err, g.client.Close())
	}
	return err
}
