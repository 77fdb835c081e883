package guard

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics holds the gateway's metrics. Names and labels that begin with http are the original's.
type metrics struct {
	active       *prometheus.GaugeVec
	duration     *prometheus.HistogramVec
	in, out      *prometheus.HistogramVec
	waiting      *prometheus.GaugeVec
	rejected     *prometheus.CounterVec
	authFailures *prometheus.CounterVec
	spent        prometheus.Counter
	invalid      prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	labels := []string{"http_request_method", "http_route", "http_response_status_code"}
	sizes := prometheus.ExponentialBuckets(1<<10, 4, 11) // 1 KiB to 1 GiB
	m := &metrics{
		active: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "http_server_active_requests", Help: "Requests being served."}, labels[:1]),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "http_server_request_duration_seconds",
			Help:    "Time to the header of the response, and from there to the end of its body.",
			Buckets: []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 60, 120, 180, 240},
		}, append(labels, "http_response_part")),
		in: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_server_request_body_size_bytes", Help: "Bytes read of request bodies.", Buckets: sizes}, labels),
		out: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_server_response_body_size_bytes", Help: "Bytes written of response bodies.", Buckets: sizes}, labels),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "walrus_gateway_waiting_requests", Help: "Requests waiting for their turn."}, []string{"role"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "walrus_gateway_rejected_total", Help: "Requests refused, by the limit that was reached."}, []string{"limit"}),
		authFailures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "walrus_gateway_auth_failures_total", Help: "Requests refused for a missing or invalid token or API key."},
			[]string{"reason"}),
		spent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "walrus_gateway_spent_frost_total", Help: "FROST paid for clients of the publisher."}),
		invalid: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "walrus_gateway_invalid_blobs_total",
			Help: "Requests that failed because a blob is invalid: its writer encoded it wrongly."}),
	}
	for _, c := range []prometheus.Collector{m.active, m.duration, m.in, m.out, m.waiting, m.rejected, m.authFailures,
		m.spent, m.invalid} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("guard: %w", err)
		}
	}
	return m, nil
}

// measure counts requests by the pattern of their route. Counting by path would make one series per blob.
func (g *Guard) measure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, method := visited(r.Context()), methodLabel(r.Method)
		active := g.metrics.active.WithLabelValues(method)
		active.Inc()
		var header time.Time
		v.rec.onHeader = func() { header = time.Now() }
		defer func() {
			active.Dec()
			if v.invalid {
				g.metrics.invalid.Inc()
			}
			route, status := v.route, strconv.Itoa(v.status())
			if route == "" {
				route = "unmatched"
			}
			if header.IsZero() {
				header = time.Now()
			}
			g.metrics.duration.WithLabelValues(method, route, status, "headers").Observe(header.Sub(v.start).Seconds())
			g.metrics.duration.WithLabelValues(method, route, status, "payload").Observe(time.Since(header).Seconds())
			g.metrics.in.WithLabelValues(method, route, status).Observe(float64(v.body.n))
			g.metrics.out.WithLabelValues(method, route, status).Observe(float64(v.rec.bytes))
		}()
		next.ServeHTTP(w, r)
	})
}

// methodLabel bounds the number of series: clients may invent methods.
func methodLabel(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete,
		http.MethodOptions:
		return m
	}
	return "_OTHER"
}
