package guard

import (
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// account records the use by one key.
type account struct {
	rate  *rate.Limiter // nil without a limit
	bytes uint64        // today; guarded by quotas.mu
	spent uint64        // today, in FROST; guarded by quotas.mu
}

// quotas holds the accounts of one day. At midnight UTC all start anew.
type quotas struct {
	cfg     QuotaConfig
	apiKeys map[[32]byte]string // owner by the key's hash, so that the lookup time reveals nothing about keys

	mu       sync.Mutex
	day      int64               // days since 1970; guarded by mu
	accounts map[string]*account // guarded by mu
	rest     *account            // shared by keys beyond MaxKeys; guarded by mu
	total    uint64              // FROST spent today by all; guarded by mu
}

func newQuotas(cfg QuotaConfig) *quotas {
	if cfg.Burst == 0 {
		cfg.Burst = cfg.Rate
	}
	q := &quotas{cfg: cfg, apiKeys: map[[32]byte]string{}}
	for name, key := range cfg.APIKeys {
		q.apiKeys[sha256.Sum256([]byte(key))] = name
	}
	return q
}

// turn starts a new day if the day has changed. The caller holds mu.
func (q *quotas) turn() {
	const day = 24 * 60 * 60
	if today := time.Now().Unix() / day; today != q.day || q.accounts == nil {
		q.day, q.accounts, q.rest, q.total = today, map[string]*account{}, q.open(), 0
	}
}

func untilTomorrow() time.Duration {
	now := time.Now().UTC()
	return now.Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(now)
}

func (q *quotas) open() *account {
	if q.cfg.Rate == 0 {
		return &account{}
	}
	return &account{rate: rate.NewLimiter(rate.Limit(float64(q.cfg.Rate)/60), q.cfg.Burst)}
}

// account returns the account of a key. Keys beyond MaxKeys share one account: dropping an account instead would give
// its owner a fresh quota. The caller holds mu.
func (q *quotas) account(key string) *account {
	q.turn()
	a := q.accounts[key]
	if a == nil {
		if len(q.accounts) >= q.cfg.MaxKeys {
			return q.rest
		}
		a = q.open()
		q.accounts[key] = a
	}
	return a
}

// owner returns the key to charge a request to: the token's subject, the API key's owner, or the client's network. A
// token's jti is unsuitable: it is valid for one request, so each would have its own account.
func (q *quotas) owner(v *visit, r *http.Request) (string, *Refusal) {
	if v.claims != nil && v.claims.Subject != "" {
		h := sha256.Sum256([]byte(v.claims.Subject)) // the hash bounds the length
		return "sub:" + string(h[:]), nil
	}
	if key := r.Header.Get("X-Api-Key"); key != "" && len(q.apiKeys) > 0 {
		name, ok := q.apiKeys[sha256.Sum256([]byte(key))]
		if !ok {
			f := unauthenticated("INVALID_API_KEY", "this publisher does not know the API key")
			f.challenge = `ApiKey realm="walrus publisher"`
			return "", f
		}
		return "key:" + name, nil
	}
	return "net:" + network(v.ip), nil
}

// quota bounds how often and how much each key may write.
func (g *Guard) quota(next http.Handler) http.Handler {
	q := g.quotas
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := visited(r.Context())
		if v.class != write && v.class != resume && v.class != manage {
			next.ServeHTTP(w, r)
			return
		}
		owner, f := q.owner(v, r)
		if f != nil {
			g.denied(w, r, f)
			return
		}
		q.mu.Lock()
		l := q.account(owner).rate
		q.mu.Unlock()
		if l != nil && !l.Allow() {
			g.metrics.rejected.WithLabelValues("rate").Inc()
			tooMany("RATE_LIMIT_REACHED", domainDaemon, "too many requests from this client: try again later",
				time.Duration(float64(time.Second)/float64(l.Limit()))).ServeHTTP(w, r)
			return
		}
		if f := q.bytes(owner, max(r.ContentLength, 0), false); f != nil {
			g.metrics.rejected.WithLabelValues("bytes").Inc()
			f.ServeHTTP(w, r)
			return
		}
		judge(r, func(n int, _ bool) *Refusal {
			f := q.bytes(owner, int64(n), true)
			if f != nil {
				g.metrics.rejected.WithLabelValues("bytes").Inc()
			}
			return f
		})
		v.owner = owner
		next.ServeHTTP(w, r)
	})
}

// bytes checks n more bytes against the day's quota, and counts them if take is set.
func (q *quotas) bytes(owner string, n int64, take bool) *Refusal {
	if q.cfg.Bytes == 0 {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.account(owner)
	if a.bytes+uint64(n) > q.cfg.Bytes {
		return tooMany("BYTE_QUOTA_REACHED", domainDaemon, "this client has used up its upload quota for today",
			untilTomorrow())
	}
	if take {
		a.bytes += uint64(n)
	}
	return nil
}
