package p2p

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	"walrus/shards"
)

func TestConfig(t *testing.T) {
	good := Config{Network: "test-1", Key: newKey(t), Logger: quiet}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"network name":            func(c *Config) { c.Network = "Test" },
		"network name \"\"":       func(c *Config) { c.Network = "" },
		"network name \"a/b\"":    func(c *Config) { c.Network = "a/b" },
		"identity key of 0 bytes": func(c *Config) { c.Key = nil },
		"unknown role":            func(c *Config) { c.Role = 7 },
		"logger":                  func(c *Config) { c.Logger = nil },
		"listen: address":         func(c *Config) { c.Listen = []string{"0.0.0.0:4001"} },
		"announce: address":       func(c *Config) { c.Announce = []string{"/ip4/1.2.3.4/tcp/99999"} },
		"header timeout is 0":     func(c *Config) { c.Limits = DefaultLimits(); c.Limits.HeaderTimeout = 0 },
		"above bytes":             func(c *Config) { c.Limits = DefaultLimits(); c.Limits.BytesPerPeer = 1 << 50 },
	} {
		bad := good
		change(&bad)
		if _, err := New(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error about %s", err, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	h := newHost(t, func(c *Config) { c.Announce, c.AnnounceOnly = []string{"/ip4/203.0.113.5/tcp/4001"}, true })
	want := "/ip4/203.0.113.5/tcp/4001/p2p/" + h.ID().String()
	if full := h.FullAddrs(); len(full) != 1 || full[0].String() != want {
		t.Errorf("got %v, want %s", full, want)
	}
	if _, err := peer.AddrInfoFromString(want); err != nil {
		t.Error(err)
	}
	if client := newHost(t, func(c *Config) { c.Listen = nil }); len(client.Addrs()) != 0 {
		t.Errorf("client without addresses has %v", client.Addrs())
	}
}

func TestTCPFirst(t *testing.T) {
	var addrs []multiaddr.Multiaddr
	for _, s := range []string{
		"/ip4/1.2.3.4/udp/1/quic-v1", "/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.4/tcp/2/ws", "/ip4/127.0.0.1/tcp/3",
		"/ip4/1.2.3.4/tcp/4/p2p/12D3KooWEBvnzrpzxYQwvJdWaZ77LwQGXT4uLB7uyLtgXmXkLN4n/p2p-circuit",
	} {
		addrs = append(addrs, multiaddr.StringCast(s))
	}
	delays := map[string]time.Duration{}
	for _, r := range tcpFirst(addrs) {
		delays[r.Addr.String()] = r.Delay
	}
	if len(delays) != len(addrs) {
		t.Fatalf("got %d addresses, want all %d", len(delays), len(addrs))
	}
	for a, d := range delays {
		direct := strings.HasSuffix(a, "/tcp/1") || strings.HasSuffix(a, "/tcp/3")
		if direct && d >= quicDelay || !direct && d < quicDelay {
			t.Errorf("%s after %v", a, d)
		}
	}
	for _, r := range tcpFirst(addrs[:1]) {
		if r.Delay != 0 {
			t.Errorf("QUIC alone waits %v", r.Delay)
		}
	}
}

// Both ends prefer TCP with TLS and yamux when everything is on offer.
func TestTransportChoice(t *testing.T) {
	client, server := serving(t, newMemory(), nil, nil)
	for _, c := range client.host.Network().ConnsToPeer(server.ID()) {
		if s := c.ConnState(); s.Transport != "tcp" || s.Security != "/tls/1.0.0" || s.StreamMultiplexer != "/yamux/1.0.0" {
			t.Errorf("connection is %+v", s)
		}
	}
}

func TestOtherNetwork(t *testing.T) {
	client, server := serving(t, newMemory(), nil, func(c *Config) { c.Network = "other" })
	for _, op := range everyOperation {
		if _, err := op.call(t.Context(), client, server.ID()); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: got %v, want %v", op.name, err, ErrUnavailable)
		}
	}
}

func TestUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	gone := newHost(t, nil).ID()
	client := newHost(t, nil)
	addr := multiaddr.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", port))
	if err := client.Connect(t.Context(), peer.AddrInfo{ID: gone, Addrs: []multiaddr.Multiaddr{addr}}); !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), "\n") {
		t.Errorf("connect: got %q, want %v on one line", err, ErrUnavailable)
	}
	for _, op := range everyOperation {
		if _, err := op.call(t.Context(), client, gone); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: got %v, want %v", op.name, err, ErrUnavailable)
		}
	}
}

// A request reaches a node that has restarted on another port. Every pooled stream to it is dead then, and its old
// connection may be dead without our knowledge.
func TestRestartedServer(t *testing.T) {
	key := newKey(t)
	client := newHost(t, nil)
	for range 3 {
		server, err := New(Config{Network: "test", Key: key, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		if err := server.Serve(t.Context(), newMemory()); err != nil {
			t.Fatal(err)
		}
		connect(t, client, server)
		for range 2 {
			if _, err := client.Confirm(t.Context(), server.ID(), testID, testPersistence); err != nil {
				t.Error(err)
			}
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Streams that a peer closes behind our back cost a retry and nothing else, while the connection stays.
func TestStaleStreams(t *testing.T) {
	client, server := serving(t, newMemory(), nil, nil)
	for range 3 {
		if _, err := client.Confirm(t.Context(), server.ID(), testID, testPersistence); err != nil {
			t.Fatal(err)
		}
		for _, c := range server.host.Network().ConnsToPeer(client.ID()) {
			for _, s := range c.GetStreams() {
				s.Reset()
			}
		}
	}
}

// The end of a context cuts a transfer at once, in either direction.
func TestCancel(t *testing.T) {
	m := newMemory()
	m.sliver = pattern(64 << 20)
	entered := make(chan struct{})
	m.on(func(ctx context.Context, op string) error {
		if op == "StorePairs" {
			close(entered)
			<-ctx.Done() // until the test ends; reads nothing
		}
		return ctx.Err()
	})
	client, server := serving(t, m, nil, nil)
	cause := errors.New("changed my mind")

	ctx, cancel := context.WithCancelCause(t.Context())
	r, err := client.FetchSliver(ctx, server.ID(), testID, shards.Primary, 0, 0, 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, r, 1000); err != nil {
		t.Fatal(err)
	}
	cancel(cause)
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, cause) {
		t.Errorf("fetch: got %v, want %v", err, cause)
	}
	r.Close()
	if _, err := r.Read(make([]byte, 1)); err == nil {
		t.Error("read after close succeeded")
	}

	ctx, cancel = context.WithCancelCause(t.Context())
	go func() {
		<-entered
		cancel(cause)
	}()
	err = client.StorePairs(ctx, server.ID(), testID, testToken, []int{1}, 1<<40, func(w io.Writer) error {
		for b := make([]byte, 1<<20); ; {
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
	})
	if !errors.Is(err, cause) {
		t.Errorf("store: got %v, want %v", err, cause)
	}
}

// The end of Serve's context ends the requests being served. The host lives on.
func TestServeEnds(t *testing.T) {
	entered := make(chan struct{})
	m := newMemory()
	m.on(func(ctx context.Context, _ string) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	})
	client, server := newHost(t, nil), newHost(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	if err := server.Serve(ctx, m); err != nil {
		t.Fatal(err)
	}
	connect(t, client, server)
	go func() {
		<-entered
		cancel()
	}()
	for range 2 {
		if _, err := client.Confirm(t.Context(), server.ID(), testID, testPersistence); !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v, want %v", err, ErrUnavailable)
		}
	}
	other := newHost(t, nil)
	if err := other.Serve(t.Context(), newMemory()); err != nil {
		t.Fatal(err)
	}
	connect(t, server, other)
	if _, err := server.Confirm(t.Context(), other.ID(), testID, testPersistence); err != nil {
		t.Errorf("as a client: %v", err)
	}
}

// Close ends requests in both directions, and nothing is left running.
func TestClose(t *testing.T) {
	running := goleak.IgnoreCurrent()
	entered := make(chan struct{})
	m := newMemory()
	m.on(func(ctx context.Context, _ string) error {
		entered <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	open := func() *Host {
		h, err := New(Config{Network: "test", Key: newKey(t), Listen: []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Join(t.Context(), Certificates(decided(verify))); err != nil {
			t.Fatal(err)
		}
		return h
	}
	client, server := open(), open()
	if err := server.Serve(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if err := server.Serve(t.Context(), m); err == nil {
		t.Error("serving twice succeeded")
	}
	connect(t, client, server)
	results := make(chan error)
	go func() {
		_, err := client.Confirm(t.Context(), server.ID(), testID, testPersistence)
		results <- err
	}()
	<-entered
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if err := <-results; !errors.Is(err, ErrUnavailable) {
		t.Errorf("request: got %v, want %v", err, ErrUnavailable)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if _, err := client.Confirm(t.Context(), server.ID(), testID, testPersistence); err == nil {
		t.Error("a closed host asks")
	}
	if err := server.Serve(t.Context(), m); err == nil {
		t.Error("a closed host serves")
	}
	goleak.VerifyNone(t, running)
}

// The streams of one peer are bounded. Its next stream is refused; other peers do not notice.
func TestTooManyStreams(t *testing.T) {
	few := func(c *Config) { c.Limits.StreamsPerPeer = 10 }
	greedy, server := serving(t, newMemory(), few, nil)
	modest := newHost(t, nil)
	connect(t, modest, server)
	var held []network.Stream
	refused := 0
	for range 30 {
		st, err := greedy.host.NewStream(t.Context(), server.ID(), protocolID("test", sliverProtocol))
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, st)
		st.SetDeadline(time.Now().Add(time.Minute))
		r := requestFrame(t, readSliver(0, 10))
		if _, err := st.Write(r); err != nil {
			refused++
		} else if _, err := io.ReadFull(st, make([]byte, 10)); err != nil {
			refused++
		}
	}
	if refused != 20 {
		t.Errorf("%d of 30 streams refused, want 20", refused)
	}
	if _, err := greedy.Confirm(t.Context(), server.ID(), testID, testPersistence); !errors.Is(err, ErrBusy) {
		t.Errorf("one stream too many: got %v, want %v", err, ErrBusy)
	}
	if _, err := modest.Confirm(t.Context(), server.ID(), testID, testPersistence); err != nil {
		t.Errorf("other peer: %v", err)
	}
	for _, st := range held {
		st.Reset()
	}
}

// Many nodes and clients on one address, as in a devnet or behind one NAT, all get through.
func TestManyHostsOnOneAddress(t *testing.T) {
	server := newHost(t, nil)
	if err := server.Serve(t.Context(), newMemory()); err != nil {
		t.Fatal(err)
	}
	for range 40 {
		h := newHost(t, func(c *Config) { c.Listen = nil })
		connect(t, h, server)
		if _, err := h.Confirm(t.Context(), server.ID(), testID, testPersistence); err != nil {
			t.Fatal(err)
		}
	}
}

// The largest metadata goes both ways.
func TestLargeMetadata(t *testing.T) {
	m := newMemory()
	client, server := serving(t, m, nil, nil)
	want := pattern(MaxMetadata)
	for range 2 {
		if _, err := client.PutMetadata(t.Context(), server.ID(), testID, testToken, want); err != nil {
			t.Fatal(err)
		}
		got, err := client.Metadata(t.Context(), server.ID(), testID, MaxMetadata)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("got %d bytes, %v; want %d", len(got), err, len(want))
		}
	}
	if _, err := client.Metadata(t.Context(), server.ID(), testID, 1000); !errors.Is(err, ErrProtocol) {
		t.Errorf("more metadata than this network has: got %v, want %v", err, ErrProtocol)
	}
	if _, err := client.PutMetadata(t.Context(), server.ID(), testID, testToken, pattern(MaxMetadata+1)); !errors.Is(err, ErrBadRequest) {
		t.Errorf("metadata too long: got %v, want %v", err, ErrBadRequest)
	}
}

// Our own invalid requests do not reach the peer.
func TestRequestsAreChecked(t *testing.T) {
	client, server := serving(t, newMemory(), nil, nil)
	ctx, to := t.Context(), server.ID()
	nothing := func(io.Writer) error { return nil }
	for name, err := range map[string]error{
		"pair":        client.StorePairs(ctx, to, testID, testToken, []int{-1}, 10, nothing),
		"big pair":    client.StorePairs(ctx, to, testID, testToken, []int{65535}, 10, nothing),
		"no pairs":    client.StorePairs(ctx, to, testID, testToken, nil, 10, nothing),
		"many pairs":  client.StorePairs(ctx, to, testID, testToken, make([]int, MaxPairs+1), 10, nothing),
		"size":        client.StorePairs(ctx, to, testID, testToken, []int{1}, -1, nothing),
		"certificate": client.PutCertificate(ctx, to, make([]byte, MaxCertificate+1)),
		"axis":        func() error { _, err := client.FetchSliver(ctx, to, testID, 2, 0, 0, 1); return err }(),
		"index":       func() error { _, err := client.FetchSliver(ctx, to, testID, 0, -1, 0, 1); return err }(),
		"range":       func() error { _, err := client.FetchSliver(ctx, to, testID, 0, 0, 1<<62, 1<<62); return err }(),
		"targets":     func() error { _, err := client.Symbols(ctx, to, testID, 0, 0, nil, 2, 2); return err }(),
		"symbol size": func() error { _, err := client.Symbols(ctx, to, testID, 0, 0, []int{1}, 1<<40, 2); return err }(),
		"no slivers": func() error {
			_, err := client.SymbolParts(ctx, to, SymbolQuery{Targets: []int{1}, SymbolSize: 2, Length: 2})
			return err
		}(),
		"proof": func() error { _, err := client.Symbols(ctx, to, testID, 0, 0, []int{1}, 2, 17); return err }(),
		"page":  func() error { _, _, err := client.Certificates(ctx, to, testID, MaxCertificates+1); return err }(),
	} {
		if !errors.Is(err, ErrBadRequest) {
			t.Errorf("%s: got %v, want %v", name, err, ErrBadRequest)
		}
	}
}

// TestSymbolParts: of several slivers, parts without proofs, and proofs without symbols.
func TestSymbolParts(t *testing.T) {
	client, server := serving(t, newMemory(), nil, nil)
	q := SymbolQuery{Blob: testID, Slivers: []int{5, 0, 9}, Targets: []int{2, 1}, SymbolSize: testSymbol}
	for name, part := range map[string][3]int{
		"whole": {0, testSymbol, testProof}, "without proof": {0, testSymbol, 0}, "middle": {64, 10, 0}, "end": {64, testSymbol - 64, 0},
		"proof alone": {0, 0, testProof},
	} {
		q.Offset, q.Length, q.ProofLen = int64(part[0]), int64(part[1]), part[2]
		var want []shards.Symbol
		for range q.Slivers {
			for _, sym := range testSymbols(q.Targets) {
				want = append(want, shards.Symbol{Data: sym.Data[part[0]:][:part[1]], Proof: sym.Proof[:part[2]]})
			}
		}
		got, err := client.SymbolParts(t.Context(), server.ID(), q)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}
