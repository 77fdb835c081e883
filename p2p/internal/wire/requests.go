package wire

import (
	"errors"
	"fmt"
	"math"
)

// Bounds of an operation: which fields of a Request it uses, and how many raw bytes may follow the two headers.
type Bounds struct {
	Blob     bool   // the request names a blob
	Payload  uint64 // greatest payload of the request, in bytes
	Response uint64 // greatest payload of the response, in bytes
}

// operation is implemented by every message of Request.op. Its rules and its bounds stand here, beside each other.
type operation interface {
	validate() error
	bounds() Bounds // of a valid operation
}

// operation returns the message of r's operation, or nil if r has none that is known here. The message may be a nil
// pointer, which is an empty one.
func (r *Request) operation() operation {
	m := r.ProtoReflect()
	field := m.WhichOneof(m.Descriptor().Oneofs().ByName("op"))
	if field == nil {
		return nil
	}
	op, _ := m.Get(field).Message().Interface().(operation)
	return op
}

// Bounds returns the bounds of a valid request.
func (r *Request) Bounds() Bounds { return r.operation().bounds() }

// Validate checks that r is one well-formed operation within its bounds.
func (r *Request) Validate() error {
	op := r.operation()
	if op == nil {
		return errors.New("request has no operation known here")
	}
	if err := op.validate(); err != nil {
		return err
	}
	bounds := op.bounds()
	if n := len(r.GetBlobId()); bounds.Blob && n != HashSize || !bounds.Blob && n != 0 {
		return fmt.Errorf("blob ID of %d bytes", n)
	}
	if r.GetPayload() > bounds.Payload {
		return fmt.Errorf("payload of %d bytes: the limit is %d", r.GetPayload(), bounds.Payload)
	}
	return nil
}

func (*PutMetadata) validate() error { return nil }

func (*PutMetadata) bounds() Bounds {
	return Bounds{Blob: true, Payload: MaxMetadata, Response: ShardSize * MaxShards}
}

func (m *StorePairs) validate() error { return validIndices("pairs", m.GetPairs()) }

// Pairs are streamed. Only a node that has the metadata knows how long they are.
func (*StorePairs) bounds() Bounds { return Bounds{Blob: true, Payload: math.MaxInt64} }

func (m *Confirm) validate() error {
	if n := len(m.GetObject()); n != 0 && n != ObjectSize {
		return fmt.Errorf("object ID of %d bytes", n)
	}
	return nil
}

func (*Confirm) bounds() Bounds { return Bounds{Blob: true, Response: MaxConfirmation} }

func (*GetMetadata) validate() error { return nil }

func (*GetMetadata) bounds() Bounds { return Bounds{Blob: true, Response: MaxMetadata} }

// Only the owner of the sliver can check that the range lies inside it.
func (m *ReadSliver) validate() error {
	if m.GetOffset() > MaxSliver || m.GetLength() > MaxSliver {
		return fmt.Errorf("range of %d bytes at %d: slivers end at %d", m.GetLength(), m.GetOffset(), int64(MaxSliver))
	}
	return validSliver(m.GetAxis(), m.GetIndex())
}

func (m *ReadSliver) bounds() Bounds { return Bounds{Blob: true, Response: m.GetLength()} }

func (m *GetSymbols) validate() error {
	if err := validIndices("targets", m.GetTargets()); err != nil {
		return err
	}
	if m.GetProofLen() > MaxProof {
		return fmt.Errorf("proofs of %d hashes: the limit is %d", m.GetProofLen(), MaxProof)
	}
	if m.GetSymbolSize() == 0 || m.GetSymbolSize() > MaxSymbols || m.bounds().Response > MaxSymbols {
		return fmt.Errorf("%d symbols of %d bytes: the limit is %d bytes together", len(m.GetTargets()), m.GetSymbolSize(), MaxSymbols)
	}
	return validSliver(m.GetAxis(), m.GetIndex())
}

func (m *GetSymbols) bounds() Bounds {
	each := m.GetSymbolSize() + uint64(m.GetProofLen())*HashSize
	return Bounds{Blob: true, Response: uint64(len(m.GetTargets())) * each}
}

func (*GetBlobStatus) validate() error { return nil }

func (*GetBlobStatus) bounds() Bounds {
	return Bounds{Blob: true, Response: MaxCertificate + ShardStateSize*MaxShards}
}

func (*GetNodeStatus) validate() error { return nil }

func (*GetNodeStatus) bounds() Bounds { return Bounds{Response: ShardSize * MaxShards} }

func (*GetNodeHistory) validate() error { return nil }

func (*GetNodeHistory) bounds() Bounds { return Bounds{Response: MaxHistory * HistoryPointSize} }

func (*GetCertificate) validate() error { return nil }

func (*GetCertificate) bounds() Bounds { return Bounds{Blob: true, Response: MaxCertificate} }

func (*PutCertificate) validate() error { return nil }

// The certificate itself names the blob.
func (*PutCertificate) bounds() Bounds { return Bounds{Payload: MaxCertificate} }

func (m *ListCertificates) validate() error {
	if m.GetLimit() == 0 || m.GetLimit() > MaxCertificates {
		return fmt.Errorf("page of %d certificates: must be between 1 and %d", m.GetLimit(), MaxCertificates)
	}
	return nil
}

// The blob is the last one of the page before.
func (m *ListCertificates) bounds() Bounds {
	return Bounds{Blob: true, Response: uint64(m.GetLimit()) * MaxCertificate}
}

func validSliver(axis, index uint32) error {
	if axis > 1 || index >= MaxShards {
		return fmt.Errorf("no sliver %d along axis %d", index, axis)
	}
	return nil
}

func validIndices(what string, list []uint32) error {
	if len(list) == 0 || len(list) > MaxIndices {
		return fmt.Errorf("%d %s: must be between 1 and %d", len(list), what, MaxIndices)
	}
	var seen [(MaxShards + 63) / 64]uint64
	for _, i := range list {
		if i >= MaxShards {
			return fmt.Errorf("%s: index %d: the limit is %d", what, i, MaxShards-1)
		}
		if seen[i/64]&(1<<(i%64)) != 0 {
			return fmt.Errorf("%s: %d twice", what, i)
		}
		seen[i/64] |= 1 << (i % 64)
	}
	return nil
}
