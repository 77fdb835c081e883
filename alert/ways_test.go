package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"walrus/shards"
)

// secret stands in every address and path that must not appear anywhere.
const secret = "s3cr3t-t0ken"

func testAlert(t testing.TB) Alert {
	t.Helper()
	f := Fact{Cause: Wrong, Blob: shards.BlobID{1}, Axis: shards.Primary, Sliver: 2, Symbol: 3, Monitor: testMonitor(t), Evidence: "e.json"}
	return NewBook(testNode).Note(f, noon)[0]
}

func noSecret(t testing.TB, where, text string) {
	t.Helper()
	if strings.Contains(text, secret) {
		t.Errorf("%s shows the secret: %s", where, text)
	}
}

// posted is a web server that remembers what it got.
type posted struct {
	*httptest.Server
	mu     sync.Mutex
	bodies [][]byte // guarded by mu
}

func newPosted(t *testing.T, answer func(attempt int, w http.ResponseWriter)) *posted {
	p := &posted{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s", r.Method, r.Header)
		}
		p.mu.Lock()
		p.bodies = append(p.bodies, body)
		n := len(p.bodies)
		p.mu.Unlock()
		answer(n, w)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *posted) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.bodies)
}

// TestWebhook posts an alert to servers of all kinds.
func TestWebhook(t *testing.T) {
	quick := []time.Duration{1, 1, 1}
	elsewhere := newPosted(t, func(int, http.ResponseWriter) {})
	for _, tt := range []struct {
		name     string
		attempts int
		want     string // in the error
		answer   func(attempt int, w http.ResponseWriter)
	}{
		{"ok", 1, "", func(_ int, w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) }},
		{"busy, then ok", 3, "", func(n int, w http.ResponseWriter) {
			if n < 3 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}},
		{"always busy", 4, "attempt 4: it answered 429", func(_ int, w http.ResponseWriter) { w.WriteHeader(http.StatusTooManyRequests) }},
		{"refused", 1, "it answered 404", func(_ int, w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) }},
		{"redirect", 1, "not followed", func(_ int, w http.ResponseWriter) {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}},
		{"cut off", 4, "the connection failed", func(_ int, w http.ResponseWriter) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_ = conn.Close()
		}},
		{"endless answer", 1, "", func(_ int, w http.ResponseWriter) {
			for range 4 * maxAnswer / 1024 {
				if _, err := w.Write(make([]byte, 1024)); err != nil {
					return
				}
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPosted(t, tt.answer)
			a := testAlert(t)
			err := deliver(t.Context(), newWebhook(p.URL+"/"+secret), a, quick)
			if n := p.count(); n != tt.attempts {
				t.Errorf("%d attempts, want %d", n, tt.attempts)
			}
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			noSecret(t, "the error", fmt.Sprint(err))
			var got Alert
			if err := json.Unmarshal(p.bodies[0], &got); err != nil || got.Text != a.Text || got.BlobID != a.BlobID {
				t.Errorf("%v: %s", err, p.bodies[0])
			}
		})
	}
	if elsewhere.count() > 0 {
		t.Error("a redirect was followed")
	}
}

// TestWebhookHidesItsAddress makes requests fail before there is an answer.
func TestWebhookHidesItsAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	tls := httptest.NewUnstartedServer(http.NotFoundHandler())
	tls.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	tls.StartTLS()
	t.Cleanup(tls.Close)
	for address, want := range map[string]string{
		"http://" + secret + ".invalid/":              "not found",
		"http://" + closed + "/" + secret:             "refuses connections",
		tls.URL + "/" + secret:                        "not trusted",
		"http://user:" + secret + "@" + closed + "/x": "refuses connections",
	} {
		err := deliver(t.Context(), newWebhook(address), testAlert(t), nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
		noSecret(t, "the error", fmt.Sprint(err))
	}
}

// script writes a program for the shell.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), secret+".sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCommand(t *testing.T) {
	t.Setenv("WALRUS_WALLET_PASSWORD", secret)
	out := filepath.Join(t.TempDir(), "out")
	a := testAlert(t)
	words := []string{script(t, `printf '%s|' "$@" > "$1"; env >> "$1"; cat >> "$1"`), out, "$(id)", "a b; c", "*"}
	if err := (command{words}).send(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	if !strings.HasPrefix(text, out+"|$(id)|a b; c|*|") {
		t.Errorf("a shell has read the arguments: %.200s", text)
	}
	for _, want := range []string{"WALRUS_ALERT_CAUSE=wrong\n", "WALRUS_ALERT_BLOB_ID=" + a.BlobID + "\n", "PATH=", `"evidence":"e.json"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in %s", want, text)
		}
	}
	noSecret(t, "the environment", text)
}

// TestCommandFails: errors say what happened, and show no path and no output.
func TestCommandFails(t *testing.T) {
	none := filepath.Join(t.TempDir(), secret)
	locked := script(t, "true")
	if err := os.Chmod(locked, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path, want string
		final      bool
	}{
		{script(t, "echo "+secret+" >&2; exit 3"), "exit status 3", false},
		{none, "no such program", true},
		{locked, "executable", true},
	} {
		err := command{[]string{tt.path}}.send(t.Context(), testAlert(t))
		if err == nil || !strings.Contains(err.Error(), tt.want) || errors.As(err, new(finalError)) != tt.final {
			t.Errorf("%v, want %q", err, tt.want)
		}
		noSecret(t, "the error", fmt.Sprint(err))
	}
}

// mailServer speaks SMTP on one connection, and returns the mail that it got.
func mailServer(t *testing.T, refuse string) (address string, mails chan string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	mails = make(chan string, 4)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serveMail(conn, refuse, mails)
		}
	}()
	return l.Addr().String(), mails
}

func serveMail(conn net.Conn, refuse string, mails chan<- string) {
	defer conn.Close()
	say := func(s string) { _, _ = io.WriteString(conn, s+"\r\n") }
	lines := &lineReader{r: conn}
	say("220 here")
	var got strings.Builder
	for {
		line, ok := lines.next()
		if !ok {
			return
		}
		got.WriteString(line + "\n")
		switch verb, _, _ := strings.Cut(line, ":"); {
		case refuse != "" && strings.HasPrefix(line, refuse):
			say("550 no " + secret)
		case verb == "DATA":
			say("354 go on")
			for line, ok = lines.next(); ok && line != "."; line, ok = lines.next() {
				got.WriteString(line + "\r\n")
			}
			mails <- got.String()
			say("250 ok")
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

type lineReader struct {
	r   io.Reader
	buf []byte
}

func (l *lineReader) next() (string, bool) {
	for {
		if i := bytes.Index(l.buf, []byte("\r\n")); i >= 0 {
			line := string(l.buf[:i])
			l.buf = l.buf[i+2:]
			return line, true
		}
		chunk := make([]byte, 4096)
		n, err := l.r.Read(chunk)
		if err != nil {
			return "", false
		}
		l.buf = append(l.buf, chunk[:n]...)
	}
}

func TestMail(t *testing.T) {
	address, mails := mailServer(t, "")
	c := Config{Mail: []string{"Ops <ops@example.org>", "two@example.org"}, MailFrom: "node@example.org", MailServer: address}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	a := testAlert(t)
	if err := newMail(c).send(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	got := <-mails
	envelope, text, _ := strings.Cut(got, "DATA\n")
	for _, want := range []string{"MAIL FROM:<node@example.org>", "RCPT TO:<ops@example.org>", "RCPT TO:<two@example.org>"} {
		if !strings.Contains(envelope, want) {
			t.Errorf("%q is missing in %s", want, envelope)
		}
	}
	m, err := netmail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if to, err := m.Header.AddressList("To"); err != nil || len(to) != 2 {
		t.Errorf("To: %v, %v", to, err)
	}
	if s := m.Header.Get("Subject"); s != "[walrus] alpha: wrong (firing)" {
		t.Errorf("subject %q", s)
	}
	if at, err := m.Header.Date(); err != nil || !at.Equal(a.Time) {
		t.Errorf("date %v, %v", at, err)
	}
}

func TestMailFails(t *testing.T) {
	for _, verb := range []string{"MAIL", "RCPT", "DATA"} {
		address, _ := mailServer(t, verb)
		err := newMail(Config{Mail: []string{"a@example.org"}, MailServer: address}).send(t.Context(), testAlert(t))
		if err == nil || !strings.Contains(err.Error(), "answered 550") || !errors.As(err, new(finalError)) {
			t.Errorf("%s: %v", verb, err)
		}
		noSecret(t, "the error", fmt.Sprint(err))
	}
	err := newMail(Config{Mail: []string{"a@example.org"}, MailServer: "127.0.0.1:1"}).send(t.Context(), testAlert(t))
	if err == nil || !strings.Contains(err.Error(), "no mail server answers") {
		t.Error(err)
	}
}

// TestMailHeaders tries to put headers, recipients and bodies into a mail by names and details that others choose.
func TestMailHeaders(t *testing.T) {
	want := []string{"Auto-Submitted", "Content-Transfer-Encoding", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To"}
	rapid.Check(t, func(t *rapid.T) {
		evil := rapid.SampledFrom([]string{"\r\nBcc: x@example.org", "\nX: y\n\nbody", "\r\n.\r\nRCPT TO:<x@y>", "=?utf-8?q?=0D=0ABcc:_x?=", "ä\u2028Bcc: x", "\x00\xff"})
		name := rapid.String().Draw(t, "before") + evil.Draw(t, "name") + rapid.String().Draw(t, "after")
		b := NewBook(Node{Network: evil.Draw(t, "network"), ID: "12D3", Name: name})
		a := b.Note(Fact{Cause: Unreachable, Detail: evil.Draw(t, "detail") + name}, noon)[0]
		raw, err := newMail(Config{Mail: []string{"ops@example.org"}}).compose(a)
		if err != nil {
			t.Fatal(err)
		}
		m, err := netmail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			t.Fatalf("%v: %q", err, raw)
		}
		var names []string
		for name, values := range m.Header {
			if names = append(names, name); len(values) != 1 {
				t.Fatalf("%s: %q", name, values)
			}
		}
		slices.Sort(names)
		if !slices.Equal(names, want) {
			t.Fatalf("headers %q", names)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		if err != nil || strings.ContainsAny(subject, "\r\n\x00") {
			t.Fatalf("subject %q, %v", subject, err)
		}
		if strings.ContainsAny(a.Text, "\r\n\x00") {
			t.Fatalf("text %q", a.Text)
		}
		head, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
		for line := range bytes.SplitSeq(head, []byte("\r\n")) {
			if len(line) > 998 || bytes.ContainsAny(line, "\r\n") {
				t.Fatalf("line %q", line)
			}
		}
	})
}

func TestConfig(t *testing.T) {
	for name, tt := range map[string]struct {
		c    Config
		want error
	}{
		"none":             {Config{}, nil},
		"all":              {Config{Webhook: "https://example.org/x", Command: []string{"notify", ""}, Mail: []string{"a@b.example"}, MailServer: "[::1]:2525"}, nil},
		"no address":       {Config{Webhook: secret}, ErrWebhook},
		"other scheme":     {Config{Webhook: "file:///etc/" + secret}, ErrWebhook},
		"no host":          {Config{Webhook: "https:///" + secret}, ErrWebhook},
		"odd address":      {Config{Webhook: "https://exa mple.org/%zz" + secret}, ErrWebhook},
		"long address":     {Config{Webhook: "https://example.org/" + strings.Repeat("a", maxURL)}, ErrWebhook},
		"no program":       {Config{Command: []string{"", "x"}}, ErrCommand},
		"NUL":              {Config{Command: []string{"x", "\x00"}}, ErrCommand},
		"no mail address":  {Config{Mail: []string{"nobody"}}, ErrMail},
		"header":           {Config{Mail: []string{"a@b.example\r\nBcc: c@d.example"}}, ErrMail},
		"quoted":           {Config{Mail: []string{`"a b\r\n"@b.example`}}, ErrMail},
		"far mail server":  {Config{Mail: []string{"a@b.example"}, MailServer: "192.0.2.1:25"}, ErrMail},
		"named server":     {Config{MailServer: "mail.example.org:25"}, ErrMail},
		"many recipients":  {Config{Mail: slices.Repeat([]string{"a@b.example"}, maxRecipients+1)}, ErrMail},
		"wrong sender":     {Config{MailFrom: "x"}, ErrMail},
		"server, no port":  {Config{MailServer: "localhost"}, ErrMail},
		"too many words":   {Config{Command: slices.Repeat([]string{"a"}, maxArgs+1)}, ErrCommand},
		"several in one":   {Config{Mail: []string{"a@b.example, c@d.example"}}, ErrMail},
		"not ASCII":        {Config{Mail: []string{"ä@b.example"}}, ErrMail},
		"spaces in quotes": {Config{Mail: []string{`"a b"@b.example`}}, ErrMail},
	} {
		err := tt.c.Validate()
		if !errors.Is(err, tt.want) || err != nil && tt.want == nil {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		noSecret(t, name, fmt.Sprint(err))
	}
}

// slowWay never delivers before release is closed.
type slowWay struct {
	called  chan struct{}
	release chan struct{}
}

func (slowWay) name() string { return "slow" }

func (w slowWay) send(ctx context.Context, _ Alert) error {
	w.called <- struct{}{}
	select {
	case <-w.release:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// TestSender: a way that hangs holds up no other, loses what is too much, and ends with the context.
func TestSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := NewSender(Config{}, slog.New(slog.NewTextHandler(&log, nil)))
		slow := slowWay{make(chan struct{}, 100), make(chan struct{})}
		quick := slowWay{make(chan struct{}, 100), make(chan struct{})}
		close(quick.release)
		for _, w := range []way{slow, quick} {
			s.queues = append(s.queues, queue{w, make(chan Alert, maxQueued), new(atomic.Int64)})
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		for range maxQueued + 3 {
			s.Send(testAlert(t))
			synctest.Wait()
		}
		if len(quick.called) != maxQueued+3 || len(slow.called) != 1 {
			t.Errorf("quick %d, slow %d", len(quick.called), len(slow.called))
		}
		if n := s.queues[0].failed.Load(); n != 2 || s.Sent() != maxQueued+3 {
			t.Errorf("%d dropped, %d sent", n, s.Sent())
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if !strings.Contains(log.String(), "cause=wrong") || !strings.Contains(log.String(), "too many wait") {
			t.Error(log.String())
		}
	})
}

// TestSecretsStayInside delivers by ways that all fail, and looks for what must not be seen in the log.
func TestSecretsStayInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c := Config{
			Webhook: "http://user:" + secret + "@127.0.0.1:1/" + secret, Command: []string{"/" + secret + "/none", secret},
			Mail: []string{secret + "@example.org"}, MailServer: "127.0.0.1:1",
		}
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		for _, r := range Try(t.Context(), c, TestAlert(testNode, noon)) {
			if r.Err == nil {
				t.Errorf("%s works", r.Way)
			}
			noSecret(t, "a test of "+r.Way, fmt.Sprint(r.Err))
		}
		s := NewSender(c, slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		s.Send(testAlert(t))
		for len(s.Failed()) > 0 && slices.Contains(values(s.Failed()), 0) {
			select {
			case <-time.After(time.Second):
			case <-t.Context().Done():
				t.Fatal("not all ways have failed: ", s.Failed())
			}
		}
		cancel()
		<-done
		if n := strings.Count(log.String(), "could not be delivered"); n != 3 {
			t.Errorf("%d failures in the log, want 3: %s", n, log.String())
		}
		noSecret(t, "the log", log.String())
	})
}

func values(m map[string]int64) (out []int64) {
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

// TestEvidence keeps more than fits, and the same twice.
func TestEvidence(t *testing.T) {
	home := t.TempDir()
	f, err := OpenFiles(home)
	if err != nil {
		t.Fatal(err)
	}
	now := noon
	first, known, err := f.Keep([]byte(`{"a":1}`), now)
	if err != nil || known {
		t.Fatal(known, err)
	}
	again, known, err := f.Keep([]byte(`{"a":1}`), now.Add(time.Hour))
	if err != nil || !known || again != first {
		t.Error(again, known, err)
	}
	if raw, err := os.ReadFile(filepath.Join(home, EvidenceFolder, first)); err != nil || string(raw) != `{"a":1}` {
		t.Error(string(raw), err)
	}
	if info, err := os.Stat(filepath.Join(home, EvidenceFolder, first)); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	big := make([]byte, maxEvidence/2)
	for i := range maxEvidences {
		now = now.Add(time.Second)
		big[0], big[1] = byte(i), 1
		if _, _, err := f.Keep(big, now); err != nil {
			t.Fatal(err)
		}
	}
	list, err := f.list()
	if err != nil || len(list) != maxEvidenceBytes/len(big) || list[0].name == first {
		t.Errorf("%d files, %v", len(list), err)
	}
	if _, _, err := f.Keep(make([]byte, maxEvidence+1), now); err == nil {
		t.Error("a huge file is kept")
	}
	b := NewBook(testNode)
	b.Note(missing(1, 1), noon)
	if err := f.Save(b); err != nil {
		t.Fatal(err)
	}
	if b, err = LoadBook(home, testNode); err != nil || len(b.Recent()) != 1 || !b.Firing(Missing) {
		t.Error(b, err)
	}
	if b, err := LoadBook(t.TempDir(), testNode); err != nil || len(b.Recent()) != 0 {
		t.Error(err)
	}
	if err := os.RemoveAll(filepath.Join(home, EvidenceFolder)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Keep([]byte("{}"), now); err == nil || strings.Contains(err.Error(), home) {
		t.Errorf("%v: want an error without the path", err)
	}
}
