package main

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"walrus/node"
)

// runAll runs nodes until ctx ends or one of them fails, and calls ready once the channel that await picks of each node
// is closed.
func runAll(ctx context.Context, nodes []*node.Node, await func(*node.Node) <-chan struct{}, ready func() error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, n := range nodes {
		g.Go(func() error { return n.Run(ctx) })
	}
	g.Go(func() error {
		for _, n := range nodes {
			select {
			case <-await(n):
			case <-ctx.Done():
				return nil
			}
		}
		return ready()
	})
	return g.Wait()
}

// closeAll closes nodes that were opened and will not run.
func closeAll(nodes []*node.Node) error {
	var err error
	for _, n := range nodes {
		err = errors.Join(err, n.Close())
	}
	return err
}
