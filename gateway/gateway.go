package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"walrus/client"
	"walrus/internal/blocklist"
)

// Gateway serves blobs over HTTP. All fields except the wait group and the counters are constant after New.
type Gateway struct {
	aggregator
	uploads *uploads // nil for an aggregator
	owners  *owners  // nil: only the operator manages records
	limits  Limits
	handler http.Handler
	stores  sync.WaitGroup // uploads being stored, with or without their clients
	end     chan struct{}  // closed when they must give up
	stored  atomic.Uint64  // bytes of blobs since the start
}

// aggregator answers reads.
type aggregator struct {
	cfg     Config
	client  *client.Client
	log     *slog.Logger
	blocked *blocklist.List
	sent    atomic.Uint64 // bytes of blobs since the start
}

// New makes a gateway over c, which needs a payer if the gateway is a publisher. Without limits, nil, every request may
// spend what the wallet holds. New starts nothing.
func New(cfg Config, c *client.Client, limits Limits, log *slog.Logger) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if limits == nil {
		limits = unlimited{}
	}
	g := &Gateway{aggregator: aggregator{cfg: cfg, client: c, log: log}, limits: limits, end: make(chan struct{})}
	var err error
	if g.blocked, err = blocklist.Open(cfg.Read.Blocklist); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if g.owners, err = newOwners(cfg.Store.OwnerKey); err != nil {
		return nil, fmt.Errorf("gateway: owner tokens: %w", err)
	}
	if cfg.Publisher {
		if err := g.openUploads(); err != nil {
			return nil, fmt.Errorf("gateway: %w", err)
		}
	}
	if g.handler, err = g.routes(); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	return g, nil
}

// Handler returns the API's handler. The server's write timeout must be off: downloads bound their own progress.
func (g *Gateway) Handler() http.Handler { return g.handler }

// Serve serves on l, which it closes, until ctx ends, then gives running requests time to drain. The handler wraps
// Handler. A gateway serves once.
func (g *Gateway) Serve(ctx context.Context, l net.Listener, handler http.Handler) (err error) {
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	half := newHalfClosed(base, g.cfg.Time.Stall)
	srv := &http.Server{
		Handler: half.wrap(handler), Protocols: protocols, ConnContext: half.connContext,
		ReadHeaderTimeout: g.cfg.Time.Header, IdleTimeout: g.cfg.Time.Idle, MaxHeaderBytes: maxHeaderBytes,
		BaseContext: func(net.Listener) context.Context { return base },
		ErrorLog:    slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
	finish := g.startTasks(base)
	defer func() {
		cut()
		err = errors.Join(err, finish())
	}()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(watchedListener{l}) }()
	g.log.Info("gateway serves", "addr", l.Addr().String(), "publisher", g.cfg.Publisher, "aggregator", g.cfg.Aggregator)
	select {
	case err := <-served:
		return fmt.Errorf("gateway: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(base, g.cfg.Time.Drain)
	defer cancel()
	err = srv.Shutdown(drain)
	g.finish(drain)
	cut()
	err = errors.Join(err, srv.Close())
	<-served
	if errors.Is(err, context.DeadlineExceeded) {
		g.log.Info("gateway cut off the requests that did not end within its drain time", "drain", g.cfg.Time.Drain)
		err = nil
	}
	return err
}

// startTasks starts background tasks. After ctx has ended, finish waits for them.
func (g *Gateway) startTasks(ctx context.Context) (finish func() error) {
	var tasks sync.WaitGroup
	tasks.Go(func() {
		g.blocked.Run(ctx, func(err error) { g.log.Warn("read the blocklist; the one read before stays in use", "err", err) }, nil)
	})
	if g.uploads != nil {
		tasks.Go(func() { g.uploads.run(ctx) })
	}
	return func() error {
		tasks.Wait()
		if g.uploads == nil {
			return nil
		}
		return g.uploads.dir.close()
	}
}

// finish waits for uploads, whose clients may have left, until ctx ends. Then it makes them give up.
func (g *Gateway) finish(ctx context.Context) {
	idle := make(chan struct{})
	go func() {
		g.stores.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
	}
	close(g.end)
	<-idle
}
