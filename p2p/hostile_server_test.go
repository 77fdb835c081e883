package p2p

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"walrus/p2p/internal/wire"
	"walrus/shards"
)

// frame encodes a response, valid or not, and its payload.
func frame(m proto.Message, payload []byte) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return append(append(binary.AppendUvarint(nil, uint64(len(b))), b...), payload...)
}

// answering opens a host and a client of it. The host reads a little of each stream, then sends the given bytes
// whatever the request.
func answering(t testing.TB, answer []byte, limits Limits) (client, server *Host) {
	t.Helper()
	server = newHost(t, nil)
	for _, name := range []string{sliverProtocol, nodeProtocol} {
		server.host.SetStreamHandler(protocolID("test", name), func(st network.Stream) {
			st.Read(make([]byte, 1))
			st.Write(answer)
			st.CloseWrite()
			io.Copy(io.Discard, st) // reads until the client ends the stream
			st.Reset()
		})
	}
	client = newHost(t, func(c *Config) { c.Limits = limits })
	connect(t, client, server)
	return client, server
}

// Dishonest answers end in an error at once, for every operation.
func TestHostileAnswers(t *testing.T) {
	ok := func(payload int, result *wire.Response) []byte {
		result.Payload = uint64(payload)
		return frame(result, make([]byte, payload))
	}
	page := func(sizes ...uint32) *wire.Response_Certificates {
		return &wire.Response_Certificates{Certificates: &wire.CertificatePage{Sizes: sizes}}
	}
	plain := map[string]bool{"one byte": true, "page too long": true}
	for name, answer := range map[string][]byte{
		"nothing":              {},
		"text":                 []byte("HTTP/1.1 400 Bad Request\r\n\r\nwho are you, and why do you talk like that?"),
		"endless length":       bytes.Repeat([]byte{0xff}, 100),
		"header too long":      append(binary.AppendUvarint(nil, 1<<20), make([]byte, 1<<20)...),
		"header ends early":    {0x40, 1, 2, 3},
		"error with payload":   frame(&wire.Response{Code: 1, Payload: 3}, []byte("abc")),
		"text without error":   frame(&wire.Response{Error: "fine"}, nil),
		"long error text":      frame(&wire.Response{Code: 1, Error: string(bytes.Repeat([]byte("a"), 1000))}, nil),
		"huge payload":         frame(&wire.Response{Payload: 1 << 62}, nil),
		"negative payload":     frame(&wire.Response{Payload: 1 << 63}, nil),
		"too much":             ok(10<<20, &wire.Response{}),
		"one byte":             ok(1, &wire.Response{}),
		"sliver too short":     ok(500_000, &wire.Response{Result: &wire.Response_Sliver{Sliver: &wire.SliverInfo{Size: 5}}}),
		"sliver cut":           frame(&wire.Response{Payload: 500_000, Result: &wire.Response_Sliver{Sliver: &wire.SliverInfo{Size: 1 << 20}}}, make([]byte, 1000)),
		"symbols cut":          frame(&wire.Response{Payload: 3 * (testSymbol + 32*testProof)}, make([]byte, 150)),
		"empty page with more": frame(&wire.Response{Result: &wire.Response_Certificates{Certificates: &wire.CertificatePage{More: true}}}, nil),
		"page too long":        ok(4, &wire.Response{Result: page(1, 1, 1, 1)}),
		"page does not add up": ok(4, &wire.Response{Result: page(1, 1)}),
		"page cut":             frame(&wire.Response{Payload: 30, Result: page(15, 15)}, make([]byte, 20)),
		"big certificate":      ok(MaxCertificate+1, &wire.Response{Result: page(MaxCertificate + 1)}),
		"status does not fit":  ok(5, &wire.Response{Result: &wire.Response_BlobStatus{BlobStatus: &wire.BlobStatus{Certificate: 6}}}),
		"status cut":           frame(&wire.Response{Payload: 30, Result: &wire.Response_BlobStatus{BlobStatus: &wire.BlobStatus{}}}, make([]byte, 5)),
		"many incidents":       frame(&wire.Response{Result: &wire.Response_NodeStatus{NodeStatus: &wire.NodeStatus{Incidents: make([]string, 65)}}}, nil),
		"long incident":        frame(&wire.Response{Result: &wire.Response_NodeStatus{NodeStatus: &wire.NodeStatus{Incidents: []string{string(make([]byte, 300))}}}}, nil),
		"long refusal":         frame(&wire.Response{Result: &wire.Response_NodeStatus{NodeStatus: &wire.NodeStatus{Refuses: string(make([]byte, 300))}}}, nil),
		"long reach":           frame(&wire.Response{Result: &wire.Response_NodeStatus{NodeStatus: &wire.NodeStatus{Reach: string(make([]byte, 300))}}}, nil),
		"long word of others":  frame(&wire.Response{Result: &wire.Response_NodeStatus{NodeStatus: &wire.NodeStatus{Seen: string(make([]byte, 300))}}}, nil),
		"odd list of shards":   ok(3, &wire.Response{Result: &wire.Response_NodeStatus{NodeStatus: &wire.NodeStatus{}}}),
	} {
		t.Run(name, func(t *testing.T) {
			client, server := answering(t, answer, DefaultLimits())
			start := time.Now()
			for _, op := range everyOperation {
				got, err := op.call(t.Context(), client, server.ID())
				if err == nil && plain[name] && (op.name == "PutMetadata" || op.name == "Confirm" || op.name == "Refute" || op.name == "Metadata" || op.name == "Certificate") {
					continue // its answer may be a few bytes of any kind
				}
				if !errors.Is(err, ErrProtocol) && !errors.Is(err, ErrUnavailable) {
					t.Errorf("%s: got %.100v, %v; want %v or %v", op.name, got, err, ErrProtocol, ErrUnavailable)
				}
			}
			if d := time.Since(start); d > DefaultLimits().ResponseTimeout {
				t.Errorf("took %v", d)
			}
		})
	}
}

func TestHostileErrorText(t *testing.T) {
	client, server := answering(t, frame(&wire.Response{Code: 200, Error: "\x1b[2J\r\nroot@host# \u202e"}, nil), DefaultLimits())
	for _, op := range everyOperation {
		_, err := op.call(t.Context(), client, server.ID())
		if !errors.Is(err, ErrInternal) {
			t.Errorf("%s: got %v, want an unknown code to be %v", op.name, err, ErrInternal)
		}
		for _, r := range err.Error() {
			if r < ' ' || r == '\u202e' {
				t.Errorf("%s: %q has control characters", op.name, err)
			}
		}
	}
}

// TestHostileNumbers wants a node's numbers cut to a size at which sums over all nodes do not overflow.
func TestHostileNumbers(t *testing.T) {
	const huge = math.MaxUint64
	answer := frame(&wire.Response{Result: &wire.Response_NodeStatus{NodeStatus: &wire.NodeStatus{
		Blobs: huge, Slivers: huge, Owed: huge, Corrupt: huge, DiskBytes: huge, LedgerHeight: huge,
		DiskLimit: huge, DiskFree: huge, DiskReserve: huge,
	}}}, nil)
	client, server := answering(t, answer, DefaultLimits())
	s, err := client.NodeStatus(t.Context(), server.ID())
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range []uint64{s.Blobs, s.Slivers, s.Owed, s.Corrupt, s.DiskBytes, s.Height, s.DiskLimit, s.DiskFree, s.DiskReserve} {
		if n != maxStated {
			t.Errorf("number %d is %d, want %d", i, n, uint64(maxStated))
		}
	}
}

// The reader of a truncated sliver gets the bytes sent, then an unexpected end.
func TestTruncatedSliver(t *testing.T) {
	answer := frame(&wire.Response{Payload: 5000, Result: &wire.Response_Sliver{Sliver: &wire.SliverInfo{Size: 5000}}}, make([]byte, 4000))
	client, server := answering(t, answer, DefaultLimits())
	r, err := client.FetchSliver(t.Context(), server.ID(), testID, shards.Primary, 0, 0, 5000)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if len(b) != 4000 || !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %d bytes, %v; want 4000 and %v", len(b), err, io.ErrUnexpectedEOF)
	}
}

// A sliver that cannot be read further on the node's disk is cut, not padded.
func TestSliverBreaksOnDisk(t *testing.T) {
	broken := &brokenSliver{size: 1 << 20, good: 700_000}
	client, server := serving(t, broken, nil, nil)
	r, err := client.FetchSliver(t.Context(), server.ID(), testID, shards.Primary, 0, 0, broken.size)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, r); n > broken.good || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %d bytes, %v; want at most %d and %v", n, err, broken.good, io.ErrUnexpectedEOF)
	}
	r.Close()
	broken.good = 10 // at the start, the node can still report it
	if _, err := client.FetchSliver(t.Context(), server.ID(), testID, shards.Primary, 0, 0, broken.size); !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v, want %v", err, ErrCorrupt)
	}
}

// brokenSliver is a Backend with slivers of which only the first good bytes can be read.
type brokenSliver struct {
	Backend
	size, good int64
}

func (b *brokenSliver) OpenSliver(context.Context, shards.BlobID, shards.Axis, int) (SliverReader, error) {
	return b, nil
}
func (b *brokenSliver) Size() int64  { return b.size }
func (b *brokenSliver) Close() error { return nil }
func (b *brokenSliver) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.good {
		return 0, ErrCorrupt
	}
	return len(p), nil
}

// late is a Backend that reads a part of each upload, and then refuses it. With wake it lets another goroutine end the
// upload.
type late struct {
	*memory
	part int64
	wake bool
}

func (l late) StorePairs(_ context.Context, _ peer.ID, _ shards.BlobID, _ []byte, _ []int, body Body, _ int64) error {
	if _, err := io.CopyN(io.Discard, body, l.part); err != nil {
		return err
	}
	if !l.wake {
		return ErrSpent
	}
	time.AfterFunc(100*time.Millisecond, func() { body.End(fmt.Errorf("%w: too slow", ErrSpent)) })
	_, err := io.Copy(io.Discard, body)
	return err
}

// A refusal ends an upload, however many bytes are left. Before a large upload the peer hears it without a byte sent,
// and the stream is used again.
func TestRefusalEndsUpload(t *testing.T) {
	for _, transport := range []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"} {
		m := newMemory()
		m.on(func(context.Context, string) error { return ErrNotRegistered })
		only := func(c *Config) { c.Listen = []string{transport} }
		for name, c := range map[string]struct {
			backend Backend
			size    int64
			silent  bool // after the part that the backend reads
			want    error
			most    int64
		}{
			"offer":       {m, 1 << 40, false, ErrNotRegistered, 0},
			"small":       {m, InlinePairs, false, ErrNotRegistered, InlinePairs},
			"late":        {late{m, 1 << 20, false}, 1 << 40, false, ErrSpent, 64 << 20},
			"ended":       {late{m, 1 << 20, true}, 1 << 40, true, ErrSpent, 1 << 20},
			"small ended": {late{m, 1 << 10, true}, InlinePairs, true, ErrSpent, 1 << 10},
		} {
			client, server := serving(t, c.backend, only, only)
			for range 3 {
				written := int64(0)
				start := time.Now()
				err := client.StorePairs(t.Context(), server.ID(), testID, testToken, []int{1}, c.size, func(w io.Writer) error {
					b := make([]byte, 1<<10)
					for written < c.size && !(c.silent && written == c.most) {
						n, err := w.Write(b)
						written += int64(n)
						if err != nil {
							return err
						}
					}
					if c.silent {
						if f, ok := w.(interface{ Flush() error }); ok {
							_ = f.Flush()
						}
						<-time.After(300 * time.Millisecond)
						_, err := w.Write(make([]byte, min(256<<10, c.size-written)))
						return err
					}
					return nil
				})
				if !errors.Is(err, c.want) {
					t.Errorf("%s: got %v, want %v", name, err, c.want)
				}
				if d := time.Since(start); d > time.Minute || written > c.most {
					t.Errorf("%s: took %v and %d bytes", name, d, written)
				}
			}
			if n := idle(client, server.ID()); name == "offer" && n != 3 {
				t.Errorf("%d streams are kept after refusals", n)
			}
		}
	}
}

// idle counts the idle streams to a peer.
func idle(h *Host, to peer.ID) int {
	h.pool.mu.Lock()
	defer h.pool.mu.Unlock()
	return len(h.pool.idle[target{to, sliverProtocol}])
}

// An error of the function that writes an upload comes back unchanged. The function must write the announced size.
func TestUploadBodyFails(t *testing.T) {
	client, server := serving(t, newMemory(), nil, nil)
	mine := errors.New("disk gone")
	for want, body := range map[string]func(w io.Writer) error{
		"disk gone": func(w io.Writer) error { w.Write(make([]byte, 100)); return mine },
		"body ended 900 bytes early": func(w io.Writer) error {
			_, err := w.Write(make([]byte, 100))
			return err
		},
		"body is longer than announced": func(w io.Writer) error {
			_, err := w.Write(make([]byte, 1001))
			return err
		},
	} {
		err := client.StorePairs(t.Context(), server.ID(), testID, testToken, []int{1}, 1000, body)
		if err == nil || !bytes.Contains([]byte(err.Error()), []byte(want)) || errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := client.Confirm(t.Context(), server.ID(), testID, testPersistence); err != nil {
		t.Errorf("after failed uploads: %v", err)
	}
}
