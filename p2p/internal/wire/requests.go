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

// operation is implemented by every kind of Request.Op. Each kind's rules and bounds follow below, side by side.
type operation interface {
	validate() error
	bounds() Bounds // of a valid operation
}

// Bounds returns the bounds of a valid request; zero if it has no known operation.
func (r *Request) Bounds() (b Bounds) {
	if op, known := r.GetOp().(operation); known {
		b = op.bounds()
	}
	return b
}

// Validate checks that r is one well-formed operation within its bounds.
func (r *Request) Validate() error {
	op, known := r.GetOp().(operation)
	if !known {
		return errors.New("request has no known operation")
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

func (r *Request_PutMetadata) validate() error { return validToken(r.PutMetadata.GetToken()) }

func (*Request_PutMetadata) bounds() Bounds {
	return Bounds{Blob: true, Payload: MaxMetadata, Response: ShardSize * MaxShards}
}

func (r *Request_StorePairs) validate() error {
	if err := validIndices("pairs", r.StorePairs.GetPairs()); err != nil {
		return err
	}
	return validToken(r.StorePairs.GetToken())
}

// Pairs are streamed. Only a node that has the metadata knows how long they are.
func (*Request_StorePairs) bounds() Bounds { return Bounds{Blob: true, Payload: math.MaxInt64} }

func (r *Request_Confirm) validate() error {
	if n := len(r.Confirm.GetObject()); n != 0 && n != ObjectSize {
		return fmt.Errorf("object ID of %d bytes", n)
	}
	return nil
}

func (*Request_Confirm) bounds() Bounds { return Bounds{Blob: true, Response: MaxConfirmation} }

func (*Request_GetMetadata) validate() error { return nil }

func (*Request_GetMetadata) bounds() Bounds { return Bounds{Blob: true, Response: MaxMetadata} }

// Only the owner of the sliver can check that the range lies inside it.
func (r *Request_ReadSliver) validate() error {
	m := r.ReadSliver
	if m.GetOffset() > MaxSliver || m.GetLength() > MaxSliver {
		return fmt.Errorf("range of %d bytes at %d: slivers end at %d", m.GetLength(), m.GetOffset(), int64(MaxSliver))
	}
	return validSliver(m.GetAxis(), m.GetIndex())
}

func (r *Request_ReadSliver) bounds() Bounds {
	return Bounds{Blob: true, Response: r.ReadSliver.GetLength()}
}

func (r *Request_GetSymbols) validate() error {
	m := r.GetSymbols
	if err := validIndices("targets", m.GetTargets()); err != nil {
		return err
	}
	if len(m.GetMore()) >= MaxSlivers {
		return fmt.Errorf("%d slivers: the limit is %d", len(m.GetMore())+1, MaxSlivers)
	}
	if err := validIndices("slivers", append([]uint32{m.GetIndex()}, m.GetMore()...)); err != nil {
		return err
	}
	if m.GetProofLen() > MaxProof {
		return fmt.Errorf("proofs of %d hashes: the limit is %d", m.GetProofLen(), MaxProof)
	}
	size, part := m.GetSymbolSize(), m.part()
	if size == 0 || size > MaxSliver || m.GetOffset() > size || m.GetLength() > size-m.GetOffset() {
		return fmt.Errorf("bytes [%d, %d) of symbols of %d bytes", m.GetOffset(), m.GetOffset()+m.GetLength(), size)
	}
	if m.GetProofLen() > 0 && part > 0 && part < size {
		return errors.New("proofs of parts of symbols")
	}
	if n := len(m.GetNonce()); n != 0 && (n != NonceSize || [NonceSize]byte(m.GetNonce()) == [NonceSize]byte{}) {
		return fmt.Errorf("nonce of %d bytes: want %d, not all zeros", n, NonceSize)
	}
	if len(m.GetNonce()) == 0 && m.GetHeight() != 0 {
		return errors.New("height without a nonce")
	}
	if each := part + uint64(m.GetProofLen())*HashSize; each == 0 || each > MaxSymbols || m.Symbols() > MaxSymbols {
		return fmt.Errorf("%d symbols of %d slivers, %d bytes each: must have between 1 and %d bytes together",
			len(m.GetTargets()), len(m.GetMore())+1, each, MaxSymbols)
	}
	return validSliver(m.GetAxis(), m.GetIndex())
}

func (r *Request_GetSymbols) bounds() Bounds {
	b := Bounds{Blob: true, Response: r.GetSymbols.Symbols()}
	if len(r.GetSymbols.GetNonce()) > 0 {
		b.Response += SignatureSize
	}
	return b
}

// Symbols returns the bytes of all symbols and proofs asked for.
func (m *GetSymbols) Symbols() uint64 {
	each := m.part() + uint64(m.GetProofLen())*HashSize
	return uint64(len(m.GetTargets())) * uint64(len(m.GetMore())+1) * each
}

// part returns the bytes asked for of each symbol.
func (m *GetSymbols) part() uint64 {
	if m.GetLength() > 0 {
		return m.GetLength()
	}
	return m.GetSymbolSize() - m.GetOffset()
}

func (r *Request_GetLeaves) validate() error {
	m := r.GetLeaves
	if len(m.GetTargets()) > MaxLeaves {
		return fmt.Errorf("%d hashes of symbols: the limit is %d", len(m.GetTargets()), MaxLeaves)
	}
	if len(m.GetTargets()) > 0 {
		if err := validIndices("targets", m.GetTargets()); err != nil {
			return err
		}
	}
	return validSliver(m.GetAxis(), m.GetIndex())
}

func (r *Request_GetLeaves) bounds() Bounds {
	if n := len(r.GetLeaves.GetTargets()); n > 0 {
		return Bounds{Blob: true, Response: uint64(n) * (1 + MaxProof) * HashSize}
	}
	return Bounds{Blob: true, Response: MaxShards * HashSize}
}

func (*Request_PutProof) validate() error { return nil }

func (*Request_PutProof) bounds() Bounds { return Bounds{Blob: true, Payload: MaxEvidence} }

func (r *Request_GetLineProof) validate() error {
	return validSliver(r.GetLineProof.GetAxis(), r.GetLineProof.GetIndex())
}

// It is streamed. Only who has the metadata knows how long it is.
func (*Request_GetLineProof) bounds() Bounds { return Bounds{Blob: true, Response: math.MaxInt64} }

func (r *Request_Refute) validate() error {
	return validSliver(r.Refute.GetAxis(), r.Refute.GetIndex())
}

func (*Request_Refute) bounds() Bounds { return Bounds{Blob: true, Response: MaxRefutation} }

func (*Request_GetBlobStatus) validate() error { return nil }

func (*Request_GetBlobStatus) bounds() Bounds {
	return Bounds{Blob: true, Response: MaxCertificate + ShardStateSize*MaxShards}
}

func (*Request_GetNodeStatus) validate() error { return nil }

func (*Request_GetNodeStatus) bounds() Bounds { return Bounds{Response: ShardSize * MaxShards} }

func (*Request_GetNodeHistory) validate() error { return nil }

func (*Request_GetNodeHistory) bounds() Bounds {
	return Bounds{Response: MaxHistory * HistoryPointSize}
}

func (*Request_GetCertificate) validate() error { return nil }

func (*Request_GetCertificate) bounds() Bounds { return Bounds{Blob: true, Response: MaxCertificate} }

func (*Request_PutCertificate) validate() error { return nil }

// The certificate itself names the blob.
func (*Request_PutCertificate) bounds() Bounds { return Bounds{Payload: MaxCertificate} }

func (r *Request_ListCertificates) validate() error {
	m := r.ListCertificates
	if m.GetLimit() == 0 || m.GetLimit() > MaxCertificates {
		return fmt.Errorf("page of %d certificates: must be between 1 and %d", m.GetLimit(), MaxCertificates)
	}
	return nil
}

// The blob is the last one of the page before.
func (r *Request_ListCertificates) bounds() Bounds {
	return Bounds{Blob: true, Response: uint64(r.ListCertificates.GetLimit()) * MaxCertificate}
}

func (r *Request_GetReceipts) validate() error { return validPeer(r.GetReceipts.GetNode()) }

func (*Request_GetReceipts) bounds() Bounds { return Bounds{Response: MaxReceipts} }

func (*Request_PutFault) validate() error { return nil }

// The evidence itself names the blob.
func (*Request_PutFault) bounds() Bounds { return Bounds{Payload: MaxFault} }

func (r *Request_Relay) validate() error { return validPeer(r.Relay.GetAccuser()) }

func (*Request_Relay) bounds() Bounds { return Bounds{} }

func (*Request_GetScores) validate() error { return nil }

func (*Request_GetScores) bounds() Bounds { return Bounds{Response: MaxScores} }

func validPeer(id []byte) error {
	if len(id) == 0 || len(id) > MaxPeerID {
		return fmt.Errorf("peer ID of %d bytes: must be between 1 and %d", len(id), MaxPeerID)
	}
	return nil
}

// validToken accepts a request without a token, too: the answer to it is a refusal with a reason.
func validToken(token []byte) error {
	if n := len(token); n != 0 && n != TokenSize {
		return fmt.Errorf("upload token of %d bytes: want %d", n, TokenSize)
	}
	return nil
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
