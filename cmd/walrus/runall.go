package main

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"walrus/node"
)

// task is work that continues until its context ends.
type task func(context.Context) error

// runAll runs nodes until ctx ends or one of them fails. It calls ready once the channel that await returns is closed
// for every node. ready may start more tasks: they end with the nodes, and the nodes end if a task fails.
func runAll(ctx context.Context, nodes []*node.Node, await func(*node.Node) <-chan struct{}, ready func(ctx context.Context, start func(task)) error) error {
	g, ctx := errgroup.WithContext(ctx)
	start := func(t task) { g.Go(func() error { return t(ctx) }) }
	for _, n := range nodes {
		start(n.Run)
	}
	g.Go(func() error {
		for _, n := range nodes {
			select {
			case <-await(n):
			case <-ctx.Done():
				return nil
			}
		}
		return ready(ctx, start)
	})
	return g.Wait()
}

// closeAll closes opened nodes that will not run.
func closeAll(nodes []*node.Node) error {
	var err error
	for _, n := range nodes {
		err = errors.Join(err, n.Close())
	}
	return err
}
