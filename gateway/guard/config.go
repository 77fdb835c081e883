package guard

import (
	"fmt"
	"time"
)

// Config configures a guard.
type Config struct {
	// Loopback means that the gateway listens on this machine only. It then answers only to localhost, loopback
	// addresses and Hosts. Default true, as the gateway's own default.
	Loopback bool
	// Hosts lists more host names to answer to, without ports. On a public bind, none means any. Default none.
	Hosts []string
	// Expose lists more headers that scripts of other origins may read: record attributes that become headers. Default
	// none.
	Expose []string
	// TrustedProxies lists addresses and networks whose X-Forwarded-For is trusted. Default none.
	TrustedProxies []string

	// Publisher and Aggregator bound concurrent requests. Default: 8 running and 8 waiting, 256 running and 320
	// waiting, as in the original.
	Publisher, Aggregator LimitConfig
	// JWT configures the tokens that writes need. Default off.
	JWT JWTConfig
	// Quota bounds each client of the publisher. Default none.
	Quota QuotaConfig
	// Times bounds the duration of requests.
	Times TimeConfig
}

// LimitConfig bounds concurrent requests.
type LimitConfig struct {
	// Running bounds the requests that run, Waiting those that wait for a place. More requests get a 429.
	Running, Waiting int
}

// JWTConfig configures the authentication of the publisher's clients.
type JWTConfig struct {
	// Secret is the key that verifies tokens. For HS algorithms it is a secret, as text or as hex after 0x; for others
	// a public key in PEM, or its DER as hex after 0x. Empty, the default, requires no tokens.
	Secret string
	// Algorithm that tokens must have. Default HS256.
	Algorithm string
	// Lifetime is the required difference of a token's exp and iat, in whole seconds. 0, the default, allows any.
	Lifetime time.Duration
	// VerifyUpload checks requests against the claims of their tokens. Default off, as in the original.
	VerifyUpload bool
	// CacheSize bounds the used tokens that are remembered until they expire. While that many are unexpired, further
	// tokens are refused. Default 10000.
	CacheSize int
	// Epochs is the gateway's default storage period, needed to check claims. Default 1.
	Epochs uint32
}

// QuotaConfig bounds the use by one key: a token's subject, an API key, or else the client's network. 0 means no limit.
// Days are in UTC.
type QuotaConfig struct {
	// Rate bounds requests per minute, and Burst those that may come at once. Burst 0 means Rate.
	Rate, Burst int
	// Bytes bounds request bodies per day.
	Bytes uint64
	// Spend bounds the FROST paid for one key per day, TotalSpend that for all keys together.
	Spend, TotalSpend uint64
	// APIKeys lists the keys that clients may send in X-Api-Key, by owner name. Unknown keys are refused. Default none:
	// the header is then ignored.
	APIKeys map[string]string
	// MaxKeys bounds the keys that get their own account in one day; all others share one. Default 10000.
	MaxKeys int
}

// TimeConfig bounds the duration of requests.
type TimeConfig struct {
	// Stall is the time in which a client must move at least 16 KiB of a body, up or down. Default 30 s.
	Stall time.Duration
	// Read, Write and Other bound requests to the aggregator, to the publisher, and others. Default 1 h, 1 h, 1 min.
	Read, Write, Other time.Duration
}

// Default returns the configuration of a guard on this machine, with the original's limits.
func Default() Config {
	return Config{
		Loopback:  true,
		Publisher: LimitConfig{8, 8}, Aggregator: LimitConfig{256, 320},
		JWT:   JWTConfig{Algorithm: "HS256", CacheSize: 10000, Epochs: 1},
		Quota: QuotaConfig{MaxKeys: 10000},
		Times: TimeConfig{30 * time.Second, time.Hour, time.Hour, time.Minute},
	}
}

// Validate returns an error for the first wrong value.
func (c *Config) Validate() error {
	t := &c.Times
	switch {
	case min(c.Publisher.Running, c.Aggregator.Running) < 1 || min(c.Publisher.Waiting, c.Aggregator.Waiting) < 0:
		return fmt.Errorf("guard: limits of requests %+v and %+v: running must be at least 1, waiting must not be negative",
			c.Publisher, c.Aggregator)
	case min(t.Stall, t.Read, t.Write, t.Other) <= 0:
		return fmt.Errorf("guard: times %+v: must be positive", *t)
	case c.JWT.Lifetime < 0 || c.JWT.Lifetime%time.Second != 0:
		return fmt.Errorf("guard: lifetime %v of tokens: must be whole seconds", c.JWT.Lifetime)
	case c.JWT.CacheSize < 1 || c.Quota.MaxKeys < 1:
		return fmt.Errorf("guard: %d remembered tokens and %d keys with accounts: must be positive",
			c.JWT.CacheSize, c.Quota.MaxKeys)
	case c.Quota.Rate < 0 || c.Quota.Burst < 0:
		return fmt.Errorf("guard: rate %d and burst %d: must not be negative", c.Quota.Rate, c.Quota.Burst)
	}
	owners := map[string]string{}
	for name, key := range c.Quota.APIKeys {
		if len(key) < 16 {
			return fmt.Errorf("guard: API key of %q: must have at least 16 characters", name)
		}
		if other, twice := owners[key]; twice {
			return fmt.Errorf("guard: %q and %q have the same API key: give each its own", min(name, other), max(name, other))
		}
		owners[key] = name
	}
	if _, err := parseProxies(c.TrustedProxies); err != nil {
		return err
	}
	_, err := parseKey(c.JWT)
	return err
}
