package guard

import (
	"context"
	"sync"
)

// Reserve asks whether a request may make the publisher pay this much FROST, and reserves it. The caller must call
// settle with the amount paid, 0 if none; it replaces the reserved amount, and further calls do nothing. The error is a
// *Refusal. A context that did not pass the guard belongs to no client and may spend anything.
func (g *Guard) Reserve(ctx context.Context, frost uint64) (settle func(paid uint64), err error) {
	v := visited(ctx)
	if v == nil || v.owner == "" {
		return func(uint64) {}, nil
	}
	day, f := g.quotas.reserve(v.owner, frost)
	if f != nil {
		g.metrics.rejected.WithLabelValues("spend").Inc()
		return nil, f
	}
	var once sync.Once
	return func(paid uint64) {
		once.Do(func() {
			g.quotas.settle(v.owner, day, frost, paid)
			g.metrics.spent.Add(float64(paid))
		})
	}, nil
}

func (q *quotas) reserve(owner string, frost uint64) (day int64, f *Refusal) {
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.account(owner)
	switch {
	case over(a.spent, frost, q.cfg.Spend):
		return 0, tooMany("SPEND_LIMIT_REACHED", domainDaemon,
			"storing this costs more than this client may still spend today", untilTomorrow())
	case over(q.total, frost, q.cfg.TotalSpend):
		return 0, tooMany("SPEND_LIMIT_REACHED", domainDaemon,
			"storing this costs more than this publisher may still spend today", untilTomorrow())
	}
	a.spent += frost
	q.total += frost
	return q.day, nil
}

// over reports whether used and more exceed limit; 0 means no limit. Sums cannot overflow: there is far less money.
func over(used, more, limit uint64) bool {
	return limit > 0 && (more > limit || used > limit-more)
}

// settle replaces planned with paid. If the day of the reservation is over, only paid counts, today.
func (q *quotas) settle(owner string, day int64, planned, paid uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.account(owner)
	if q.day != day {
		planned = 0
	}
	a.spent += paid - min(planned, a.spent)
	q.total += paid - min(planned, q.total)
}
