package guard

import "net/http"

// headerOverride is how clients that cannot send every method name the one they mean.
const headerOverride = "X-Http-Method-Override"

// Override gives requests on resumable uploads the method that X-HTTP-Method-Override names, whatever the real one is: tus
// demands it. It comes before all that goes by the method, so that it is no way around tokens, quotas or limits. Elsewhere
// the header means nothing.
func Override(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Header.Get(headerOverride)
		if method == "" || !below(r.URL.Path, uploads) {
			next.ServeHTTP(w, r)
			return
		}
		if method == http.MethodHead && r.Method != http.MethodHead {
			w = &headless{writer: writer{w}}
		}
		r = r.WithContext(r.Context()) // a copy: the server goes by the real method
		r.Header = r.Header.Clone()
		r.Header.Del(headerOverride)
		r.Method = method
		next.ServeHTTP(w, r)
	})
}

// headless answers a request that is a HEAD in all but its real method: the client takes as many bytes as the length
// announces, so it must announce none.
type headless struct {
	writer
	begun bool
}

func (h *headless) WriteHeader(code int) {
	h.begun = h.begun || code >= 200
	h.Header().Del("Content-Length")
	h.writer.WriteHeader(code)
}

func (h *headless) Write(p []byte) (int, error) {
	if !h.begun {
		h.WriteHeader(http.StatusOK)
	}
	return len(p), nil
}

func (h *headless) Flush() { _ = h.FlushError() }

func (h *headless) FlushError() error {
	if !h.begun {
		h.WriteHeader(http.StatusOK)
	}
	return h.writer.FlushError()
}
