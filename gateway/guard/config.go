package guard

import (
	"errors"
	"fmt"
	"time"
)

// Config of a guard.
type Config struct {
	// Loopback says that the gateway is bound to this machine alone: it then answers only to localhost and the addresses
	// of loopback, and to Hosts. Default true, as the gateway's own default.
	Loopback bool
	// Hosts are more names to answer to, without port. On a public bind, none means any. Default none.
	Hosts []string
	// Expose are headers that scripts of other origins may read, beside those that every gateway sends: attributes of
	// records that become headers. Default none.
	Expose []string
	// TrustedProxies are addresses and networks whose X-Forwarded-For tells who the client is. Default none.
	TrustedProxies []string

	// Publisher and Aggregator bound requests at work. Default 8 and 8 waiting, 256 and 320 waiting, as in the original.
	Publisher, Aggregator LimitConfig
	// JWT that what writes must show. Default off.
	JWT JWTConfig
	// Quota of each client of the publisher. Default none.
	Quota QuotaConfig
	// Times bound how long things take.
	Times TimeConfig
}

// LimitConfig bounds requests at work.
type LimitConfig struct {
	// Running at once; Waiting for one of them to end. Beyond both: 429.
	Running, Waiting int
}

// JWTConfig is the authentication of the publisher's clients.
type JWTConfig struct {
	// Secret is the key that tokens are checked with: for HS algorithms a secret, as text or as hex after 0x; for others a
	// public key in PEM, or its DER as hex after 0x. Empty, the default, asks for no tokens.
	Secret string
	// Algorithm that tokens must have. Default HS256.
	Algorithm string
	// Lifetime is what must lie between a token's iat and exp, in whole seconds. 0, the default, is any.
	Lifetime time.Duration
	// VerifyUpload checks requests against the claims of their tokens. Default off, as in the original.
	VerifyUpload bool
	// CacheSize is how many used tokens are remembered until they expire. When so many are alive, others are refused.
	// Default 10000.
	CacheSize int
	// Epochs for which a blob is stored when the request does not say, to check claims against. Default 1.
	Epochs uint32
}

// QuotaConfig bounds what one key may do: a token's subject, an API key, or else a client's network. 0 is no limit. Days
// are those of UTC.
type QuotaConfig struct {
	// Rate of requests per minute, and Burst of them that may come at once. Burst 0 is Rate.
	Rate, Burst int
	// Bytes of request bodies per day.
	Bytes uint64
	// Spend is the FROST that may be paid for one key per day, TotalSpend for all of them together.
	Spend, TotalSpend uint64
	// APIKeys are the keys that clients may show in X-Api-Key, by the name of their owner. A key that is not among them
	// is refused. Default none: the header means nothing then.
	APIKeys map[string]string
	// MaxKeys is how many keys have accounts of their own in one day; the rest share one. Default 10000.
	MaxKeys int
}

// TimeConfig bounds how long requests take.
type TimeConfig struct {
	// Stall is how long a client may move less than 16 KiB of a body, up or down. Default 30 s.
	Stall time.Duration
	// Read, Write and Other end requests of the aggregator, the publisher, and the rest. Default 1 h, 1 h, 1 min.
	Read, Write, Other time.Duration
}

// Default is a guard for a gateway on this machine, with the original's limits.
func Default() Config {
	return Config{
		Loopback:  true,
		Publisher: LimitConfig{8, 8}, Aggregator: LimitConfig{256, 320},
		JWT:   JWTConfig{Algorithm: "HS256", CacheSize: 10000, Epochs: 1},
		Quota: QuotaConfig{MaxKeys: 10000},
		Times: TimeConfig{30 * time.Second, time.Hour, time.Hour, time.Minute},
	}
}

// Validate says what is wrong.
func (c *Config) Validate() error {
	t := &c.Times
	switch {
	case min(c.Publisher.Running, c.Aggregator.Running) < 1 || min(c.Publisher.Waiting, c.Aggregator.Waiting) < 0:
		return errors.New("guard: limits of requests: at least 1 must run, and no fewer than 0 wait")
	case min(t.Stall, t.Read, t.Write, t.Other) <= 0:
		return fmt.Errorf("guard: times %+v: must be positive", *t)
	case c.JWT.Lifetime < 0 || c.JWT.Lifetime%time.Second != 0:
		return fmt.Errorf("guard: lifetime %v of tokens: must be whole seconds", c.JWT.Lifetime)
	case c.JWT.CacheSize < 1 || c.Quota.MaxKeys < 1:
		return errors.New("guard: remembered tokens and keys with accounts: must be positive")
	case c.Quota.Rate < 0 || c.Quota.Burst < 0:
		return errors.New("guard: rate and burst: must not be negative")
	}
	owners := map[string]string{}
	for name, key := range c.Quota.APIKeys {
		if len(key) < 16 {
			return fmt.Errorf("guard: API key of %q: must have at least 16 characters", name)
		}
		if other, twice := owners[key]; twice {
			return fmt.Errorf("guard: %q and %q have the same API key: each needs one of its own", min(name, other), max(name, other))
		}
		owners[key] = name
	}
	if _, err := parseProxies(c.TrustedProxies); err != nil {
		return err
	}
	_, err := parseKey(c.JWT)
	return err
}
