package guard

import (
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// account is what one key has used.
type account struct {
	rate  *rate.Limiter // nil without a limit
	bytes uint64        // today; guarded by quotas.mu
	spent uint64        // today, in FROST; guarded by quotas.mu
}

// quotas are the accounts of a day. At midnight, UTC, all begin anew.
type quotas struct {
	cfg     QuotaConfig
	apiKeys map[[32]byte]string // owner by hash of the key, so that looking one up tells nothing by its time

	mu       sync.Mutex
	day      int64               // since 1970; guarded by mu
	accounts map[string]*account // guarded by mu
	rest     *account            // of those for whom there was no room; guarded by mu
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

// turn begins a new day if it is one. mu is held.
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

// account of a key. One that comes when there are too many shares one with the others that do: forgetting an account
// would give its owner all of it anew. mu is held.
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

// owner is the key of a request: who its token speaks of, whose API key it shows, or where it comes from. The jti of a
// token is none: as it is good for one request, it would count to one.
func (q *quotas) owner(v *visit, r *http.Request) (string, *Refusal) {
	if v.claims != nil && v.claims.Subject != "" {
		h := sha256.Sum256([]byte(v.claims.Subject)) // of bounded length
		return "sub:" + string(h[:]), nil
	}
	if key := r.Header.Get("X-Api-Key"); key != "" && len(q.apiKeys) > 0 {
		name, ok := q.apiKeys[sha256.Sum256([]byte(key))]
		if !ok {
			f := unauthenticated("INVALID_API_KEY", "the API key is not known here")
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
			tooMany("RATE_LIMIT_REACHED", domainDaemon, "too many requests from this client; try again later", time.Duration(float64(time.Second)/float64(l.Limit()))).ServeHTTP(w, r)
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

// bytes asks whether n more bytes are within the day's quota, and if take, takes them.
func (q *quotas) bytes(owner string, n int64, take bool) *Refusal {
	if q.cfg.Bytes == 0 {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.account(owner)
	if a.bytes+uint64(n) > q.cfg.Bytes {
		return tooMany("BYTE_QUOTA_REACHED", domainDaemon, "the bytes that this client may upload today are used up", untilTomorrow())
	}
	if take {
		a.bytes += uint64(n)
	}
	return nil
}
