package main

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"

	"walrus/node"
)

// task is work that continues until its context ends.
type task func(context.Context) error

// runAll runs nodes until ctx ends or one of them fails. It calls ready once the channel that await returns is closed
// for every node. ready may start more tasks: they end with ctx, and everything ends if one fails. The nodes run until
// the tasks have ended: a gateway drains its last requests through them.
func runAll(ctx context.Context, nodes []*node.Node, await func(*node.Node) <-chan struct{},
	ready func(ctx context.Context, start func(task)) error) error {
	g, ctx := errgroup.WithContext(ctx)
	ctx, end := context.WithCancel(ctx)
	defer end()
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var tasks sync.WaitGroup
	start := func(t task) {
		tasks.Add(1)
		g.Go(func() error {
			defer tasks.Done()
			return t(ctx)
		})
	}
	for _, n := range nodes {
		g.Go(func() error {
			defer end()
			return n.Run(running)
		})
	}
	start(func(ctx context.Context) error {
		for _, n := range nodes {
			select {
			case <-await(n):
			case <-ctx.Done():
				return nil
			}
		}
		return ready(ctx, start)
	})
	g.Go(func() error {
		<-ctx.Done()
		tasks.Wait()
		stop()
		return nil
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
