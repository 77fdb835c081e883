package p2p

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"walrus/p2p/internal/wire"
	"walrus/shards"
)

// pipe is a stream in memory. Its deadlines follow virtual time.
type pipe struct{ net.Conn }

func (p pipe) Reset() error { return p.Close() }

func newServer(b Backend, l Limits) *server {
	return &server{backend: b, content: b, limits: &l, gate: newGate(l, anybody), pacer: newPacer(), log: quiet}
}

// begin serves one stream. It returns the client's end, and a channel closed when the server is done with the stream.
func begin(t *testing.T, s *server, run operations) (net.Conn, <-chan struct{}) {
	t.Helper()
	mine, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.serve(t.Context(), pipe{theirs}, "peer", run)
	}()
	return mine, done
}

func requestFrame(t testing.TB, r *wire.Request) []byte {
	t.Helper()
	b, err := proto.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.AppendUvarint(nil, uint64(len(b))), b...)
}

func putMetadata(payload uint64) *wire.Request {
	return &wire.Request{Payload: payload, BlobId: testID[:], Op: &wire.Request_PutMetadata{PutMetadata: &wire.PutMetadata{}}}
}

func storePairs(payload uint64, pairs ...uint32) *wire.Request {
	return &wire.Request{Payload: payload, BlobId: testID[:], Op: &wire.Request_StorePairs{StorePairs: &wire.StorePairs{Pairs: pairs}}}
}

func readSliver(offset, length uint64) *wire.Request {
	return &wire.Request{BlobId: testID[:], Op: &wire.Request_ReadSliver{ReadSliver: &wire.ReadSliver{Offset: offset, Length: length}}}
}

func getSymbols(g *wire.GetSymbols) *wire.Request {
	return &wire.Request{BlobId: testID[:], Op: &wire.Request_GetSymbols{GetSymbols: g}}
}

// A request that breaks the rules is refused at once.
func TestBadRequests(t *testing.T) {
	id := testID[:]
	for name, sent := range map[string][]byte{
		"text":                  []byte("GET / HTTP/1.1\r\nHost: somewhere.example.org\r\nUser-Agent: some browser or other\r\n\r\n"),
		"endless length":        bytes.Repeat([]byte{0xff}, 16),
		"header too long":       binary.AppendUvarint(nil, wire.MaxHeader+1),
		"empty":                 requestFrame(t, &wire.Request{}),
		"unknown operation":     {3, 0xfa, 1, 0}, // field 31, no bytes
		"short ID":              requestFrame(t, &wire.Request{BlobId: id[:31], Op: &wire.Request_Confirm{Confirm: &wire.Confirm{}}}),
		"no ID":                 requestFrame(t, &wire.Request{Op: &wire.Request_Confirm{Confirm: &wire.Confirm{}}}),
		"ID too many":           requestFrame(t, &wire.Request{BlobId: id, Op: &wire.Request_GetNodeStatus{GetNodeStatus: &wire.GetNodeStatus{}}}),
		"payload too many":      requestFrame(t, &wire.Request{BlobId: id, Payload: 1, Op: &wire.Request_Confirm{Confirm: &wire.Confirm{}}}),
		"short object":          requestFrame(t, &wire.Request{BlobId: id, Op: &wire.Request_Confirm{Confirm: &wire.Confirm{Object: id[:31]}}}),
		"metadata too long":     requestFrame(t, putMetadata(wire.MaxMetadata+1)),
		"negative payload":      requestFrame(t, storePairs(1<<63, 1)),
		"no pairs":              requestFrame(t, storePairs(10)),
		"pair twice":            requestFrame(t, storePairs(10, 4, 5, 4)),
		"pair out of range":     requestFrame(t, storePairs(10, 65535)),
		"offset out of range":   requestFrame(t, readSliver(1<<63, 1)),
		"length out of range":   requestFrame(t, readSliver(1, 1<<63)),
		"beyond the sliver":     requestFrame(t, readSliver(1<<20-5, 6)),
		"offset beyond":         requestFrame(t, readSliver(1<<20+1, 0)),
		"third axis":            requestFrame(t, &wire.Request{BlobId: id, Op: &wire.Request_ReadSliver{ReadSliver: &wire.ReadSliver{Axis: 2}}}),
		"no targets":            requestFrame(t, getSymbols(&wire.GetSymbols{SymbolSize: 2})),
		"empty symbols":         requestFrame(t, getSymbols(&wire.GetSymbols{Targets: []uint32{1}})),
		"huge symbols":          requestFrame(t, getSymbols(&wire.GetSymbols{Targets: []uint32{1}, SymbolSize: 1 << 60})),
		"too many symbols":      requestFrame(t, getSymbols(&wire.GetSymbols{Targets: []uint32{1, 2, 3}, SymbolSize: wire.MaxSymbols / 2})),
		"sliver twice":          requestFrame(t, getSymbols(&wire.GetSymbols{Targets: []uint32{1}, More: []uint32{3, 0}, SymbolSize: 2})),
		"too many slivers":      requestFrame(t, getSymbols(&wire.GetSymbols{Targets: []uint32{1}, More: manyIndices(wire.MaxSlivers), SymbolSize: 2})),
		"offset in no symbol":   requestFrame(t, getSymbols(&wire.GetSymbols{Targets: []uint32{1}, SymbolSize: 2, Offset: 3})),
		"part in no symbol":     requestFrame(t, getSymbols(&wire.GetSymbols{Targets: []uint32{1}, SymbolSize: 8, Offset: 4, Length: 5})),
		"part that overflows":   requestFrame(t, getSymbols(&wire.GetSymbols{Targets: []uint32{1}, SymbolSize: 8, Offset: 4, Length: 1<<64 - 4})),
		"proof of a part":       requestFrame(t, getSymbols(&wire.GetSymbols{Targets: []uint32{1}, SymbolSize: 8, Offset: 4, ProofLen: 3})),
		"nothing of a symbol":   requestFrame(t, getSymbols(&wire.GetSymbols{Targets: []uint32{1}, SymbolSize: 8, Offset: 8})),
		"too many in all":       requestFrame(t, getSymbols(&wire.GetSymbols{Targets: []uint32{1, 2}, More: []uint32{1, 2}, SymbolSize: wire.MaxSymbols / 5})),
		"long proofs":           requestFrame(t, getSymbols(&wire.GetSymbols{Targets: []uint32{1}, SymbolSize: 2, ProofLen: 17})),
		"other size of symbols": requestFrame(t, getSymbols(&wire.GetSymbols{Targets: []uint32{1}, SymbolSize: testSymbol + 1, ProofLen: testProof})),
		"other protocol":        requestFrame(t, &wire.Request{Op: &wire.Request_GetNodeStatus{GetNodeStatus: &wire.GetNodeStatus{}}}),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st, done := begin(t, newServer(newMemory(), DefaultLimits()), blobOperation)
				start := time.Now()
				go st.Write(sent)
				resp := new(wire.Response)
				if err := wire.ReadHeader(bufio.NewReader(st), resp); err != nil || codes[resp.GetCode()] != ErrBadRequest || resp.GetError() == "" {
					t.Errorf("got %v, %v; want a reason why it is a %v", resp, err, ErrBadRequest)
				}
				if d := time.Since(start); d > 0 {
					t.Errorf("took %v of virtual time", d)
				}
				st.Close()
				<-done
			})
		})
	}
}

// manyIndices lists the numbers from 1 on.
func manyIndices(count int) (list []uint32) {
	for i := range count {
		list = append(list, uint32(i+1))
	}
	return list
}

// A peer that stalls, at any point, is cut off in bounded time.
func TestSlowPeers(t *testing.T) {
	l := DefaultLimits()
	for name, c := range map[string]struct {
		send  []byte
		every time.Duration // between the bytes of drip; 0: none arrive
		most  time.Duration
	}{
		"says nothing":           {nil, 0, l.HeaderTimeout},
		"header stops":           {requestFrame(t, putMetadata(10))[:20], 0, l.HeaderTimeout},
		"header drips":           {requestFrame(t, putMetadata(10))[:3], time.Second, l.HeaderTimeout},
		"long header stops":      {append(binary.AppendUvarint(nil, 60<<10), make([]byte, 50<<10)...), 0, l.HeaderTimeout},
		"metadata stop":          {append(requestFrame(t, putMetadata(wire.MaxMetadata)), 1, 2), 0, uploadPatience * l.ProgressTime},
		"metadata drip":          {requestFrame(t, putMetadata(wire.MaxMetadata)), time.Second, uploadPatience * l.ProgressTime},
		"pairs stop":             {append(requestFrame(t, storePairs(1<<30, 1)), make([]byte, 100<<10)...), 0, 2 * uploadPatience * l.ProgressTime},
		"pairs drip":             {requestFrame(t, storePairs(1<<20, 1)), time.Second, uploadPatience * l.ProgressTime},
		"does not read":          {requestFrame(t, readSliver(0, 1<<20)), 0, l.ProgressTime},
		"does not read refusals": {bytes.Repeat([]byte{0xff}, 3), 0, l.ProgressTime},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				st, done := begin(t, newServer(m, l), blobOperation)
				start := time.Now()
				var sender sync.WaitGroup
				sender.Go(func() {
					st.Write(c.send)
					for err := error(nil); c.every > 0 && err == nil; _, err = st.Write([]byte{0x80}) {
						time.Sleep(c.every)
					}
				})
				<-done
				if d := time.Since(start); d > c.most+time.Second {
					t.Errorf("cut off after %v, want at most %v", d, c.most)
				}
				st.Close()
				sender.Wait()
			})
		})
	}
}

// The context of a stalling Backend ends, and its peer gets an answer.
func TestSlowBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := DefaultLimits()
		m := newMemory()
		m.on(func(ctx context.Context, _ string) error {
			<-ctx.Done()
			return fmt.Errorf("read index: %w", ctx.Err())
		})
		st, done := begin(t, newServer(m, l), blobOperation)
		start := time.Now()
		go st.Write(requestFrame(t, &wire.Request{BlobId: testID[:], Op: &wire.Request_Confirm{}}))
		resp := new(wire.Response)
		if err := wire.ReadHeader(bufio.NewReader(st), resp); err != nil || codes[resp.GetCode()] != ErrUnavailable {
			t.Errorf("got %v, %v; want %v", resp, err, ErrUnavailable)
		}
		if d := time.Since(start); d != l.ResponseTimeout {
			t.Errorf("answered after %v, want %v", d, l.ResponseTimeout)
		}
		st.Close()
		<-done
	})
}

// A refusal keeps the stream open where the rest of the request is cheap to skip.
func TestStreamSurvivesErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.on(func(_ context.Context, op string) error {
			if op == "PutMetadata" {
				return ErrNotRegistered
			}
			return nil
		})
		st, done := begin(t, newServer(m, DefaultLimits()), blobOperation)
		r := bufio.NewReader(st)
		for range 3 {
			for _, c := range []struct {
				req  *wire.Request
				body []byte
				want error
			}{
				{putMetadata(5), []byte("12345"), ErrNotRegistered},
				{&wire.Request{Op: &wire.Request_GetNodeStatus{}}, nil, ErrBadRequest},
				{&wire.Request{BlobId: testID[:], Op: &wire.Request_GetMetadata{}}, nil, ErrNotFound},
			} {
				go st.Write(append(requestFrame(t, c.req), c.body...))
				resp := new(wire.Response)
				if err := wire.ReadHeader(r, resp); err != nil || codes[resp.GetCode()] != c.want {
					t.Fatalf("got %v, %v; want %v", resp, err, c.want)
				}
			}
		}
		st.Close()
		<-done
	})
}

// Announced bytes cost the server nothing: memory grows only with bytes that arrive.
func TestPromisesAreNotAllocated(t *testing.T) {
	l := DefaultLimits()
	long := &wire.NodeStatus{Incidents: make([]string, 30_000)} // far too many, in a header of 60 KB
	for name, c := range map[string]struct {
		send []byte
		most uint64
	}{
		"header":    {append(binary.AppendUvarint(nil, wire.MaxHeader), 1, 2, 3), 128 << 10},
		"metadata":  {append(requestFrame(t, putMetadata(wire.MaxMetadata)), 1, 2, 3), 256 << 10},
		"pairs":     {append(requestFrame(t, storePairs(1<<62, 1)), 1, 2, 3), 128 << 10},
		"symbols":   {requestFrame(t, getSymbols(&wire.GetSymbols{Targets: []uint32{1}, SymbolSize: wire.MaxSymbols})), 128 << 10},
		"tiny list": {frame(&wire.Response{Result: &wire.Response_NodeStatus{NodeStatus: long}}, nil), 4 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			const runs = 20
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range runs {
				s := newServer(refusing{}, l)
				s.serve(t.Context(), &recorded{Reader: bytes.NewReader(c.send)}, "peer", blobOperation)
				wire.ReadHeader(bufio.NewReader(bytes.NewReader(c.send)), new(wire.Response))
			}
			runtime.ReadMemStats(&after)
			if got := (after.TotalAlloc - before.TotalAlloc) / runs; got > c.most {
				t.Errorf("%d bytes allocated, want at most %d", got, c.most)
			}
		})
	}
}

// refusing is a Backend that reads nothing.
type refusing struct{ Backend }

func (refusing) StorePairs(context.Context, peer.ID, shards.BlobID, []byte, []int, Body, int64) error {
	return ErrNotRegistered
}

func (refusing) Symbols(context.Context, SymbolRequest, io.Writer) error { return ErrNotFound }

// recorded is a stream that plays the bytes of a peer and forgets everything written to it.
type recorded struct{ io.Reader }

func (*recorded) Write(b []byte) (int, error)      { return len(b), nil }
func (*recorded) SetReadDeadline(time.Time) error  { return nil }
func (*recorded) SetWriteDeadline(time.Time) error { return nil }
func (*recorded) Close() error                     { return nil }
func (*recorded) Reset() error                     { return nil }

// A peer's requests beyond its share are refused as busy after the header. Another peer's requests are served.
func TestBusy(t *testing.T) {
	m := newMemory()
	release := make(chan struct{})
	entered := make(chan struct{}, 10)
	m.on(func(ctx context.Context, op string) error {
		if op == "Confirm" {
			entered <- struct{}{}
			<-release
		}
		return nil
	})
	greedy, server := serving(t, m, func(c *Config) { c.Limits.RequestsPerPeer = 3 }, nil)
	modest := newHost(t, nil)
	connect(t, modest, server)
	results := make(chan error)
	hold := func(h *Host) {
		go func() {
			_, err := h.Confirm(t.Context(), server.ID(), testID, testPersistence)
			results <- err
		}()
		<-entered
	}
	for range 3 {
		hold(greedy)
	}
	for _, op := range everyOperation {
		start := time.Now()
		if _, err := op.call(t.Context(), greedy, server.ID()); !errors.Is(err, ErrBusy) {
			t.Errorf("%s: got %v, want %v", op.name, err, ErrBusy)
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("%s: was refused after %v", op.name, d)
		}
	}
	if _, err := modest.NodeStatus(t.Context(), server.ID()); err != nil {
		t.Errorf("other peer: %v", err)
	}
	close(release)
	for range 3 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if _, err := greedy.NodeStatus(t.Context(), server.ID()); err != nil {
		t.Errorf("after all are done: %v", err)
	}
}

func TestGate(t *testing.T) {
	l := DefaultLimits()
	l.Requests, l.RequestsPerPeer, l.Bytes, l.BytesPerPeer = 40, 2, 1000, 60
	g := newGate(l, anybody)
	for i, step := range []struct {
		peer  peer.ID
		cost  int64
		leave bool
		ok    bool
	}{
		{"a", 40, false, true},
		{"a", 30, false, false}, // bytes of a
		{"a", 20, false, true},
		{"a", 0, false, false}, // requests of a
		{"b", 10_000, false, true},
		{"b", 1, false, false}, // that counted as 60
		{"a", 40, true, true},
		{"a", 20, true, true},
		{"b", 10_000, true, true},
	} {
		if step.leave {
			g.leave(step.peer, step.cost)
		} else if ok := g.enter(step.peer, step.cost); ok != step.ok {
			t.Fatalf("step %d: admitted %v, want %v", i, ok, step.ok)
		}
	}
	if len(g.peers) != 0 || g.now != [classes]load{} {
		t.Errorf("empty gate holds %+v of %d peers", g.now, len(g.peers))
	}
}

// Twenty greedy peers, one after the other, leave room for the next.
func TestGateIsFair(t *testing.T) {
	l := DefaultLimits()
	for _, cost := range []int64{0, writeSize, 1 << 20} {
		g := newGate(l, anybody)
		for k := range 21 {
			id := peer.ID(rune('A' + k))
			got := 0
			for g.enter(id, cost) {
				got++
			}
			if got == 0 || got > l.RequestsPerPeer {
				t.Fatalf("cost %d: peer %d got %d requests in", cost, k, got)
			}
			if g.now[stranger].requests > l.Requests || g.now[stranger].bytes > l.Bytes {
				t.Fatalf("cost %d: %+v are inside", cost, g.now)
			}
		}
	}
}

// TestMetadataIsReadLast: metadata that the Backend refuses by the header is not read.
func TestMetadataIsReadLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.on(func(_ context.Context, op string) error { return ErrDenied })
		st, done := begin(t, newServer(m, DefaultLimits()), blobOperation)
		start := time.Now()
		go st.Write(requestFrame(t, putMetadata(MaxMetadata))) // and nothing more
		resp := new(wire.Response)
		if err := wire.ReadHeader(bufio.NewReader(st), resp); err != nil || codes[resp.GetCode()] != ErrDenied {
			t.Errorf("got %v, %v; want %v", resp, err, ErrDenied)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("refused after %v", took)
		}
		st.Close()
		<-done
	})
}
