package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/clientnode"
	"walrus/config"
	"walrus/ledger"
	"walrus/ledger/light"
	"walrus/ledger/wallet"
)

// guest is a client of a cluster in the test's own process, made as commands make theirs: thousands of operations need
// no processes.
type guest struct {
	*clientnode.Node
	genesis *ledger.Genesis
	host    host.Host
	connect func(context.Context, peer.ID) error
	log     *slog.Logger
}

// newGuest joins the network; w may be nil.
func (c *cluster) newGuest(name string, w *wallet.Wallet) *guest {
	c.t.Helper()
	conf := c.config()
	conf.AddressBook = "" // many guests run at once
	genesis, err := config.LoadGenesis(conf.Genesis)
	if err != nil {
		c.t.Fatal(err)
	}
	f, err := os.Create(c.guestLog(name))
	if err != nil {
		c.t.Fatal(err)
	}
	c.guests = append(c.guests, name)
	g := &guest{genesis: genesis, log: slog.New(slog.NewTextHandler(f, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	cfg, open, err := conf.Compose("test", w, g.log)
	if err != nil {
		c.t.Fatal(err)
	}
	g.Node, err = clientnode.Open(c.t.Context(), cfg,
		func(h host.Host, connect func(context.Context, peer.ID) error) (clientnode.Chain, error) {
			g.host, g.connect = h, connect
			return open(h, connect)
		})
	if err != nil {
		c.t.Fatalf("join as %s: %v", name, err)
	}
	c.t.Cleanup(func() {
		if err := errors.Join(g.Close(), f.Close()); err != nil {
			c.t.Errorf("leave as %s: %v", name, err)
		}
	})
	return g
}

func (c *cluster) guestLog(name string) string { return filepath.Join(c.dir, name+".log") }

// ledgerOf returns the ledger as node i alone serves it.
func (g *guest) ledgerOf(i int) (*light.Client, error) {
	l, err := light.New(light.Config{
		Genesis: g.genesis, Host: g.host, Connect: g.connect, Logger: g.log,
		Peers: func(context.Context) []peer.ID { return []peer.ID{g.genesis.Members[i].Node} },
	})
	if err != nil {
		return nil, fmt.Errorf("ledger of node %d: %w", i, err)
	}
	return l, nil
}

// awaitLedger waits until each node alone proves the newest state of the cluster.
func (c *cluster) awaitLedger(g *guest) {
	c.t.Helper()
	head, err := g.Chain().Light.Head(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	for i := range c.node {
		l, err := g.ledgerOf(i)
		if err == nil {
			err = reach(l, head.Height-1) // the next block proves its state
		}
		if err != nil {
			c.t.Errorf("node %d: %v", i, err)
		}
	}
}

// catchUpLimit bounds a node's catching up; after it something must be wrong.
const catchUpLimit = 4 * time.Minute

// reach waits until l knows the ledger up to height.
func reach(l *light.Client, height uint64) error {
	return patiently(context.Background(), catchUpLimit, func(ctx context.Context) error {
		_, err := l.Get(ctx, height, ledger.KeyEpoch())
		return err
	})
}

// patiently repeats fn until it succeeds, because nodes come and go. After limit something must be wrong. A lie ends it
// at once.
func patiently(ctx context.Context, limit time.Duration, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	pause := time.NewTicker(100 * time.Millisecond)
	defer pause.Stop()
	var last error
	for {
		err := fn(ctx)
		if err == nil || errors.Is(err, light.ErrLied) {
			return err
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return fmt.Errorf("still after %s: %w", limit, last)
		}
	}
}
