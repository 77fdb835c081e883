package guard

import (
	"io"
	"net/http"
)

// verdict answers in place of the handler when a request turns out to be forbidden while its body comes in. The handler
// sees a read error; whatever it answers, the client gets the refusal.
type verdict struct {
	writer
	r       *http.Request
	refusal *Refusal
	began   bool // the response has begun
	told    bool // the response is the refusal
}

// verdicts wraps the request's body and response so that judge can refuse the request.
func verdicts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hasBody(r) {
			next.ServeHTTP(w, r)
			return
		}
		v := &verdict{writer: writer{w}, r: r}
		body := &judgedBody{ReadCloser: r.Body, verdict: v}
		r.Body = body
		next.ServeHTTP(v, r)
		if v.refusal != nil && !v.began {
			v.WriteHeader(v.refusal.Code)
		}
	})
}

func (v *verdict) WriteHeader(code int) {
	if v.told {
		return
	}
	if v.refusal != nil && !v.began {
		v.told, v.began = true, true
		v.refusal.ServeHTTP(v.ResponseWriter, v.r)
		return
	}
	v.began = v.began || code >= 200
	v.ResponseWriter.WriteHeader(code)
}

func (v *verdict) Write(p []byte) (int, error) {
	if !v.began {
		v.WriteHeader(http.StatusOK)
	}
	if v.told {
		return len(p), nil
	}
	return v.ResponseWriter.Write(p)
}

func (v *verdict) Flush() { _ = v.FlushError() }

func (v *verdict) FlushError() error {
	if !v.began {
		v.WriteHeader(http.StatusOK)
	}
	return v.writer.FlushError()
}

// judgedBody calls judges with the size of each piece, and at the end.
type judgedBody struct {
	io.ReadCloser
	verdict *verdict
	judges  []func(n int, end bool) *Refusal
}

func (b *judgedBody) Read(p []byte) (int, error) {
	if b.verdict.refusal != nil {
		return 0, b.verdict.refusal
	}
	n, err := b.ReadCloser.Read(p)
	for _, judge := range b.judges {
		if f := judge(n, err == io.EOF); f != nil { //nolint:errorlint // the end of a body is io.EOF itself
			b.verdict.refusal = f
			return 0, f
		}
	}
	return n, err
}

// judge adds f as a judge of the request's body.
func judge(r *http.Request, f func(n int, end bool) *Refusal) {
	if b, ok := r.Body.(*judgedBody); ok {
		b.judges = append(b.judges, f)
	}
}
