package guard

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// hostCheck accepts only this gateway's host names. This stops DNS rebinding: a foreign page whose name resolves to
// this machine sends its own name, because browsers send the name they looked up.
func (g *Guard) hostCheck(next http.Handler) http.Handler {
	if !g.cfg.Loopback && len(g.cfg.Hosts) == 0 {
		return next
	}
	known := map[string]bool{"localhost": true}
	for _, h := range g.cfg.Hosts {
		known[strings.ToLower(h)] = true
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Only HTTP/1.0 may omit the name, and browsers never do.
		if name := hostName(r.Host); r.Host != "" && !known[name] && !loopback(name) {
			g.metrics.rejected.WithLabelValues("host").Inc()
			f := &Refusal{Code: http.StatusMisdirectedRequest, Status: "PERMISSION_DENIED", Reason: "UNKNOWN_HOST",
				Domain:  domainGlobal,
				Message: "this gateway does not answer to that host name: use localhost or 127.0.0.1, or ask its operator to add the name"}
			f.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostName returns the name in a Host header, without port, brackets and final dot.
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
