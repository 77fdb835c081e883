package gateway

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// cacheControl is the original's value: the content of an ID never changes, but may end.
const cacheControl = "public, max-age=86400, stale-while-revalidate=3600"

// download is the answer to a read.
type download struct {
	content
	tag    string
	strict bool
	whole  bool // the route does not support Range
}

// serveContent answers a read with conditions and ranges by RFC 9110.
func (g *aggregator) serveContent(w http.ResponseWriter, r *http.Request, d *download) error {
	if limit := g.cfg.Read.MaxBlob; limit > 0 && d.Size() > limit {
		return blobTooLarge(d.Size(), limit)
	}
	g.contentHeaders(w.Header(), r, d.tag)
	size := int64(d.Size())
	verdict := 0
	if r.Method != http.MethodPost { // POST reads here, and conditions do not apply to it
		verdict = precondition(r, d.tag)
	}
	switch verdict {
	case http.StatusNotModified:
		w.Header().Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return nil
	case http.StatusPreconditionFailed:
		return &failure{code: http.StatusPreconditionFailed, status: "FAILED_PRECONDITION", reason: "PRECONDITION_FAILED",
			domain: domainGlobal, message: "If-Match names another blob"}
	}
	var spans []span
	if !d.whole {
		var err error
		w.Header().Set("Accept-Ranges", "bytes")
		if spans, err = wanted(r, d.tag, size); err != nil {
			return err
		}
	}
	switch len(spans) {
	case 0:
		return g.send(w, r, d, http.StatusOK, span{0, size})
	case 1:
		w.Header().Set("Content-Range", spans[0].header(size))
		return g.send(w, r, d, http.StatusPartialContent, spans[0])
	}
	return g.sendSeveral(w, r, d, spans)
}

// bareETag is the entity tag's header in the original's spelling. HTTP/1 sends it in these letters, for clients that
// look it up by them. Code that removes the header must remove this spelling too: http.Header.Del does not.
const bareETag = "etag"

// contentHeaders sets the headers of every successful read. An attribute may have set the content type before.
func (g *aggregator) contentHeaders(h http.Header, r *http.Request, tag string) {
	if g.cfg.Read.BareETag {
		h.Del("ETag")
		h[bareETag] = []string{tag}
	} else {
		h.Set("ETag", `"`+tag+`"`)
	}
	h.Set("Cache-Control", cacheControl)
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", contentType(r))
		h.Add("Vary", "Accept, Content-Type") // or shared caches would give one client's type to all
	}
}

// contentType returns the type that the client says it expects, as in the original: the gateway does not know the type.
// Without one, the original sends no header; this returns a generic type, because generated clients require it.
func contentType(r *http.Request) string {
	if accept := r.Header.Get("Accept"); accept != "" && !strings.Contains(accept, "*") {
		return accept
	}
	if t := r.Header.Get("Content-Type"); t != "" && r.Method == http.MethodGet {
		return t
	}
	return "application/octet-stream"
}

// send answers with one part of a blob. The status goes out with the first byte, so earlier errors can still be
// reported.
func (g *aggregator) send(w http.ResponseWriter, r *http.Request, d *download, status int, s span) error {
	w.Header().Set("Content-Length", strconv.FormatInt(s.n, 10))
	if r.Method == http.MethodHead || s.n == 0 {
		w.WriteHeader(status)
		return nil
	}
	return g.stream(w, r, d, status, func(ctx context.Context, out io.Writer) error {
		return d.CopyRange(ctx, out, s.off, s.n, d.strict)
	})
}

// sendSeveral answers with several parts as multipart/byteranges.
func (g *aggregator) sendSeveral(w http.ResponseWriter, r *http.Request, d *download, spans []span) error {
	kind := "application/octet-stream"
	if t := w.Header().Get("Content-Type"); t != "" {
		kind = t
	}
	head := func(s span) textproto.MIMEHeader {
		return textproto.MIMEHeader{"Content-Range": {s.header(int64(d.Size()))}, "Content-Type": {kind}}
	}
	var length countWriter
	parts := multipart.NewWriter(&length)
	for _, s := range spans {
		if _, err := parts.CreatePart(head(s)); err != nil {
			return err
		}
		length += countWriter(s.n)
	}
	if err := parts.Close(); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "multipart/byteranges; boundary="+parts.Boundary())
	w.Header().Set("Content-Length", strconv.FormatInt(int64(length), 10))
	return g.stream(w, r, d, http.StatusPartialContent, func(ctx context.Context, out io.Writer) error {
		again := multipart.NewWriter(out)
		if err := again.SetBoundary(parts.Boundary()); err != nil {
			return err
		}
		for _, s := range spans {
			part, err := again.CreatePart(head(s))
			if err != nil {
				return err
			}
			if err := d.CopyRange(ctx, part, s.off, s.n, d.strict); err != nil {
				return err
			}
		}
		return again.Close()
	})
}

type countWriter int64

func (c *countWriter) Write(p []byte) (int, error) {
	*c += countWriter(len(p))
	return len(p), nil
}

// stream runs produce with a writer to the client. It cancels produce if the network delivers nothing for the opening
// time, or the client takes nothing for the stall time. Failures after the first byte return errCutOff.
func (g *aggregator) stream(w http.ResponseWriter, r *http.Request, d *download, status int,
	produce func(context.Context, io.Writer) error) error {
	patience := g.cfg.Time.Open
	if d != nil && d.strict {
		patience = g.cfg.Time.Store // the whole blob is read before the first byte
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	idle := time.AfterFunc(patience, func() { cancel(context.DeadlineExceeded) })
	defer idle.Stop()
	out := &bodyWriter{
		w: w, control: http.NewResponseController(w), status: status, stall: g.cfg.Time.Stall, sent: &g.sent,
		before: func() { idle.Stop() }, after: func() { idle.Reset(patience) },
	}
	err := produce(ctx, out)
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause == context.DeadlineExceeded { //nolint:errorlint // the very value set above
		err = cause
	}
	if !out.begun {
		return err
	}
	if r.Context().Err() == nil && out.err == nil {
		g.log.Warn("download cut off", "path", r.URL.Path, "err", err)
	}
	return errCutOff
}

// errCutOff ends a response that cannot be completed. An HTTP client learns of it by the closed connection.
var errCutOff = errors.New("the response was cut off")

// bodyWriter writes to a client: the status with the first byte, each write with its own deadline.
type bodyWriter struct {
	w             http.ResponseWriter
	control       *http.ResponseController
	status        int
	stall         time.Duration
	before, after func() // called around each write
	sent          *atomic.Uint64
	begun         bool
	err           error // error of the client's connection
}

func (b *bodyWriter) Write(p []byte) (int, error) {
	b.before()
	defer b.after()
	if !b.begun {
		b.begun = true
		b.w.WriteHeader(b.status)
	}
	// Test recorders have no deadlines, and their clients cannot stall.
	_ = b.control.SetWriteDeadline(time.Now().Add(b.stall))
	n, err := b.w.Write(p)
	b.sent.Add(uint64(n))
	if err != nil {
		b.err = err
	}
	return n, err
}
