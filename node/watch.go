package node

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"walrus/ledger"
	"walrus/ledger/light"
	"walrus/monitor"
	"walrus/monitornode"
	"walrus/p2p"
)

// openWatch opens the observer of monitors, in the folder that the configuration names. Without consensus, in tests,
// there is none.
func (n *Node) openWatch() error {
	if n.cfg.Watch == "" {
		return nil
	}
	l, err := light.New(light.Config{Genesis: n.cfg.Genesis, Host: n.host.Libp2p(), Connect: n.dht.Connect, Known: n.Newest, Logger: n.log})
	if errors.Is(err, ledger.ErrGenesis) {
		return nil
	}
	if err != nil {
		return err
	}
	cfg := monitornode.WatchConfig(n.cfg.Genesis, n.host, monitor.NewChain(l), n.cfg.Watch, n.log)
	cfg.Tell = n.alarms.tell
	if n.watch, err = monitor.Open(cfg); err != nil {
		return err
	}
	n.closers = append(n.closers, n.watch.Close)
	n.rebutter, err = monitornode.NewRebutter(n.watch, n.host, n.dht, n.cfg.P2P.Key, n.log)
	return err
}

// Newest returns the newest block of the node's own ledger, from which light clients in the same process may start;
// false if there is none.
func (n *Node) Newest() (light.Point, bool) {
	if l, ok := n.ledger.(interface{ Newest() (light.Point, bool) }); ok {
		return l.Newest()
	}
	return light.Point{}, false
}

// Watch returns what monitors say, for queries and for a monitor beside the node; nil if the node does not listen to
// them. It ends with the node.
func (n *Node) Watch() *monitor.Watch { return n.watch }

// topics lists the topics of gossip: the certificates first, then those of monitors, if the node listens to them.
func (n *Node) topics() []p2p.TopicConfig {
	list := []p2p.TopicConfig{n.keeper.Certificates()}
	if n.watch != nil {
		list = append(list, n.watch.Topic())
	}
	return list
}

// runWatch listens to monitors.
func (n *Node) runWatch(ctx context.Context, topics []*p2p.Topic) error {
	if n.watch == nil {
		return nil
	}
	if err := p2p.RoundsOf(n.host).Serve(ctx, n.watch.Backend()); err != nil {
		return fmt.Errorf("serve monitors: %w", err)
	}
	var rebuttals sync.WaitGroup
	defer rebuttals.Wait()
	rebuttals.Go(func() { n.rebutter.Run(ctx) })
	return n.watch.Run(ctx, topics[1])
}
