package light

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/ledger"
)

type ID = peer.ID

func TestAnotherNetwork(t *testing.T) {
	w := newWorld(t)
	other := *w.genesis
	other.Capacity--
	c, err := New(Config{Genesis: &other, Host: w.client, Logger: quiet, Peers: w.asking(t, w.honest).cfg.Peers})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Account(limited(t), alice); !errors.Is(err, errNetwork) {
		t.Errorf("a client of a network of the same name: %v", err)
	}
}

// Invalid requests are refused and cost the server nothing.
func TestBadRequests(t *testing.T) {
	w := newWorld(t)
	id := w.genesis.NetworkID()
	frame := func(body []byte) []byte {
		b := binary.LittleEndian.AppendUint32(nil, uint32(len(id)+len(body)))
		return append(append(b, id[:]...), body...)
	}
	long, err := encode(&readRequest{Keys: [][]byte{{1}}})
	if err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(long[8:], 1<<31)
	for name, tt := range map[string]struct {
		protocol string
		send     []byte
	}{
		"no body":        {readProtocol, frame(nil)},
		"a huge count":   {readProtocol, frame(long)},
		"too many bytes": {blockProtocol, frame(make([]byte, 9))},
		"a huge frame":   {readProtocol, []byte{255, 255, 255, 255}},
		"a tiny frame":   {readProtocol, []byte{1, 0, 0, 0}},
		"no limit":       {objectsProtocol, frame(make([]byte, 68))},
		"a flag of 2":    {receiptProtocol, frame(append(make([]byte, 32), 2))},
		"a huge page":    {historyProtocol, frame(append(make([]byte, 44), 0, 1, 0, 0))},
		"a key too long": {readProtocol, frame(append([]byte{0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 65, 0, 0, 0},
			make([]byte, 65)...))},
		"no bytes of a range": {rangeProtocol, frame(make([]byte, 76))},
	} {
		t.Run(name, func(t *testing.T) {
			st, err := w.client.NewStream(limited(t), w.honest.ID(), protocolID("test", tt.protocol))
			if err != nil {
				t.Fatal(err)
			}
			defer st.Reset()
			_ = st.SetDeadline(time.Now().Add(5 * time.Second))
			if _, err := st.Write(tt.send); err != nil {
				t.Fatal(err)
			}
			if err := readAnswerFrame(st, 100, new(rangeAnswer)); !errors.Is(err, ErrRequest) {
				t.Errorf("answer %v", err)
			}
		})
	}
}

// A Source that fails or panics reveals nothing and stops nothing.
func TestBadSource(t *testing.T) {
	w := newWorld(t)
	s := &source{Source: w.chain}
	w.tale.Store(s)
	for name, f := range map[string]func() (*Reading, error){
		"secret": func() (*Reading, error) { return nil, errors.New("secret") },
		"panic":  func() (*Reading, error) { panic("secret") },
		"none":   func() (*Reading, error) { return &Reading{}, nil },
	} {
		s.read = func(ctxt, At, [][]byte) (*Reading, error) { return f() }
		if _, err := w.asking(t, w.liar).Account(limited(t), alice); !errors.Is(err, errInternal) ||
			contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, want := range []error{ErrBehind, ErrPruned, ErrBusy, ErrUnavailable, ledger.ErrNotFound} {
		s.read = func(ctxt, At, [][]byte) (*Reading, error) { return nil, want }
		if _, err := w.asking(t, w.liar).Account(limited(t), alice); !errors.Is(err, want) {
			t.Errorf("%v became %v", want, err)
		}
	}
}

// A client asks again if all nodes were busy.
func TestBusyForAMoment(t *testing.T) {
	w := newWorld(t)
	busy := 3
	s := &source{Source: w.chain}
	s.read = func(ctx ctxt, at At, keys [][]byte) (*Reading, error) {
		if busy--; busy >= 0 {
			return nil, ErrBusy
		}
		return w.Read(ctx, at, keys)
	}
	w.tale.Store(s)
	c := w.asking(t, w.liar)
	c.cfg.Hasty = false
	if _, err := c.Account(limited(t), alice); err != nil || busy != -1 {
		t.Errorf("%v, with %d refusals left", err, busy)
	}
}

func TestGate(t *testing.T) {
	l := Limits{Requests: 16, RequestsPerPeer: 3, Bytes: 1000, BytesPerPeer: 300, Rate: 10, Burst: 4, Peers: 3}
	if err := l.Validate(); err != nil {
		t.Fatal(err)
	}
	g := newGate(l)
	now := time.Now()
	enter := func(id string, bytes int64, weight float64, want bool) {
		t.Helper()
		if got := g.enter(ID(id), bytes, weight, now); got != want {
			t.Errorf("enter %s: %v, want %v", id, got, want)
		}
	}
	enter("a", 10, 1, true)
	enter("a", 10, 1, true)
	enter("a", 10, 1, true)
	enter("a", 10, 1, false) // four at once
	g.leave("a", 10)
	enter("a", 290, 1, false) // bytes
	enter("a", 10, 1, true)
	g.leave("a", 10)
	enter("a", 10, 1, false) // the burst is used up
	now = now.Add(100 * time.Millisecond)
	enter("a", 10, 1, true)
	enter("b", 1<<40, 1, true) // counts as no more than the limit
	enter("b", 1, 1, false)
	enter("b", 0, 5, false) // more than the burst
	enter("c", 10, 1, true)
	enter("d", 10, 1, false) // no room for a fourth
	g.leave("c", 10)
	enter("d", 10, 1, false) // c is still remembered
	now = now.Add(time.Second)
	enter("d", 10, 1, true)
	g.leave("d", 10)
	g.leave("b", 1<<40)
	for range 3 {
		g.leave("a", 10)
	}
	if g.now != (load{}) {
		t.Errorf("%+v is left inside", g.now)
	}
	l.Rate = 0
	if l.Validate() == nil {
		t.Error("a rate of 0 is no error")
	}
	l = DefaultLimits()
	if l.RequestsPerPeer = l.Requests + 1; l.Validate() == nil {
		t.Error("more for one peer than for all is no error")
	}
}

func TestBusy(t *testing.T) {
	w := newWorld(t)
	limits := DefaultLimits()
	limits.Rate, limits.Burst = 0.001, 5
	h := newHost(t)
	meet(w.client, h)
	s, err := Serve(t.Context(), h, w.genesis, w.chain, limits, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := w.asking(t, h)
	for i := range 10 {
		if _, err = c.Head(limited(t)); err != nil {
			if i == 0 {
				t.Fatal(err)
			}
			break
		}
	}
	if !errors.Is(err, ErrBusy) {
		t.Errorf("after many requests: %v", err)
	}
}

// Waiting requests end when the server is closed and when the client goes away.
func TestCloseEndsWaiting(t *testing.T) {
	w := newWorld(t)
	waiting, ended := make(chan struct{}, 2), make(chan error, 2)
	s := &source{Source: w.chain}
	s.receipt = func(ctx ctxt, _ ledger.TxID) (*Inclusion, error) {
		waiting <- struct{}{}
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}
	h := newHost(t)
	meet(w.client, h)
	server := serve(t, h, w.genesis, s)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	ask := func() { _, err := w.asking(t, h).Submit(ctx, w.tx(1, bob)); done <- err }
	go ask()
	<-waiting
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || !errors.Is(err, ErrPending) {
		t.Errorf("client: %v", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("server: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	go ask()
	<-waiting
	server.Close()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("server: %v", err)
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("a receipt from a closed server")
	}
}
