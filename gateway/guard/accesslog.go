package guard

import (
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// statusLeft is logged and counted for requests whose client left before the answer.
const statusLeft = 499

// maxLogged bounds client text in a log line.
const maxLogged = 256

// accessLog writes a line for each request. It leaves out the query and all headers except the user agent: they may
// hold secrets.
func (g *Guard) accessLog(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := visited(r.Context())
		defer func() { //nolint:contextcheck // the request's context is used
			g.log.LogAttrs(r.Context(), slog.LevelInfo, "http request",
				slog.String("method", truncate(r.Method)), slog.String("path", loggedPath(r.URL.Path)),
				slog.Int("status", v.status()), slog.Int64("bytes_in", v.body.n), slog.Int64("bytes_out", v.rec.bytes),
				slog.Duration("duration", time.Since(v.start)), slog.String("request_id", v.id), slog.String("remote", v.ip),
				slog.String("user_agent", truncate(r.UserAgent())))
		}()
		next.ServeHTTP(w, r)
	})
}

// status returns the status to be logged and counted.
func (v *visit) status() int {
	if v.rec.status == 0 {
		return statusLeft
	}
	return v.rec.status
}

// loggedPath keeps blob IDs in a path but hides upload IDs, with which anybody could continue the upload.
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
