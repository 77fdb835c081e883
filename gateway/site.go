package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"walrus/client"
	"walrus/gateway/guard"
	"walrus/gateway/pages"
	"walrus/ledger/light"
	"walrus/shards"
)

// SiteConfig configures a Site.
type SiteConfig struct {
	// API configures the gateway itself.
	API Config
	// Guard configures who may use the gateway, and how much.
	Guard guard.Config
	// Metrics is the address of Prometheus metrics, at /metrics, separate from the public address; "" turns them off.
	// Default 127.0.0.1:27182, as in the original.
	Metrics string
	// MetricsIfFree goes without metrics if their address is taken. Default true: nobody chose the default address.
	MetricsIfFree bool
	// Light reads the ledger for the pages. nil: no pages of blocks, transactions and owners.
	Light *light.Client
}

// The pins of a pinner, as the pages show them.
type (
	// Pins reads them.
	Pins = pages.Pins
	// PinList describes a pinner and a page of its pins.
	PinList = pages.PinList
	// Pin is one of them.
	Pin = pages.Pin
)

// DefaultSite returns the configuration of a site for this machine.
func DefaultSite() SiteConfig {
	return SiteConfig{API: Default(), Guard: guard.Default(), Metrics: "127.0.0.1:27182", MetricsIfFree: true}
}

// Listen sets the address to listen on. A site bound to this machine only answers to no other host names.
func (c *SiteConfig) Listen(bind string) {
	c.API.Bind = bind
	host, _, err := net.SplitHostPort(bind)
	ip := net.ParseIP(host)
	c.Guard.Loopback = err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// Site is a gateway as users meet it: the API, the pages, and the guard in front of both.
type Site struct {
	cfg      SiteConfig // constant after NewSite, as all others
	log      *slog.Logger
	gateway  *Gateway
	explorer *Explorer
	monitor  *sharedMonitor // nil without data of monitors
	handler  http.Handler
	registry *prometheus.Registry
}

// NewSite makes a site over c, which needs a payer if the site is a publisher. It starts nothing.
func NewSite(cfg SiteConfig, c *client.Client, log *slog.Logger) (*Site, error) {
	s := &Site{cfg: cfg, log: log, registry: prometheus.NewRegistry()}
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if s.monitor = shareMonitor(cfg.API.Monitor); s.monitor != nil {
		cfg.API.Monitor = s.monitor
	}
	cfg.Guard.Expose = cfg.API.Read.Headers
	g, err := guard.New(cfg.Guard, log, s.registry)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if s.gateway, err = New(cfg.API, c, g, log); err != nil {
		return nil, err
	}
	if q := &cfg.Guard.Quota; cfg.API.Publisher && !cfg.Guard.Loopback && cfg.Guard.JWT.Secret == "" && q.Spend == 0 &&
		q.TotalSpend == 0 {
		log.Warn("anybody who reaches this publisher may spend all WAL of its wallet: require tokens or set a spending limit",
			"bind", cfg.API.Bind)
	}
	explore := ExploreConfig{
		Stored: s.gateway.stored.Load, Read: s.gateway.sent.Load, Head: s.gateway.beginning, Store: s.gateway.storeForm,
		Quilt:   s.gateway.quiltFiles,
		Pinners: func(ctx context.Context, id shards.BlobID) []peer.ID { return client.Pinners(ctx, c, id) },
		Pinned:  func(ctx context.Context, id shards.BlobID) *client.Pinned { return client.FindPinned(ctx, c, id) },
	}
	if cfg.Light != nil {
		explore.Chronicle = chronicle{cfg.Light}
	}
	s.explorer = NewExplorer(explore, c)
	faces, err := pages.New(pages.Config{
		Publisher: cfg.API.Publisher, Aggregator: cfg.API.Aggregator, MaxUpload: cfg.API.Store.MaxBody,
		MaxQuilt: cfg.API.Store.MaxQuiltBody,
		TempDir:  cfg.API.Store.TempDir, Epochs: cfg.API.Store.Epochs, Pins: cfg.API.Pins, Monitor: cfg.API.Monitor,
	}, s.explorer, s.explorer, log)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	s.handler = g.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isAPI(r.URL.Path) {
			s.gateway.Handler().ServeHTTP(w, r)
		} else {
			faces.ServeHTTP(w, r)
		}
	}))
	return s, nil
}

// isAPI tells the API's paths from the pages'.
func isAPI(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch first {
	case "v1", "v1alpha", "status", "openapi.json", "openapi.yaml":
		return true
	}
	return false
}

// Handler returns the handler of the whole site.
func (s *Site) Handler() http.Handler { return s.handler }

// Serve serves on l, and metrics on another listener unless it is nil, until ctx ends. It closes both. A site serves
// once.
func (s *Site) Serve(ctx context.Context, l, metrics net.Listener) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.gateway.Serve(ctx, l, s.handler) })
	g.Go(func() error { return s.explorer.Run(ctx) })
	if s.monitor != nil {
		defer s.monitor.work.Wait()
	}
	if metrics != nil {
		g.Go(func() error { return s.serveMetrics(ctx, metrics) })
	}
	return g.Wait()
}

func (s *Site) serveMetrics(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: s.cfg.API.Time.Header,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("gateway: metrics: %w", err)
	}
	return nil
}

// beginning reads up to most bytes from the start of a blob.
func (g *aggregator) beginning(ctx context.Context, id shards.BlobID, most int) ([]byte, error) {
	if err := g.allowed(id); err != nil {
		return nil, err
	}
	b, err := g.client.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	_, err = b.CopyRange(ctx, &out, 0, min(int64(most), int64(b.Size())), client.ReadOptions{})
	return out.Bytes(), err
}

// quiltFiles lists the files of a quilt for a page, with names cut to the page's limits.
func (g *aggregator) quiltFiles(ctx context.Context, id shards.BlobID) ([]pages.QuiltFile, error) {
	q, err := g.openQuilt(ctx, id)
	if err != nil {
		return nil, err
	}
	var list []pages.QuiltFile
	for _, p := range q.Index().Patches {
		f := pages.QuiltFile{Identifier: cut(p.Identifier, shownText), PatchID: p.ID(id).String(), Columns: p.End - p.Start}
		for k, v := range p.Tags {
			if f.Tags == nil {
				f.Tags = map[string]string{}
			}
			if len(f.Tags) < shownTags {
				f.Tags[cut(k, shownText)] = cut(v, shownText)
			}
		}
		list = append(list, f)
	}
	return list, nil
}

// A page's limits for a file in a quilt: bytes of each text, and number of tags.
const (
	shownText = 200
	shownTags = 8
)

// storeForm stores a file from the pages' form, as an upload like others.
func (g *Gateway) storeForm(ctx context.Context, src io.ReaderAt, size uint64,
	opt client.StoreOptions) (*client.StoreResult, error) {
	storing, done := g.storing(ctx)
	defer done()
	return g.pay(ctx, opt, func(opt client.StoreOptions) (*client.StoreResult, error) {
		return g.client.Store(storing, src, size, opt)
	})
}
