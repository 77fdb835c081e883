package main

import (
	"context"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"

	"walrus/compose"
	"walrus/pinnode"
)

// pinRunFlags are the flags of pin run.
type pinRunFlags struct {
	home, limit, rate, daily string
	listen, announce         []string
	api, metrics, blocklist  string
}

// Default addresses of a pinner: one port for TCP and QUIC, so that one rule of a router serves both.
var pinListen = []string{"/ip4/0.0.0.0/tcp/4031", "/ip4/0.0.0.0/udp/4031/quic-v1", "/ip6/::/tcp/4031", "/ip6/::/udp/4031/quic-v1"}

func pinRunCommand(a pinApp) *cobra.Command {
	var f pinRunFlags
	c := &cobra.Command{
		Use:   "run",
		Short: "keep pins until interrupted",
		Long: `Run the pin process in the foreground: fetch what was asked for, check it, announce it, serve it, and read it again from time
to time. It belongs to the network of the client configuration, and needs no wallet. --limit bounds the disk it takes, --rate
and --daily bound what it sends to others.

With --pinning-api it also serves the IPFS Pinning Service API, at ADDR/pins. Make a token for each client with walrus pin
token add. Blobs have CIDs of their own kind, which walrus pin add and status print; IPFS nodes can ask for them here, but
cannot fetch them themselves. The API is plain HTTP: between machines, put a proxy with TLS in front of it.

Once commands are answered, one line that begins with "ready" appears on standard output, or with --json the object
{"ready":true,"peerId","addresses","pinningApi","metrics"} on one line. Logs go to standard error. The first interrupt
(Ctrl-C, or SIGTERM) stops the process in order, a second one at once. SIGHUP reads "allow" of the configuration and its files
again: peers that are not on the list any more are disconnected.`,
		Example: "  walrus pin run --home /srv/pins --limit 500GiB\n" +
			"  walrus pin run --limit 2TB --rate 5MiB --daily 100GB --pinning-api 127.0.0.1:5050\n" +
			"  ipfs pin remote service add home http://127.0.0.1:5050 \"$(walrus pin token add ipfs)\"",
		Args: args(cobra.NoArgs, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error { return a.pinRun(c.Context(), &f) },
	}
	flags := c.Flags()
	pinHomeFlag(c, &f.home)
	limitFlag(c, &f.limit)
	flags.StringVar(&f.rate, "rate", "", "send at most `SIZE` a second to others, such as 5MiB (default: no limit)")
	flags.StringVar(&f.daily, "daily", "", "send at most `SIZE` a day to others, such as 100GB (default: no limit)")
	flags.StringArrayVar(&f.listen, "listen", pinListen, "`MULTIADDR` to accept connections on; may be repeated")
	flags.StringArrayVar(&f.announce, "announce", nil, "`MULTIADDR` to tell others instead of the detected ones; may be repeated")
	flags.StringVar(&f.api, "pinning-api", "", "serve the IPFS Pinning Service API at `ADDR`, such as 127.0.0.1:5050 (default: off)")
	flags.StringVar(&f.blocklist, "blocklist", "", "`FILE` with the IDs of blobs that are neither kept nor served, one per line; reloaded when it changes")
	flags.StringVar(&f.metrics, "metrics-address", "", "serve Prometheus metrics, /healthz and /readyz at `ADDR`, such as 127.0.0.1:9187 (default: off)")
	return c
}

func (a pinApp) pinRun(ctx context.Context, f *pinRunFlags) error {
	home, err := a.pinHome(f.home)
	if err != nil {
		return err
	}
	conf, err := a.loadClient()
	if err != nil {
		return err
	}
	log, err := a.logger(conf.Log.Serving())
	if err != nil {
		return err
	}
	cfg, open, err := compose.Pinner(conf, home, version, log)
	if err != nil {
		return err
	}
	if err := f.apply(&cfg); err != nil {
		return err
	}
	asked := reloads()
	n, err := pinnode.Open(ctx, cfg, open)
	if err != nil {
		return adviseTaken(err, f.api, "--pinning-api", f.metrics, "--metrics-address")
	}
	ctx, stop := context.WithCancel(ctx)
	var reloading sync.WaitGroup
	defer reloading.Wait()
	defer stop()
	reloading.Go(func() {
		_ = reloadAllowed(ctx, asked, log, func() (func(peer.ID) bool, error) { // it returns nil
			conf, err := a.loadClient()
			if err != nil {
				return nil, err
			}
			return compose.ClientAllowed(conf)
		}, n.SetAllowed)
	})
	return n.Run(ctx, func() error {
		about := n.About()
		if about.API != "" {
			names, err := cfg.Tokens.Names()
			if err == nil && len(names) == 0 {
				log.Warn("the pinning API has no tokens yet, so it refuses everybody: make one with walrus pin token add NAME", "home", home)
			}
		}
		return a.ready(struct {
			Ready     bool     `json:"ready"`
			PeerID    string   `json:"peerId"`
			Addresses []string `json:"addresses"`
			API       string   `json:"pinningApi,omitempty"`
			Metrics   string   `json:"metrics,omitempty"`
		}{true, about.PeerID, about.Addresses, about.API, n.MetricsAddr()}, "ready %s %s\n", about.PeerID, about.API)
	})
}

// apply sets what the flags ask for.
func (f *pinRunFlags) apply(cfg *pinnode.Config) (err error) {
	for _, size := range []struct {
		name, text string
		to         *int64
	}{{"limit", f.limit, &cfg.Pins.Limit}, {"rate", f.rate, &cfg.Pins.Rate}, {"daily", f.daily, &cfg.Pins.Daily}} {
		if *size.to, err = sizeFlag(size.name, size.text); err != nil {
			return err
		}
	}
	cfg.Client.P2P.Listen, cfg.Client.P2P.Announce = f.listen, f.announce
	cfg.API, cfg.Metrics, cfg.Blocklist = f.api, f.metrics, f.blocklist
	return nil
}
