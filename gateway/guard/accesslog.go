package guard

import (
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// statusLeft is logged and counted for requests whose client left before there was an answer.
const statusLeft = 499

// maxLogged bounds what of a client's text goes into a log line.
const maxLogged = 256

// accessLog writes a line for each request. The query is not in it, nor any header but the user agent: they may hold
// secrets.
func (g *Guard) accessLog(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := visited(r.Context())
		defer func() { //nolint:contextcheck // it has the request's
			g.log.LogAttrs(r.Context(), slog.LevelInfo, "http request",
				slog.String("method", truncate(r.Method)), slog.String("path", loggedPath(r.URL.Path)),
				slog.Int("status", v.status()), slog.Int64("bytes_in", v.body.n), slog.Int64("bytes_out", v.rec.bytes),
				slog.Duration("duration", time.Since(v.start)), slog.String("request_id", v.id), slog.String("remote", v.ip),
				slog.String("user_agent", truncate(r.UserAgent())))
		}()
		next.ServeHTTP(w, r)
	})
}

// status as it is logged and counted.
func (v *visit) status() int {
	if v.rec.status == 0 {
		return statusLeft
	}
	return v.rec.status
}

// loggedPath keeps IDs of blobs, but not the names of uploads, which let anybody go on with them.
func loggedPath(path string) string {
	if below(path, uploads) && len(path) > len(uploads)+1 {
		return uploads + "/…"
	}
	return truncate(path)
}

func truncate(s string) string {
	if len(s) <= maxLogged {
		return s
	}
	return strings.ToValidUTF8(s[:maxLogged], "") + "…"
}
