package node

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/alert"
	"walrus/internal/pause"
	"walrus/monitor"
	"walrus/monitor/round"
	"walrus/node/keeper"
	"walrus/p2p"
	"walrus/probe"
	"walrus/shards"
)

// stock says what an examination finds, and remembers what was examined.
type stock struct {
	mu       sync.Mutex
	finding  keeper.Finding
	settled  bool
	examined []keeper.Sliver
}

func (s *stock) Examine(_ context.Context, x keeper.Sliver) (keeper.Finding, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.examined = append(s.examined, x)
	return s.finding, nil
}

func (s *stock) Settled(keeper.Sliver) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settled
}

func (s *stock) set(f keeper.Finding, settled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finding, s.settled = f, settled
}

// watchman is a node's alarms, with a key, a webhook and a home.
type watchman struct {
	*alarms
	t      *testing.T
	key    ed25519.PrivateKey
	id     peer.ID
	home   string
	stock  *stock
	posted chan alert.Alert
	log    *bytes.Buffer // read after stop
	stop   func()
}

func newWatchman(t *testing.T, receipts func() ([]byte, error)) *watchman {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	pk, err := crypto.UnmarshalEd25519PublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPublicKey(pk)
	if err != nil {
		t.Fatal(err)
	}
	w := &watchman{t: t, key: key, id: id, home: t.TempDir(), stock: &stock{finding: keeper.Sound}, posted: make(chan alert.Alert, 100), log: &bytes.Buffer{}}
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var a alert.Alert
		raw, err := io.ReadAll(r.Body)
		if err = errors.Join(err, json.Unmarshal(raw, &a)); err != nil {
			t.Error(err)
		}
		w.posted <- a
	}))
	t.Cleanup(hook.Close)
	cfg := &Config{Name: "alpha", P2P: p2p.Config{Network: "net"}, Home: w.home, Alerts: alert.Config{Webhook: hook.URL},
		Logger: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	if w.alarms, err = newAlarms(cfg, id); err != nil {
		t.Fatal(err)
	}
	w.keeper = w.stock
	w.parts = alarmParts{self: id, height: func() uint64 { return 100_000 },
		receipts: func(context.Context, peer.ID, uint64, peer.ID) ([]byte, error) { return receipts() }}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(w.stop)
	return w
}

// next returns the next alert.
func (w *watchman) next() alert.Alert {
	w.t.Helper()
	select {
	case a := <-w.posted:
		return a
	case <-time.After(30 * time.Second):
		w.t.Fatal("no alert")
	}
	return alert.Alert{}
}

// refusal makes evidence in which a key signs at a height that it lacks a sliver.
func refusal(t *testing.T, key ed25519.PrivateKey, id peer.ID, height uint64) (e *probe.Evidence) {
	t.Helper()
	q := probe.Question{Shards: 10, Blob: shards.BlobID{5}, Axis: shards.Secondary, Slivers: []int{4}, Targets: []int{3}, SymbolSize: 2,
		Length: 2, Height: height}
	q.Nonce[0], q.Nonce[1] = 1, byte(height)
	r := probe.Receipt{Question: q, Node: id, Code: probe.Missing, Lacks: 4}
	r.Signature = probe.Refuse(key, &q, probe.Missing, 4)
	e = &probe.Evidence{Receipts: []probe.Receipt{r}}
	if _, err := probe.Judge(e); err != nil {
		t.Fatal(err)
	}
	return e
}

// receiptsOf makes a monitor's answer that holds evidence.
func receiptsOf(t *testing.T, e *probe.Evidence) []byte {
	t.Helper()
	raw, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	b := []byte{1, 0, 0, 0, 0, 1, 0, byte(len(raw)), byte(len(raw) >> 8), byte(len(raw) >> 16), 0}
	return append(b, raw...)
}

// TestAlarmsAccused: a monitor that attests "missing" is asked for its evidence. The sliver is examined, the evidence
// kept, and the operator told which cell it was, once. What the node has found itself at the same time
// is not told again.
func TestAlarmsAccused(t *testing.T) {
	var w *watchman
	var e *probe.Evidence
	w = newWatchman(t, func() ([]byte, error) { return receiptsOf(t, e), nil })
	e = refusal(t, w.key, w.id, 99_000)
	w.stock.set(keeper.Gone, false)
	accuser := w.id // any peer
	w.lost(keeper.Loss{Sliver: keeper.Sliver{Blob: shards.BlobID{5}, Axis: shards.Secondary, Index: 4}})
	for range 3 {
		w.tell(monitor.Event{Round: 7, Monitor: accuser, Outcome: round.Missing})
	}
	a := w.next()
	if a.Cause != alert.Missing || a.State != alert.Firing || a.BlobID != (shards.BlobID{5}).String() || *a.Sliver != 4 || *a.Row != 3 ||
		*a.Column != 4 || a.Monitor != accuser.String() || a.Further != 0 || !strings.Contains(a.Text, "is being repaired") {
		t.Errorf("%+v", a)
	}
	raw, err := os.ReadFile(filepath.Join(w.home, alert.EvidenceFolder, a.Evidence))
	var kept probe.Evidence
	if err = errors.Join(err, json.Unmarshal(raw, &kept)); err != nil {
		t.Fatal(err)
	}
	if v, err := probe.Judge(&kept); err != nil || v.Node != w.id {
		t.Errorf("kept %+v, %v", v, err)
	}
	w.stock.set(keeper.Sound, true)
	if a := w.next(); a.State != alert.Recovered || a.Cause != alert.Missing {
		t.Errorf("%+v", a)
	}
	w.stop()
	if len(w.posted) > 0 || len(w.stock.examined) != 1 {
		t.Errorf("%d alerts more; examined %v", len(w.posted), w.stock.examined)
	}
	book, err := alert.LoadBook(w.home, alert.Node{})
	if err != nil || len(book.Recent()) != 2 {
		t.Errorf("remembered: %+v, %v", book.Recent(), err)
	}
	if strings.Contains(w.log.String(), w.home) {
		t.Errorf("the log shows a path: %s", w.log)
	}
}

// TestAlarmsLies: accusations without evidence, with evidence against others, and with old evidence of a fault that is
// over, make no alert.
func TestAlarmsLies(t *testing.T) {
	other := newWatchman(t, nil)
	answers := make(chan []byte, 10)
	w := newWatchman(t, func() ([]byte, error) {
		if b := <-answers; b != nil {
			return b, nil
		}
		return nil, p2p.ErrNotFound
	})
	answers <- nil
	answers <- []byte("no receipts")
	answers <- receiptsOf(t, refusal(t, other.key, other.id, 99_000))
	answers <- receiptsOf(t, refusal(t, w.key, w.id, 1000))
	for n := range uint64(4) {
		w.tell(monitor.Event{Round: n, Monitor: other.id, Outcome: round.Wrong})
		for len(answers) > 3-int(n) {
			pause.For(t.Context(), time.Millisecond)
		}
	}
	for range 3 {
		w.tell(monitor.Event{Round: 9, Monitor: other.id, Outcome: round.Unreachable}) // its word alone
	}
	w.tell(monitor.Event{Round: 10, Outcome: round.NotAsked})
	w.lost(keeper.Loss{Sliver: keeper.Sliver{Blob: shards.BlobID{6}, Index: 1}, Corrupt: true}) // later than the rest
	if a := w.next(); a.BlobID != (shards.BlobID{6}).String() || a.Monitor != "" || !strings.Contains(a.Text, "damaged on the disk") {
		t.Errorf("%+v", a)
	}
}

// TestAlarmsUnreachable: three rounds by weighted median make an alert, the first good one a recovery, also when the
// node restarts in between.
func TestAlarmsUnreachable(t *testing.T) {
	w := newWatchman(t, nil)
	for n := range uint64(10) {
		w.tell(monitor.Event{Round: n + 1, Outcome: []round.Outcome{round.OK, round.Unreachable, round.Timeout, round.OK, round.Timeout,
			round.NotAsked, round.Unreachable, round.Unreachable, round.Unreachable, round.Unreachable}[n]})
	}
	if a := w.next(); a.Cause != alert.Unreachable || a.State != alert.Firing || a.BlobID != "" || !strings.Contains(a.Text, "3 rounds") {
		t.Errorf("%+v", a)
	}
	w.stop()
	again, err := newAlarms(&Config{Home: w.home, Logger: slog.New(slog.DiscardHandler)}, w.id)
	if err != nil {
		t.Fatal(err)
	}
	again.verdict(monitor.Event{Round: 11, Outcome: round.Slow})
	if list := again.book.Recent(); len(list) != 2 || list[1].State != alert.Recovered || list[1].ID != list[0].ID {
		t.Errorf("%+v", list)
	}
}

// TestAlarmsDoNotBlock: whoever tells of trouble never waits, and the number of facts that wait is bounded.
func TestAlarmsDoNotBlock(t *testing.T) {
	a, err := newAlarms(&Config{Logger: slog.New(slog.DiscardHandler)}, "x")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 * maxFacts {
		a.lost(keeper.Loss{})
	}
	if len(a.facts) != maxFacts || a.dropped.Load() != 2*maxFacts {
		t.Errorf("%d wait, %d were dropped", len(a.facts), a.dropped.Load())
	}
}

// TestAlarmsOldUnexamined: old evidence of a sliver that cannot be examined now, and evidence of another network, make
// no alert.
func TestAlarmsOldUnexamined(t *testing.T) {
	answers := make(chan []byte, 10)
	w := newWatchman(t, func() ([]byte, error) { return <-answers, nil })
	w.stock.set("", false) // as after an error
	elsewhere := refusal(t, w.key, w.id, 99_000)
	r := &elsewhere.Receipts[0]
	r.Question.Network[0]++
	r.Signature = probe.Refuse(w.key, &r.Question, probe.Missing, 4)
	answers <- receiptsOf(t, refusal(t, w.key, w.id, 1000))
	answers <- receiptsOf(t, elsewhere)
	for n := range uint64(2) {
		w.tell(monitor.Event{Round: n, Monitor: w.id, Outcome: round.Missing})
		for len(answers) > 1-int(n) {
			pause.For(t.Context(), time.Millisecond)
		}
	}
	w.lost(keeper.Loss{Sliver: keeper.Sliver{Blob: shards.BlobID{6}, Index: 1}, Corrupt: true}) // later than the rest
	if a := w.next(); a.BlobID != (shards.BlobID{6}).String() {
		t.Errorf("%+v", a)
	}
}

// TestAlarmsGiven: evidence that a monitor gave to the node makes an alert, whether or not there was room to keep it.
func TestAlarmsGiven(t *testing.T) {
	w := newWatchman(t, nil)
	w.stock.set(keeper.Gone, false)
	w.tell(monitor.Event{Round: 7, Monitor: w.id, Outcome: round.Missing, Evidence: &monitor.EvidenceInfo{ID: "not kept"},
		Proof: refusal(t, w.key, w.id, 99_000)})
	if a := w.next(); a.Cause != alert.Missing || a.BlobID != (shards.BlobID{5}).String() {
		t.Errorf("%+v", a)
	}
}
