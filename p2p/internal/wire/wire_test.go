package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"google.golang.org/protobuf/proto"
)

var id = bytes.Repeat([]byte{7}, HashSize)

// requests returns one request of each kind, with every field set.
func requests() []*Request {
	return []*Request{
		{Payload: 9, BlobId: id, Op: &Request_PutMetadata{PutMetadata: &PutMetadata{}}},
		{Payload: 1 << 40, BlobId: id, Op: &Request_StorePairs{StorePairs: &StorePairs{Pairs: []uint32{65534, 0, 3}}}},
		{BlobId: id, Op: &Request_Confirm{Confirm: &Confirm{}}},
		{BlobId: id, Op: &Request_Confirm{Confirm: &Confirm{Object: id}}},
		{BlobId: id, Op: &Request_GetMetadata{GetMetadata: &GetMetadata{}}},
		{BlobId: id, Op: &Request_ReadSliver{ReadSliver: &ReadSliver{Axis: 1, Index: 65534, Offset: MaxSliver, Length: MaxSliver}}},
		{BlobId: id, Op: &Request_GetSymbols{GetSymbols: &GetSymbols{Axis: 1, Index: 3, Targets: []uint32{9, 1}, SymbolSize: 64, ProofLen: MaxProof}}},
		{BlobId: id, Op: &Request_GetSymbols{GetSymbols: &GetSymbols{Targets: []uint32{9}, SymbolSize: 1 << 40, More: []uint32{4}, Offset: 1 << 20, Length: 1 << 20}}},
		{BlobId: id, Op: &Request_GetLeaves{GetLeaves: &GetLeaves{Axis: 1, Index: 3, Targets: []uint32{9, 1}}}},
		{BlobId: id, Op: &Request_GetLeaves{GetLeaves: &GetLeaves{Index: 3}}},
		{Payload: MaxEvidence, BlobId: id, Op: &Request_PutProof{PutProof: &PutProof{}}},
		{BlobId: id, Op: &Request_GetLineProof{GetLineProof: &GetLineProof{Axis: 1, Index: 3}}},
		{BlobId: id, Op: &Request_Refute{Refute: &Refute{Axis: 1, Index: 3}}},
		{BlobId: id, Op: &Request_GetBlobStatus{GetBlobStatus: &GetBlobStatus{}}},
		{Op: &Request_GetNodeStatus{GetNodeStatus: &GetNodeStatus{}}},
		{Op: &Request_GetNodeHistory{GetNodeHistory: &GetNodeHistory{}}},
		{BlobId: id, Op: &Request_GetCertificate{GetCertificate: &GetCertificate{}}},
		{Payload: MaxCertificate, Op: &Request_PutCertificate{PutCertificate: &PutCertificate{}}},
		{BlobId: id, Op: &Request_ListCertificates{ListCertificates: &ListCertificates{Limit: MaxCertificates}}},
	}
}

func responses() []*Response {
	return []*Response{
		{},
		{Payload: math.MaxInt64},
		{Code: 3, Error: strings.Repeat("x", MaxErrorText)},
		{Payload: 5, Result: &Response_Sliver{Sliver: &SliverInfo{Size: MaxSliver}}},
		{Payload: 106, Result: &Response_BlobStatus{BlobStatus: &BlobStatus{Metadata: true, Certificate: 100}}},
		{Payload: 4, Result: &Response_NodeStatus{NodeStatus: &NodeStatus{
			Version: "1", State: "serving", Epoch: 1, Blobs: 2, Slivers: 3, Owed: 4, Corrupt: 5, DiskBytes: 6, UptimeSeconds: 7, Peers: 8,
			Incidents: []string{strings.Repeat("x", MaxStatusText)}, RepairedPerHour: 13, RepairSecondsLeft: 14, LedgerHeight: 9, Ledger: strings.Repeat("x", MaxStatusText),
			Refuses: strings.Repeat("x", MaxStatusText), Invalid: 13, DiskLimit: 10, DiskFree: 11, DiskReserve: 12,
			Addresses: []string{strings.Repeat("x", MaxStatusText)},
		}}},
		{Payload: 30, Result: &Response_Certificates{Certificates: &CertificatePage{Sizes: []uint32{10, 20}, More: true}}},
	}
}

func TestRoundTrip(t *testing.T) {
	var stream []byte
	var want []Message
	for _, m := range requests() {
		want = append(want, m)
	}
	for _, m := range responses() {
		want = append(want, m)
	}
	for _, m := range want {
		if err := m.Validate(); err != nil {
			t.Fatalf("%v: %v", m, err)
		}
		var err error
		if stream, err = AppendHeader(stream, m); err != nil {
			t.Fatal(err)
		}
	}
	for name, source := range map[string]io.Reader{
		"whole": bytes.NewReader(stream), "byte by byte": iotest.OneByteReader(bytes.NewReader(stream)),
	} {
		r := bufio.NewReader(source)
		for _, m := range want {
			got := m.ProtoReflect().New().Interface().(Message)
			if err := ReadHeader(r, got); err != nil || !proto.Equal(got, m) {
				t.Fatalf("%s: got %v, %v; want %v", name, got, err, m)
			}
		}
		if err := ReadHeader(r, new(Request)); err != io.EOF {
			t.Errorf("%s: got %v at the end, want %v", name, err, io.EOF)
		}
	}
}

// Every operation has its rules and its bounds. They also work without the operation's message.
func TestEveryOperationIsBounded(t *testing.T) {
	fields := new(Request).ProtoReflect().Descriptor().Oneofs().ByName("op").Fields()
	for i := range fields.Len() {
		r := new(Request)
		m := r.ProtoReflect()
		m.Set(fields.Get(i), m.NewField(fields.Get(i)))
		if _, ok := r.GetOp().(operation); !ok {
			t.Errorf("%s has no validate and bounds", fields.Get(i).Name())
		}
	}
	for _, r := range requests() {
		if bounds := r.Bounds(); r.GetPayload() > bounds.Payload || bounds.Blob != (len(r.GetBlobId()) > 0) {
			t.Errorf("%v has the bounds %+v", r, bounds)
		}
		r.Payload = r.Bounds().Payload + 1
		if err := r.Validate(); err == nil {
			t.Errorf("%v is valid beyond its bounds", r)
		}
	}
	for _, r := range []*Request{{BlobId: id, Op: &Request_GetMetadata{}}, {BlobId: id, Op: &Request_Confirm{}}, {Op: &Request_GetNodeStatus{}}} {
		if err := r.Validate(); err != nil {
			t.Errorf("%v: %v", r, err)
		}
	}
}

// The longest lists that Validate allows fit a header.
func TestLongestHeaderFits(t *testing.T) {
	list := make([]uint32, MaxIndices)
	for i := range list {
		list[i] = uint32(MaxShards - 1 - i)
	}
	sizes := make([]uint32, MaxCertificates)
	for i := range sizes {
		sizes[i] = MaxCertificate
	}
	incidents := make([]string, MaxIncidents)
	for i := range incidents {
		incidents[i] = strings.Repeat("x", MaxStatusText)
	}
	for _, m := range []Message{
		&Request{Payload: math.MaxInt64, BlobId: id, Op: &Request_StorePairs{StorePairs: &StorePairs{Pairs: list}}},
		&Request{BlobId: id, Op: &Request_GetSymbols{GetSymbols: &GetSymbols{Axis: 1, Index: MaxShards - 1, Targets: list, SymbolSize: 2, ProofLen: MaxProof}}},
		&Response{Payload: MaxCertificates * MaxCertificate, Result: &Response_Certificates{Certificates: &CertificatePage{Sizes: sizes}}},
		&Response{Result: &Response_NodeStatus{NodeStatus: &NodeStatus{Incidents: incidents, Addresses: incidents[:MaxAddresses]}}},
	} {
		if err := m.Validate(); err != nil {
			t.Fatal(err)
		}
		b, err := AppendHeader(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		got := m.ProtoReflect().New().Interface().(Message)
		if err := ReadHeader(bufio.NewReaderSize(bytes.NewReader(b), 16), got); err != nil || !proto.Equal(got, m) {
			t.Fatalf("%d bytes come back differently: %v", len(b), err)
		}
	}
}

func TestTooLongToSend(t *testing.T) {
	if _, err := AppendHeader(nil, &Response{Error: strings.Repeat("x", MaxHeader)}); err == nil {
		t.Error("a header beyond the limit was encoded")
	}
}

func TestReadHeaderErrors(t *testing.T) {
	whole, err := AppendHeader(nil, requests()[0])
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n < len(whole); n++ {
		if err := ReadHeader(bufio.NewReader(bytes.NewReader(whole[:n])), new(Request)); err != io.ErrUnexpectedEOF {
			t.Errorf("%d of %d bytes: got %v, want %v", n, len(whole), err, io.ErrUnexpectedEOF)
		}
	}
	for name, b := range map[string][]byte{
		"64 KiB + 1":      {0x81, 0x80, 0x04},
		"endless":         {0xff, 0xff, 0xff, 0xff},
		"not protobuf":    {2, 0xff, 0xff},
		"invalid message": {0},
	} {
		if err := ReadHeader(bufio.NewReader(bytes.NewReader(b)), new(Request)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, want %v", name, err, ErrMalformed)
		}
	}
	broken := errors.New("cable cut")
	if err := ReadHeader(bufio.NewReader(io.MultiReader(bytes.NewReader(whole[:5]), iotest.ErrReader(broken))), new(Request)); err != broken {
		t.Errorf("got %v, want %v", err, broken)
	}
}

// fuzz reads a header. An accepted header must be valid, small enough to send, and come back the same.
func fuzz[M Message](f *testing.F, fresh func() M, seeds []M) {
	for _, m := range seeds {
		b, err := AppendHeader(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		m := fresh()
		if err := ReadHeader(bufio.NewReader(bytes.NewReader(b)), m); err != nil {
			return
		}
		if err := m.Validate(); err != nil {
			t.Fatalf("accepted %v: %v", m, err)
		}
		again, err := AppendHeader(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		got := fresh()
		if err := ReadHeader(bufio.NewReader(bytes.NewReader(again)), got); err != nil || !proto.Equal(m, got) {
			t.Fatalf("%v came back as %v, %v", m, got, err)
		}
	})
}

func FuzzRequest(f *testing.F) {
	fuzz(f, func() *Request { return new(Request) }, requests())
}

func FuzzResponse(f *testing.F) {
	fuzz(f, func() *Response { return new(Response) }, responses())
}
