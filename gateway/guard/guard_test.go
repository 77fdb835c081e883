package guard

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newGuard makes the default guard with changes.
func newGuard(t testing.TB, change func(*Config)) *Guard {
	t.Helper()
	cfg := Default()
	if change != nil {
		change(&cfg)
	}
	g, err := New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// reader is a handler that reads the whole body.
func reader(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, "read %d", n)
}

func request(method, target, body string, header ...string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "localhost:31415"
	if body == "" {
		r.Body = http.NoBody
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func do(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// wantRefusal checks a response for the form of an error, its status and reason.
func wantRefusal(t *testing.T, w *httptest.ResponseRecorder, code int, reason string) {
	t.Helper()
	var body struct {
		Error struct {
			Code    int
			Status  string
			Details []struct {
				Type           string `json:"@type"`
				Reason, Domain string
			}
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("status %d, body %q: %v", w.Code, w.Body, err)
	}
	if e := body.Error; w.Code != code || e.Code != code || len(e.Details) != 1 || e.Details[0].Reason != reason ||
		e.Details[0].Type != "ErrorInfo" {
		t.Fatalf("status %d, body %s, want %d %s", w.Code, w.Body, code, reason)
	}
}

func TestClassify(t *testing.T) {
	for _, tt := range []struct {
		method, path string
		want         class
	}{
		{"GET", "/v1/blobs/abc", read}, {"HEAD", "/v1/blobs/abc", read}, {"GET", "/v1/quilts/x/patches", read},
		{"GET", "/v1alpha/blobs/concat", read}, {"POST", "/v1alpha/blobs/concat", read},
		{"GET", "/", other}, {"GET", "/v1/api", other}, {"GET", "/v1/blobsx", other}, {"OPTIONS", "/v1/blobs", other},
		{"PUT", "/v1/blobs", write}, {"PUT", "/v1/quilts", write}, {"POST", "/v1/uploads", write},
		{"DELETE", "/v1/blobs/x", manage},
		{"POST", "/v1/blobs/by-object-id/0x1/extend", write}, {"POST", "/v1/blobs/x", write},
		{"PURGE", "/", write}, {"HEAD", "/v1/uploads/u", other}, {"PATCH", "/v1/uploads/u", resume},
		{"DELETE", "/v1/uploads/u", resume},
		{"PATCH", "/v1/uploadsx", write},
	} {
		if got := classify(request(tt.method, tt.path, "")); got != tt.want {
			t.Errorf("%s %s: %d, want %d", tt.method, tt.path, got, tt.want)
		}
	}
}

func TestHeaders(t *testing.T) {
	h := newGuard(t, nil).Wrap(http.HandlerFunc(reader))
	content, page := do(h, request("GET", "/v1/blobs/x", "")).Header(), do(h, request("GET", "/", "")).Header()
	for _, h := range []http.Header{content, page} {
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-Frame-Options") == "" || h.Get("Referrer-Policy") == "" {
			t.Errorf("headers %v", h)
		}
	}
	if csp := content.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "sandbox; default-src 'none'") ||
		strings.Contains(csp, "allow-") {
		t.Errorf("content has the policy %q", csp)
	}
	if content.Get("Cross-Origin-Resource-Policy") != "cross-origin" || page.Get("Content-Security-Policy") != "" {
		t.Errorf("content %v, page %v", content, page)
	}
}

func TestCORS(t *testing.T) {
	h := newGuard(t, func(c *Config) { c.JWT.Secret = "s" }).Wrap(http.HandlerFunc(reader))
	w := do(h, request("OPTIONS", "/v1/blobs", "", "Origin", "https://x.org", "Access-Control-Request-Method", "PUT",
		"Access-Control-Request-Headers", "content-type, authorization"))
	for k, want := range map[string]string{
		"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "*",
		"Access-Control-Allow-Headers": "*, Authorization",
		"Access-Control-Max-Age":       "86400", "Access-Control-Allow-Credentials": "",
	} {
		if got := w.Header().Get(k); got != want || w.Code != 200 {
			t.Errorf("%d, %s: %q, want %q", w.Code, k, got, want)
		}
	}
	w = do(h, request("GET", "/v1/blobs/x", ""))
	if w.Header().Get("Access-Control-Allow-Origin") != "*" ||
		!strings.Contains(w.Header().Get("Access-Control-Expose-Headers"), "Content-Range") {
		t.Errorf("headers %v", w.Header())
	}
	if w = do(h, request("PUT", "/v1/blobs", "x")); w.Code != 401 || w.Header().Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("a refusal: %d %v", w.Code, w.Header())
	}
}

func TestHosts(t *testing.T) {
	local := func(c *Config) { c.Hosts = []string{"Gate.example.org"} }
	public := func(c *Config) { c.Loopback = false }
	for _, tt := range []struct {
		change func(*Config)
		host   string
		code   int
	}{
		{local, "localhost", 200}, {local, "LOCALHOST:80", 200}, {local, "127.0.0.1:31415", 200}, {local, "[::1]:31415", 200},
		{local, "[::1]", 200},
		{local, "gate.example.org.:443", 200}, {local, "", 200}, {local, "evil.org", 421}, {local, "localhost.evil.org", 421},
		{local, "10.0.0.1", 421}, {local, "[::1", 200}, {nil, "gate.example.org", 421}, {public, "evil.org", 200},
	} {
		r := request("GET", "/", "")
		r.Host = tt.host
		if w := do(newGuard(t, tt.change).Wrap(http.HandlerFunc(reader)), r); w.Code != tt.code {
			t.Errorf("%q: %d, want %d", tt.host, w.Code, tt.code)
		}
	}
}

func TestRequestID(t *testing.T) {
	var seen string
	h := newGuard(t, nil).Wrap(http.HandlerFunc(
		func(_ http.ResponseWriter, r *http.Request) { seen = RequestID(r.Context()) }))
	for _, tt := range []struct {
		id   string
		kept bool
	}{{"abc-1.2_Z", true}, {"", false}, {"a b", false}, {"a\nb", false}, {strings.Repeat("a", 65), false}, {"ü", false}} {
		w := do(h, request("GET", "/", "", headerRequestID, tt.id))
		if got := w.Header().Get(headerRequestID); got != seen || got == "" || (got == tt.id) != tt.kept {
			t.Errorf("%q: header %q, context %q", tt.id, got, seen)
		}
	}
}

func TestClientAddress(t *testing.T) {
	ps, err := parseProxies([]string{"10.0.0.0/8", "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ remote, forwarded, want string }{
		{"1.2.3.4:5", "", "1.2.3.4"}, {"1.2.3.4:5", "9.9.9.9", "1.2.3.4"}, {"127.0.0.1:5", "9.9.9.9", "9.9.9.9"},
		{"127.0.0.1:5", "6.6.6.6, 9.9.9.9, 10.1.1.1", "9.9.9.9"}, {"127.0.0.1:5", "6.6.6.6, rubbish", "127.0.0.1"},
		{"[::ffff:10.0.0.1]:5", "2001:db8::1", "2001:db8::1"}, {"@", "", ""},
	} {
		r := request("GET", "/", "", "X-Forwarded-For", tt.forwarded)
		r.RemoteAddr = tt.remote
		if got := ps.client(r); got != tt.want {
			t.Errorf("%+v: %q", tt, got)
		}
	}
	if a, b := network("2001:db8::1"), network("2001:db8::2:1"); a != b || network("1.2.3.4") != "1.2.3.4" {
		t.Errorf("networks %q %q", a, b)
	}
}

func TestAccessLogKeepsSecrets(t *testing.T) {
	var log bytes.Buffer
	g := newGuard(t, func(c *Config) { c.JWT.Secret = "key" })
	g.log = slog.New(slog.NewJSONHandler(&log, nil))
	h := g.Wrap(http.HandlerFunc(reader))
	do(h, request("PUT", "/v1/blobs?epochs=1&x=SECRET", "x", "Authorization", "Bearer SECRET", "X-Api-Key", "SECRET"))
	do(h, request("PATCH", "/v1/uploads/SECRET", "x"))
	do(h, request("GET", "/v1/blobs/M4hsZGQ1oCktdzegB6HnI6Mi28S2nqOPHxK-W7_4BUk", "", "User-Agent",
		strings.Repeat("u", 9999)))
	got := log.String()
	if strings.Contains(got, "SECRET") || len(got) > 3000 || strings.Count(got, "\n") != 3 {
		t.Errorf("log: %s", got)
	}
	for _, want := range []string{"M4hsZGQ1oCktdzegB6HnI6Mi28S2nqOPHxK-W7_4BUk", `"status":401`, `"bytes_in":1`,
		`"bytes_out":6`, `"request_id":"`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in: %s", want, got)
		}
	}
}

func TestPanic(t *testing.T) {
	var log bytes.Buffer
	g := newGuard(t, nil)
	g.log = slog.New(slog.NewJSONHandler(&log, nil))
	w := do(g.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oops") })),
		request("PUT", "/v1/blobs", "x"))
	wantRefusal(t, w, 500, "INTERNAL")
	if !strings.Contains(log.String(), "oops") || !strings.Contains(log.String(), "guard_test.go") ||
		strings.Contains(w.Body.String(), "oops") {
		t.Errorf("log %s, body %s", &log, w.Body)
	}
	if len(g.quotas.accounts) != 1 {
		t.Errorf("%d accounts", len(g.quotas.accounts))
	}
}

func TestRouteIsPattern(t *testing.T) {
	reg := prometheus.NewRegistry()
	g, err := New(Default(), slog.New(slog.DiscardHandler), reg)
	if err != nil {
		t.Fatal(err)
	}
	mux := chi.NewMux()
	mux.Use(Route)
	mux.Get("/v1/blobs/{id}", reader)
	h := g.Wrap(mux)
	do(h, request("GET", "/v1/blobs/one", ""))
	do(h, request("GET", "/v1/blobs/two", ""))
	do(h, request("BREW", "/nothing", ""))
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]uint64{}
	for _, f := range families {
		if f.GetName() == "http_server_response_body_size_bytes" {
			for _, m := range f.Metric {
				var labels []string
				for _, l := range m.Label {
					labels = append(labels, l.GetValue())
				}
				got[strings.Join(labels, " ")] = m.Histogram.GetSampleCount()
			}
		}
	}
	if len(got) != 2 || got["GET 200 /v1/blobs/{id}"]+got["GET /v1/blobs/{id} 200"] != 2 {
		t.Errorf("series %v", got)
	}
}

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(t, func(c *Config) { c.Publisher = LimitConfig{2, 2} })
		free := make(chan struct{})
		h := g.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-free }))
		codes := make(chan int, 9)
		put := func(ctx context.Context) { codes <- do(h, request("PUT", "/v1/blobs", "x").WithContext(ctx)).Code }
		ctx, leave := context.WithCancel(t.Context())
		go put(t.Context())
		go put(t.Context())
		synctest.Wait()
		go put(ctx)
		go put(t.Context())
		synctest.Wait()
		w := do(h, request("PUT", "/v1/blobs", "x"))
		if text := w.Body.String(); w.Code != 429 ||
			text != "the publisher is receiving too many requests; please try again later" ||
			w.Header().Get("Retry-After") == "" ||
			!strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
			t.Errorf("beyond the buffer: %d %q %v", w.Code, text, w.Header())
		}
		leave()
		synctest.Wait()
		if len(codes) != 1 {
			t.Errorf("%d requests ended when the client left", len(codes))
		}
		go put(t.Context()) // its waiting place is free again
		synctest.Wait()
		if len(codes) != 1 {
			t.Errorf("%d requests ended", len(codes))
		}
		close(free)
		synctest.Wait()
		if len(codes) != 5 {
			t.Errorf("%d requests ended, want 5", len(codes))
		}
	})
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		do(newGuard(t, nil).Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })),
			request("GET", "/", ""))
		if d := time.Since(start); d != time.Minute {
			t.Errorf("ended after %v", d)
		}
	})
}

// TestServer: keep-alive, flushing, and 100-continue work in HTTP/1 and 2; and a handler may pause longer than a
// client.
func TestServer(t *testing.T) {
	g := newGuard(t, func(c *Config) { c.Times.Stall = time.Second })
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pause := time.NewTimer(1200 * time.Millisecond)
		defer pause.Stop()
		if _, err := io.Copy(io.Discard, io.LimitReader(r.Body, 1)); err != nil {
			t.Error(err)
		}
		<-pause.C
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		reader(w, r)
		w.(http.Flusher).Flush()
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	both := new(http.Protocols)
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	s := &http.Server{Handler: g.Wrap(h), Protocols: both}
	go s.Serve(l)
	defer s.Close()
	for _, http2 := range []bool{false, true} {
		p := new(http.Protocols)
		p.SetHTTP1(!http2)
		p.SetUnencryptedHTTP2(http2)
		tr := &http.Transport{Protocols: p}
		for range 2 {
			r, _ := http.NewRequest("PUT", "http://"+l.Addr().String()+"/v1/blobs",
				strings.NewReader(strings.Repeat("x", 100001)))
			r.Header.Set("Expect", "100-continue")
			resp, err := tr.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(bufio.NewReader(resp.Body))
			resp.Body.Close()
			if string(b) != "read 100000" || err != nil || resp.ProtoMajor == 2 != http2 {
				t.Errorf("%s: %q %v", resp.Proto, b, err)
			}
		}
		tr.CloseIdleConnections()
	}
}

func TestValidate(t *testing.T) {
	if c := Default(); c.Validate() != nil {
		t.Error(c.Validate())
	}
	for name, change := range map[string]func(*Config){
		"no room": func(c *Config) { c.Publisher.Running = 0 }, "no time": func(c *Config) { c.Times.Stall = 0 },
		"half seconds":  func(c *Config) { c.JWT.Lifetime = 1500 * time.Millisecond },
		"no cache":      func(c *Config) { c.JWT.CacheSize = 0 },
		"short API key": func(c *Config) { c.Quota.APIKeys = map[string]string{"a": "b"} },
		"proxy":         func(c *Config) { c.TrustedProxies = []string{"x"} },
		"alg none":      func(c *Config) { c.JWT = JWTConfig{Secret: "s", Algorithm: "none", CacheSize: 1} },
		"one API key for two": func(c *Config) {
			c.Quota.APIKeys = map[string]string{"a": "0123456789abcdef", "b": "0123456789abcdef"}
		},
		"negative": func(c *Config) { c.Quota.Rate = -1 },
	} {
		c := Default()
		if change(&c); c.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
