package node

import (
	"context"
	"errors"
	"fmt"
	"net"

	"walrus/gateway"
)

// GatewayNode serves the network over HTTP: a client of it under a gateway. It has a host of its own, also in the process
// of a storage node: that one answers others, and this one asks all of them alike, the node beside it included.
type GatewayNode struct {
	client   *ClientNode
	site     *gateway.Site
	listener net.Listener
}

// OpenGateway listens on the configured address and joins the network. The result must be run or closed.
func OpenGateway(ctx context.Context, cfg ClientConfig, open OpenChain, gw gateway.SiteConfig) (*GatewayNode, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", gw.API.Bind)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	c, err := OpenClient(ctx, cfg, open)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	s, err := gateway.NewSite(gw, c.Client(), cfg.Logger)
	if err != nil {
		return nil, errors.Join(err, c.Close(), l.Close())
	}
	return &GatewayNode{client: c, site: s, listener: l}, nil
}

// URL is where the gateway is.
func (g *GatewayNode) URL() string { return "http://" + g.listener.Addr().String() }

// Run serves until ctx ends, and leaves the network.
func (g *GatewayNode) Run(ctx context.Context) error {
	err := g.site.Serve(ctx, g.listener)
	return errors.Join(err, g.client.Close())
}

// Close ends a gateway that does not run.
func (g *GatewayNode) Close() error { return errors.Join(g.listener.Close(), g.client.Close()) }
