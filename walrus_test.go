package walrus_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"walrus"
	"walrus/compose"
	"walrus/config"
	"walrus/node"
)

// clientFile is the path of the client.yaml of TestMain's devnet: four nodes in this process, over real sockets.
var clientFile string

func TestMain(m *testing.M) {
	code, err := withDevnet(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withDevnet(run func() int) (code int, err error) {
	dir, err := os.MkdirTemp("", "walrus-test-*")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	d, err := config.InitDevnet(ctx, filepath.Join(dir, "devnet"), config.DevnetOptions{Nodes: 4, Shards: 10})
	if err != nil {
		return 1, err
	}
	clientFile = d.Client
	g, running := errgroup.WithContext(ctx)
	defer func() {
		stop()
		if e := g.Wait(); !errors.Is(e, context.Canceled) {
			err = errors.Join(err, e)
		}
	}()
	var nodes []*node.Node
	for _, home := range d.Homes {
		n, err := openNode(home)
		if err != nil {
			return 1, err
		}
		nodes = append(nodes, n)
		g.Go(func() error { return n.Run(running) })
	}
	for _, n := range nodes {
		select {
		case <-n.Serving():
		case <-running.Done():
			return 1, running.Err()
		}
	}
	return run(), nil
}

func openNode(home string) (*node.Node, error) {
	conf, err := config.LoadNode(home)
	if err != nil {
		return nil, err
	}
	cfg, open, err := compose.Node(conf, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	return node.New(cfg, open)
}

// TestCloseTwice: a program that closes by hand, and by defer too, ends.
func TestCloseTwice(t *testing.T) {
	w, err := walrus.OpenFile(t.Context(), clientFile)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 2)
	go func() {
		closed <- w.Close()
		closed <- w.Close()
	}()
	for range 2 {
		select {
		case err := <-closed:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("it still waits to be closed")
		}
	}
}
