package p2p

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"walrus/p2p/internal/wire"
	"walrus/shards"
)

// strict is a Backend that fails the test when an invalid request reaches it.
type strict struct {
	*memory
	t *testing.T
}

func (s strict) list(list []int) {
	seen := map[int]bool{}
	for _, i := range list {
		if i < 0 || i >= wire.MaxShards || seen[i] {
			s.t.Fatalf("list with %d", i)
		}
		seen[i] = true
	}
	if len(list) == 0 || len(list) > wire.MaxIndices {
		s.t.Fatalf("list of %d", len(list))
	}
}

func (s strict) PutMetadata(_ context.Context, _ peer.ID, _ shards.BlobID, _ []byte, size int64, read func() ([]byte, error)) ([]int, error) {
	metadata, err := read()
	if size > MaxMetadata || int64(len(metadata)) > size || err == nil && int64(len(metadata)) != size {
		s.t.Fatalf("metadata of %d bytes, %d announced: %v", len(metadata), size, err)
	}
	return []int{1}, err
}

func (s strict) StorePairs(_ context.Context, _ peer.ID, _ shards.BlobID, _ []byte, pairs []int, body Body, size int64) error {
	s.list(pairs)
	n, err := io.Copy(io.Discard, body)
	if size < 0 || n > size || err == nil && n != size {
		s.t.Fatalf("read %d of %d bytes: %v", n, size, err)
	}
	return err
}

func (s strict) OpenSliver(_ context.Context, _ shards.BlobID, axis shards.Axis, index int) (SliverReader, error) {
	if !axis.Valid() || index < 0 || index >= wire.MaxShards {
		s.t.Fatalf("%s sliver %d", axis, index)
	}
	return openSliver{bytes.NewReader(s.sliver)}, nil
}

func (s strict) Symbols(_ context.Context, r SymbolRequest, w io.Writer) error {
	s.list(r.Targets)
	s.list(r.Slivers)
	if !r.Axis.Valid() || len(r.Slivers) > MaxSlivers {
		s.t.Fatalf("%d %s slivers", len(r.Slivers), r.Axis)
	}
	if r.Offset < 0 || r.Length < 0 || r.Offset+r.Length > r.SymbolSize || r.SymbolSize > wire.MaxSliver {
		s.t.Fatalf("bytes [%d, %d) of %d", r.Offset, r.Offset+r.Length, r.SymbolSize)
	}
	return writeSymbols(r, w)
}

func (s strict) Leaves(_ context.Context, r LeafRequest) ([]shards.Opening, error) {
	if len(r.Targets) > 0 {
		s.list(r.Targets)
	}
	if !r.Axis.Valid() || r.Index < 0 || r.Index >= wire.MaxShards || len(r.Targets) > MaxLeaves {
		s.t.Fatalf("%d hashes of %s sliver %d", len(r.Targets), r.Axis, r.Index)
	}
	return testLeaves(r.Targets), nil
}

func (s strict) PutProof(_ context.Context, _ peer.ID, _ shards.BlobID, proof []byte) error {
	if len(proof) > MaxEvidence {
		s.t.Fatalf("proof of %d bytes", len(proof))
	}
	return nil
}

func (s strict) LineProof(_ context.Context, _ peer.ID, id shards.BlobID, axis shards.Axis, index int) (SliverReader, error) {
	return s.OpenSliver(s.t.Context(), id, axis, index)
}

func (s strict) Refute(_ context.Context, _ peer.ID, id shards.BlobID, axis shards.Axis, index int) ([]byte, error) {
	_, err := s.OpenSliver(s.t.Context(), id, axis, index)
	return nil, err
}

func (s strict) PutCertificate(_ context.Context, certificate []byte) error {
	if len(certificate) > MaxCertificate {
		s.t.Fatalf("certificate of %d bytes", len(certificate))
	}
	return nil
}

func (s strict) Certificates(ctx context.Context, after shards.BlobID, limit int) ([][]byte, bool, error) {
	if limit < 1 || limit > MaxCertificates {
		s.t.Fatalf("page of %d", limit)
	}
	return s.memory.Certificates(ctx, after, limit)
}

// FuzzServer feeds a stream of arbitrary bytes to the server. It must not panic, no invalid request may reach the
// Backend, and every reply must be well-formed.
func FuzzServer(f *testing.F) {
	for _, r := range []*wire.Request{
		putMetadata(3), storePairs(3, 1, 2), readSliver(5, 6),
		getSymbols(&wire.GetSymbols{Targets: []uint32{1, 2}, SymbolSize: testSymbol, ProofLen: testProof}),
		getSymbols(&wire.GetSymbols{Targets: []uint32{1, 2}, More: []uint32{3}, SymbolSize: testSymbol, Offset: 10, Length: 20}),
		{BlobId: testID[:], Op: &wire.Request_Confirm{}}, {BlobId: testID[:], Op: &wire.Request_GetBlobStatus{}},
		{Op: &wire.Request_GetNodeStatus{}}, {Payload: 3, Op: &wire.Request_PutCertificate{}},
		{BlobId: testID[:], Op: &wire.Request_ListCertificates{ListCertificates: &wire.ListCertificates{Limit: 3}}},
	} {
		b := append(requestFrame(f, r), "abc"[:r.GetPayload()]...)
		f.Add(b, false)
		f.Add(append(b, b...), true)
	}
	f.Fuzz(func(t *testing.T, sent []byte, node bool) {
		run := blobOperation
		if node {
			run = nodeOperation
		}
		m := newMemory()
		m.sliver = m.sliver[:10_000]
		s := newServer(strict{m, t}, DefaultLimits())
		var replies bytes.Buffer
		s.serve(t.Context(), &tape{recorded{bytes.NewReader(sent)}, &replies}, "peer", run)
		if len(s.gate.peers) != 0 {
			t.Error("a request is still counted")
		}
		for r := bufio.NewReader(&replies); ; {
			resp := new(wire.Response)
			err := wire.ReadHeader(r, resp)
			if err == io.EOF {
				return
			}
			if err != nil {
				t.Fatalf("reply: %v", err)
			}
			if resp.GetCode() == codeInternal {
				t.Fatalf("request %x gives an internal error", sent)
			}
			if n, err := r.Discard(int(resp.GetPayload())); err != nil {
				t.Fatalf("reply of %d bytes has %d", resp.GetPayload(), n)
			}
		}
	})
}

// tape is a recorded stream that keeps the bytes written to it.
type tape struct {
	recorded
	sent *bytes.Buffer
}

func (t *tape) Write(b []byte) (int, error) { return t.sent.Write(b) }

// fakeHost is a libp2p host that plays the same answer on every stream.
type fakeHost struct {
	host.Host
	answer []byte
}

func (h fakeHost) NewStream(context.Context, peer.ID, ...protocol.ID) (network.Stream, error) {
	return fakeStream{recorded: &recorded{bytes.NewReader(h.answer)}}, nil
}

func (h fakeHost) Network() network.Network { return fakeNetwork{} }

type fakeNetwork struct{ network.Network }

func (fakeNetwork) Connectedness(peer.ID) network.Connectedness { return network.Connected }

type fakeStream struct {
	network.Stream // nil: the rest is not used
	*recorded
}

func (s fakeStream) Read(b []byte) (int, error)         { return s.recorded.Read(b) }
func (s fakeStream) Write(b []byte) (int, error)        { return s.recorded.Write(b) }
func (s fakeStream) SetReadDeadline(d time.Time) error  { return nil }
func (s fakeStream) SetWriteDeadline(d time.Time) error { return nil }
func (s fakeStream) Close() error                       { return nil }
func (s fakeStream) Reset() error                       { return nil }

// FuzzAnswer answers every request with arbitrary bytes. The caller must not panic, and must accept only an answer that
// fits the request.
func FuzzAnswer(f *testing.F) {
	page := &wire.CertificatePage{Sizes: []uint32{1, 2}}
	for i := range everyOperation {
		for _, b := range [][]byte{
			frame(&wire.Response{}, nil), frame(&wire.Response{Code: 3, Error: "no"}, nil), frame(&wire.Response{Payload: 2}, []byte{1, 2}),
			frame(&wire.Response{Payload: 3, Result: &wire.Response_Certificates{Certificates: page}}, []byte{1, 2, 3}),
			frame(&wire.Response{Payload: 6, Result: &wire.Response_BlobStatus{BlobStatus: &wire.BlobStatus{Certificate: 3}}}, make([]byte, 6)),
			frame(&wire.Response{Payload: 2, Result: &wire.Response_NodeStatus{NodeStatus: &wire.NodeStatus{Version: "a"}}}, make([]byte, 2)),
			frame(&wire.Response{Payload: 3 * (testSymbol + 32*testProof)}, make([]byte, 3*(testSymbol+32*testProof))),
			frame(&wire.Response{Payload: 500_000, Result: &wire.Response_Sliver{Sliver: &wire.SliverInfo{Size: 600_000}}}, make([]byte, 100)),
		} {
			f.Add(i, b)
		}
	}
	f.Fuzz(func(t *testing.T, i int, answer []byte) {
		op := everyOperation[uint(i)%uint(len(everyOperation))]
		h := &Host{host: fakeHost{answer: answer}, cfg: Config{Limits: DefaultLimits()}, pool: newPool(time.Hour)}
		h.Content = Content{h, sliverProtocol}
		defer h.pool.close()
		got, err := op.call(t.Context(), h, "peer")
		if err != nil {
			return
		}
		switch got := got.(type) {
		case []byte:
			if op.name == "OpenSliver" && len(got) != 500_000 || len(got) > 500_000 {
				t.Errorf("%s: %d bytes", op.name, len(got))
			}
		case []shards.Symbol:
			if len(got) != 3 || len(got[2].Data) != testSymbol || len(got[2].Proof) != testProof {
				t.Errorf("symbols of other sizes")
			}
		case pageOf:
			if len(got.list) > 3 {
				t.Errorf("page of %d", len(got.list))
			}
		}
	})
}
