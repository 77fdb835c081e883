package guard

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
)

// Guard holds the state shared by all requests. All fields are constant after New.
type Guard struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	proxies proxies
	key     any // verifies tokens; nil without
	replays *replays
	quotas  *quotas
}

// New makes a guard whose metrics go to reg. It starts nothing.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Guard, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(reg)
	if err != nil {
		return nil, err
	}
	g := &Guard{cfg: cfg, log: log, metrics: m, replays: newReplays(cfg.JWT.CacheSize), quotas: newQuotas(cfg.Quota)}
	if g.proxies, err = parseProxies(cfg.TrustedProxies); err != nil {
		return nil, err
	}
	if g.key, err = parseKey(cfg.JWT); err != nil {
		return nil, err
	}
	return g, nil
}

// Wrap puts the guard in front of next. The client is authenticated before it occupies resources, and its token is used
// up only when the request's turn has come.
func (g *Guard) Wrap(next http.Handler) http.Handler {
	chain := []func(http.Handler) http.Handler{
		Override, g.visit, g.accessLog, g.measure, g.deadline, g.pace, g.recoverer, headers, g.hostCheck, g.cors,
		verdicts, g.authenticate, g.quota, g.admit, g.useToken,
	}
	for i := len(chain) - 1; i >= 0; i-- {
		next = chain[i](next)
	}
	return next
}
