package guard

import "net/http"

// headerOverride names the intended method, for clients that cannot send every method.
const headerOverride = "X-Http-Method-Override"

// Override replaces the method of requests to resumable uploads by the one in X-HTTP-Method-Override, as tus demands.
// It runs before everything that looks at the method, so that it cannot bypass tokens, quotas or limits. On other paths
// the header is ignored.
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
		r = r.WithContext(r.Context()) // a copy: the server must see the real method
		r.Header = r.Header.Clone()
		r.Header.Del(headerOverride)
		r.Method = method
		next.ServeHTTP(w, r)
	})
}

// headless answers a request that Override turned into a HEAD. The client expects as many body bytes as Content-Length
// says, and HEAD sends none, so headless removes the header.
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
