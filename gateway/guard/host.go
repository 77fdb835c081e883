package guard

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// hostCheck answers only to the names of this gateway. A page of another site whose name is made to resolve to this
// machine (DNS rebinding) is then not taken for one of ours: browsers send the name they believe to speak to.
func (g *Guard) hostCheck(next http.Handler) http.Handler {
	if !g.cfg.Loopback && len(g.cfg.Hosts) == 0 {
		return next
	}
	known := map[string]bool{"localhost": true}
	for _, h := range g.cfg.Hosts {
		known[strings.ToLower(h)] = true
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Only HTTP/1.0 may leave the name out, and no browser does.
		if name := hostName(r.Host); r.Host != "" && !known[name] && !loopback(name) {
			g.metrics.rejected.WithLabelValues("host").Inc()
			f := &Refusal{Code: http.StatusMisdirectedRequest, Status: "PERMISSION_DENIED", Reason: "UNKNOWN_HOST", Domain: domainGlobal,
				Message: "this gateway does not answer to that host name; use localhost or 127.0.0.1, or have its operator add the name"}
			f.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostName is the name in a Host header, without port, brackets and the final dot.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func loopback(name string) bool {
	a, err := netip.ParseAddr(name)
	return err == nil && a.Unmap().IsLoopback()
}
