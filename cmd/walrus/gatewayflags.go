package main

import (
	"net"

	"github.com/spf13/cobra"

	"walrus/gateway"
)

// gatewayFlags are those of publisher, aggregator and daemon, with the names and units of the original.
type gatewayFlags struct {
	bind                  string
	maxBody, maxQuiltBody int64 // KiB
	maxBlob               uint64
	headers               []string
	bareETag              bool
}

func (f *gatewayFlags) add(c *cobra.Command, publish, aggregate bool) {
	d, flags := gateway.Default(), c.Flags()
	flags.StringVar(&f.bind, "bind", d.Bind, "`ADDRESS` and port to serve HTTP on")
	flags.StringVar(&f.bind, "bind-address", d.Bind, "the same as --bind")
	_ = flags.MarkHidden("bind-address")
	if publish {
		flags.Int64Var(&f.maxBody, "max-body-size", d.Store.MaxBody>>10, "greatest blob that is stored, in `KiB`")
		flags.Int64Var(&f.maxQuiltBody, "max-quilt-body-size", d.Store.MaxQuiltBody>>10, "greatest form of a quilt that is stored, in `KiB`")
	}
	if aggregate {
		flags.Uint64Var(&f.maxBlob, "max-blob-size", 0, "greatest blob that is served, in `BYTES`; 0 is no limit")
		flags.StringSliceVar(&f.headers, "allowed-headers", d.Read.Headers, "attributes of a record that become headers when it is read by its object ID")
		flags.BoolVar(&f.bareETag, "bare-etag", false, "send entity tags without quotes, as the original does")
	}
}

// apply puts what was given into cfg.
func (f *gatewayFlags) apply(cfg *gateway.Config, given func(flag string) bool) error {
	if _, _, err := net.SplitHostPort(f.bind); err != nil {
		return usagef("--bind %s: want an address and a port, such as 127.0.0.1:31415", f.bind)
	}
	cfg.Bind = f.bind
	if cfg.Publisher {
		if min(f.maxBody, f.maxQuiltBody) < 1 || max(f.maxBody, f.maxQuiltBody) > 1<<40 {
			return usagef("--max-body-size and --max-quilt-body-size are in KiB: must be 1 to %d", int64(1)<<40)
		}
		cfg.Store.MaxBody, cfg.Store.MaxQuiltBody = f.maxBody<<10, f.maxQuiltBody<<10
	}
	if cfg.Aggregator {
		cfg.Read.MaxBlob, cfg.Read.BareETag = f.maxBlob, f.bareETag
		if given("allowed-headers") {
			cfg.Read.Headers = f.headers
		}
	}
	return nil
}
