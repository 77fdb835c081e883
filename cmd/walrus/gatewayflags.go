package main

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"walrus/client"
	"walrus/compose"
	"walrus/config"
	"walrus/internal/userfile"
)

// gatewayFlags are the flags of publisher, aggregator and daemon: the original's, with its names and units, and more.
type gatewayFlags struct {
	gateway               *compose.Gateway // flags that need no conversion set its site directly
	bind                  string
	maxBody, maxQuiltBody int64 // KiB
	secret, secretFile    string
	given                 func(flag string) bool
	lifetime              int64 // seconds
	spend, totalSpend     amount
	keys                  map[string]string
	operator              bool
	uploadDir             string
	cacheDir              string
	pins, monitors        string
	cacheSize             int64 // MiB
}

func (f *gatewayFlags) add(c *cobra.Command, publish, aggregate bool) {
	f.gateway = compose.DefaultGateway()
	site, flags := &f.gateway.Site, c.Flags()
	flags.StringVar(&f.bind, "bind", site.API.Bind, "`ADDRESS` and port to serve HTTP on")
	flags.StringVar(&f.bind, "bind-address", site.API.Bind, "the same as --bind")
	_ = flags.MarkHidden("bind-address")
	flags.StringVarP(&site.Metrics, "metrics-address", "a", site.Metrics,
		"`ADDRESS` and port for Prometheus metrics, at /metrics; \"\" for none; a taken default is skipped")
	f.given = flags.Changed
	flags.StringSliceVar(&site.Guard.Hosts, "host", nil,
		"host `NAME` to answer to, without port; may be repeated (default: any name, but only localhost on a loopback address)")
	flags.StringSliceVar(&site.Guard.TrustedProxies, "trusted-proxy", nil,
		"address or `NETWORK` of a proxy whose X-Forwarded-For is trusted; may be repeated")
	flags.StringVar(&f.pins, "pins", "",
		"home `FOLDER` of pins on this machine, which get a page; whoever reaches the gateway can see their names")
	flags.StringVar(&f.monitors, "monitors", "",
		"listen to monitors, keep what they say in `FOLDER`, and show it on pages and at /v1/monitor (default: do not listen)")
	if publish {
		f.addPublisher(flags)
	}
	if aggregate {
		f.addAggregator(flags)
	}
}

func (f *gatewayFlags) addPublisher(flags *pflag.FlagSet) {
	api, guard := &f.gateway.Site.API, &f.gateway.Site.Guard
	flags.Int64Var(&f.maxBody, "max-body-size", api.Store.MaxBody>>10, "largest blob accepted, in `KiB`")
	flags.Int64Var(&f.maxQuiltBody, "max-quilt-body-size", api.Store.MaxQuiltBody>>10,
		"largest quilt form accepted, in `KiB`")
	flags.IntVar(&guard.Publisher.Running, "publisher-max-concurrent-requests", guard.Publisher.Running,
		"serve `N` store requests at once")
	flags.IntVar(&guard.Publisher.Waiting, "publisher-max-buffer-size", guard.Publisher.Waiting,
		"let `N` more store requests wait, and refuse others with 429")
	flags.StringVar(&f.secret, "jwt-decode-secret", "",
		"`KEY` that verifies clients' tokens: text, 0x-hex or a public key in PEM; without it, anybody may store\n(other users of this machine can see it: prefer the file, or $WALRUS_JWT_DECODE_SECRET)")
	flags.StringVar(&f.secretFile, "jwt-decode-secret-file", "", "`FILE` with the key that verifies clients' tokens")
	flags.StringVar(&guard.JWT.Algorithm, "jwt-algorithm", guard.JWT.Algorithm,
		"`ALGORITHM` of tokens: HS256 to HS512, RS256 to RS512, PS256 to PS512, ES256, ES384, EdDSA")
	flags.Int64Var(&f.lifetime, "jwt-expiring-sec", 0,
		"required time between a token's iat and exp, in `SECONDS`; 0 accepts any")
	flags.BoolVar(&guard.JWT.VerifyUpload, "jwt-verify-upload", false,
		"check uploads against the claims of their token: epochs, max_epochs, size, max_size, send_object_to")
	flags.IntVar(&guard.JWT.CacheSize, "jwt-cache-size", guard.JWT.CacheSize, "remember `N` used tokens until they expire")
	flags.String("jwt-cache-refresh-interval", "",
		"accepted for compatibility with the original, and ignored: expired tokens are dropped automatically")
	_ = flags.MarkHidden("jwt-cache-refresh-interval")
	flags.IntVar(&guard.Quota.Rate, "quota-requests-per-minute", 0,
		"`N` requests that one client may make per minute; 0 is no limit")
	flags.Uint64Var(&guard.Quota.Bytes, "quota-bytes-per-day", 0,
		"`BYTES` that one client may upload per day; 0 is no limit")
	flags.Var(&f.spend, "quota-spend-per-day",
		"amount that may be spent for one client per day, such as 0.5; 0 is no limit")
	flags.Var(&f.totalSpend, "spend-per-day", "amount that may be spent for all clients together per day; 0 is no limit")
	flags.StringVar(&f.uploadDir, "upload-dir", "",
		"`FOLDER` for unfinished resumable uploads, used by this process alone; they survive a restart (default: a temporary folder)")
	flags.BoolVar(&f.operator, "show-operator-token", false,
		"print the token that manages every record of this publisher's wallet over HTTP, and exit")
	flags.StringToStringVar(&f.keys, "api-key", nil,
		"`NAME=KEY` of a client that sends the key in X-Api-Key and has its own quota; may be repeated")
}

func (f *gatewayFlags) addAggregator(flags *pflag.FlagSet) {
	api, guard := &f.gateway.Site.API, &f.gateway.Site.Guard
	flags.Uint64Var(&api.Read.MaxBlob, "max-blob-size", 0, "largest blob served, in `BYTES`; 0 is no limit")
	flags.IntVar(&guard.Aggregator.Running, "aggregator-max-concurrent-requests", guard.Aggregator.Running,
		"serve `N` read requests at once")
	flags.IntVar(&guard.Aggregator.Waiting, "aggregator-max-buffer-size", guard.Aggregator.Waiting,
		"let `N` more read requests wait, and refuse others with 429")
	flags.StringSliceVar(&api.Read.Headers, "allowed-headers", api.Read.Headers,
		"`KEYS` of attributes that are sent as headers when a record is read by its object ID")
	flags.StringVar(&api.Read.Blocklist, "blocklist", "",
		"`FILE` with the IDs of blobs that are not served, one per line; reloaded when it changes")
	flags.BoolVar(&api.Read.QuiltTags, "allow-quilt-patch-tags-in-response", false,
		"also send the tags of files in quilts as headers, if --allowed-headers names them")
	flags.BoolVar(&api.Read.BareETag, "bare-etag", false,
		"send entity tags without quotes, and their header's name in lower case, as the original does")
	flags.StringVar(&f.cacheDir, "cache-dir", "",
		"`FOLDER` that caches what was read, also across restarts (default: no cache)")
	flags.Int64Var(&f.cacheSize, "cache-size", 1024, "size limit of the cache, in `MiB`")
}

// apply copies the flags that were given into the configuration, which comes from the file.
func (f *gatewayFlags) apply(gw *compose.Gateway, env config.Env) error {
	if _, _, err := net.SplitHostPort(f.bind); err != nil {
		return usagef("--bind %s: want an address and a port, such as 127.0.0.1:31415", f.bind)
	}
	cfg, given := &gw.Site, f.gateway.Site
	given.API.Version, given.API.Publisher, given.API.Aggregator = cfg.API.Version, cfg.API.Publisher, cfg.API.Aggregator
	given.API.Store, given.Guard.JWT.Epochs = cfg.API.Store, cfg.Guard.JWT.Epochs
	*cfg = given
	cfg.MetricsIfFree = !f.given("metrics-address")
	cfg.Listen(f.bind)
	if f.pins != "" {
		home := absolute(f.pins)
		if _, err := os.Stat(compose.PinDir(home)); errors.Is(err, fs.ErrNotExist) {
			return usagef("--pins %s: %w: give the home of a pinner, or make the first pin there with walrus pin add --home", f.pins, errNoPins)
		}
		cfg.API.Pins = compose.PinPage(home)
	}
	if f.monitors != "" {
		gw.Observe.Dir = absolute(f.monitors)
	}
	if f.cacheDir != "" {
		if f.cacheSize < 1 || f.cacheSize > 1<<30 {
			return usagef("--cache-size %d: must be 1 to %d MiB", f.cacheSize, 1<<30)
		}
		gw.Client.Client.Cache = client.CacheConfig{Dir: f.cacheDir, Bytes: f.cacheSize << 20}
	}
	if cfg.API.Publisher {
		if min(f.maxBody, f.maxQuiltBody) < 1 || max(f.maxBody, f.maxQuiltBody) > 1<<40 {
			return usagef("--max-body-size and --max-quilt-body-size are in KiB: must be 1 to %d", int64(1)<<40)
		}
		cfg.API.Store.MaxBody, cfg.API.Store.MaxQuiltBody = f.maxBody<<10, f.maxQuiltBody<<10
		cfg.API.Store.UploadDir = f.uploadDir
		secret, err := f.jwtSecret(env)
		if err != nil {
			return err
		}
		cfg.Guard.JWT.Secret, cfg.Guard.JWT.Lifetime = secret, time.Duration(f.lifetime)*time.Second
		cfg.Guard.Quota.Spend, cfg.Guard.Quota.TotalSpend = uint64(f.spend.Amount), uint64(f.totalSpend.Amount)
		cfg.Guard.Quota.APIKeys = f.keys
	}
	return nil
}

// envJWTSecret passes the key without showing it in the process list.
const envJWTSecret = "WALRUS_JWT_DECODE_SECRET" //nolint:gosec // the name, not the secret

func (f *gatewayFlags) jwtSecret(env config.Env) (string, error) {
	switch {
	case f.secret != "" && f.secretFile != "":
		return "", usagef("--jwt-decode-secret and --jwt-decode-secret-file set the same key: choose one")
	case f.secret != "":
		return f.secret, nil
	case f.secretFile != "":
		raw, err := os.ReadFile(f.secretFile)
		if err != nil {
			return "", err
		}
		if err := userfile.CheckText(raw); err != nil {
			return "", usagef("--jwt-decode-secret-file %s: %w", f.secretFile, err)
		}
		raw, _ = userfile.CutBOM(raw) // tokens never contain it
		secret := strings.TrimSpace(string(raw))
		if secret == "" {
			return "", usagef("--jwt-decode-secret-file %s: the file is empty", f.secretFile)
		}
		return secret, nil
	case f.given("jwt-decode-secret"), f.given("jwt-decode-secret-file"): // perhaps set from an empty variable in a script
		return "", usagef("--jwt-decode-secret is empty, so anybody could store: set a key, or leave the flag out")
	}
	return env(envJWTSecret), nil
}
